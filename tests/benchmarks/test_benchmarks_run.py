import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("throughput.py")
SIZE = ("--jobs", "12", "--seconds", "0.2", "--slots", "4", "--queue", "0")


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_table_compares_all_runners_and_only_ours_pays_nothing_twice() -> None:
    ran = subprocess.run(
        [sys.executable, str(SCRIPT), *SIZE],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    head, _, *rows = [cells(line) for line in ran.stdout.splitlines() if line.startswith("|")]
    table = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    paid_twice = {name: int(row["paid twice"]) for name, row in table.items()}
    assert paid_twice.pop("tweenbatch") == 0
    assert paid_twice.keys() == {"asyncio + subscribe", "threads + subscribe"}
    assert all(paid_twice.values()), "the replies of the peers were lost as well"
    assert {table[name]["delivered"] for name in paid_twice} == {"12 of 12"}


def test_the_table_of_manifests_has_every_step() -> None:
    ran = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("manifests.py")), "--rows", "6000"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    steps = {cells(line)[0] for line in ran.stdout.splitlines() if line.startswith("| ")}
    assert {"plan, no table", "import", "plan, known", "import, known"} < steps


def test_the_table_of_rehearsals_shows_that_bar_and_emulator_were_watched() -> None:
    ran = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("rehearsal.py")), "--rows", "1"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    head, _, *rows = [cells(line) for line in ran.stdout.splitlines() if line.startswith("|")]
    alone, asked = (dict(zip(head, row, strict=True)) for row in rows)
    assert float(alone["bar still"].removesuffix(" s")) > 0
    assert float(asked["slowest answer"].removesuffix(" ms")) > 0
