import subprocess
import sys
from pathlib import Path


def table_of(script: str, *arguments: str) -> list[dict[str, str]]:
    """Run a benchmark and return its table, a row as its cells by the heads of their columns."""
    ran = subprocess.run(
        [sys.executable, str(Path(__file__).with_name(script)), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    head, _, *rows = [cells(line) for line in ran.stdout.splitlines() if line.startswith("|")]
    return [dict(zip(head, row, strict=True)) for row in rows]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_table_compares_all_runners_and_only_ours_pays_nothing_twice() -> None:
    size = ("--jobs", "12", "--seconds", "0.2", "--slots", "4", "--queue", "0")
    table = {row[""]: row for row in table_of("throughput.py", *size)}
    paid_twice = {name: int(row["paid twice"]) for name, row in table.items()}
    assert paid_twice.pop("tweenbatch") == 0
    assert paid_twice.keys() == {"asyncio + subscribe", "threads + subscribe"}
    assert all(paid_twice.values()), "the replies of the peers were lost as well"
    assert {table[name]["delivered"] for name in paid_twice} == {"12 of 12"}


def test_the_table_of_manifests_has_every_step() -> None:
    steps = {row["step"] for row in table_of("manifests.py", "--rows", "6000")}
    assert {"plan, no table", "import", "plan, known", "import, known"} < steps


def test_the_table_of_rehearsals_shows_that_bar_and_emulator_were_watched() -> None:
    alone, asked = table_of("rehearsal.py", "--rows", "1")
    assert float(alone["bar still"].removesuffix(" s")) > 0
    assert float(asked["slowest answer"].removesuffix(" ms")) > 0


def test_the_table_of_many_in_flight_is_of_a_run_that_had_them() -> None:
    (row,) = table_of("many.py", "--in-flight", "15", "--seconds", "2", "--waves", "1")
    assert row["in flight"] == "15"
    assert float(row["memory"].removesuffix(" MiB")) > 0
