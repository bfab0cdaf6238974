"""Manifests as they come: from a pipe, by a pattern, and with their problems written down."""

import csv
import json
from pathlib import Path

from support import manifests
from support.command import Command

A, B = "https://example.com/a.png", "https://example.com/b.png"
GOOD = f"prompt,start_image,end_image\nx,{A},{B}\n"
BAD = GOOD + f"y,{A},http://example.com/b.png\n,{A},{B}\n"


def listed(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def test_all_problems_are_listed_beside_the_manifest_until_there_are_none(
    tweenbatch: Command,
) -> None:
    path = tweenbatch.folder / "manifest.csv"
    path.write_text(BAD)
    ran = tweenbatch("plan", "manifest.csv")
    assert ran.returncode == 2
    assert "manifest.csv: 2 problems; nothing was imported" in ran.stderr
    place = tweenbatch.folder / "manifest.csv.problems.csv"
    assert f"all of them are in {place.name}" in ran.stderr
    head, *rows = listed(place)
    assert head == ["file", "row", "line", "column", "kind", "message"]
    assert [(row[0], row[1], row[3]) for row in rows] == [
        ("manifest.csv", "3", "end_image"),
        ("manifest.csv", "4", "prompt"),
    ]
    path.write_text(GOOD)
    assert tweenbatch("plan", "manifest.csv").returncode == 0
    assert not place.exists()


def test_a_file_of_that_name_that_is_not_ours_is_left_alone(tweenbatch: Command) -> None:
    place = tweenbatch.folder / "manifest.csv.problems.csv"
    place.write_text("my own notes\n")
    for content, code in ((BAD, 2), (GOOD, 0)):
        (tweenbatch.folder / "manifest.csv").write_text(content)
        ran = tweenbatch("plan", "manifest.csv")
        assert ran.returncode == code
        assert ("the list of all problems is missing: manifest.csv.problems.csv" in ran.stderr) == (
            code == 2
        )
        assert place.read_text() == "my own notes\n"


def test_what_begins_like_a_formula_is_written_as_text(tweenbatch: Command) -> None:
    text = f"prompt,start_image,end_image,=1+1,=1+1\nx,{A},{B},,\n"
    (tweenbatch.folder / "manifest.csv").write_text(text)
    assert tweenbatch("plan", "manifest.csv").returncode == 2
    _, (_, _, _, column, *_) = listed(tweenbatch.folder / "manifest.csv.problems.csv")
    assert column == "'=1+1"


def test_programs_read_the_problems_as_json(tweenbatch: Command) -> None:
    (tweenbatch.folder / "manifest.csv").write_text(BAD)
    ran = tweenbatch("plan", "manifest.csv", "--json")
    assert ran.returncode == 2
    found = json.loads(ran.stdout)["problems"]
    assert [(each["row"], each["column"]) for each in found] == [(3, "end_image"), (4, "prompt")]


def test_a_manifest_may_come_through_a_pipe_and_is_known_again(tweenbatch: Command) -> None:
    manifests.project(tweenbatch.folder, 0)
    rows = [{"prompt": "x", "start_image": "a.png", "end_image": "b.png"}]
    text = "\n".join(map(json.dumps, rows))
    ran = tweenbatch("run", "-", "--yes", stdin=text)
    assert ran.returncode == 0, ran.stderr
    assert tweenbatch.jobs() == {"succeeded": 1}
    again = tweenbatch("plan", "-", stdin=text)
    assert "1  already there" in again.stdout
    wrong = tweenbatch("plan", "-", stdin=text.replace("b.png", "c.png"))
    assert "<stdin>: 1 problem" in wrong.stderr
    assert "--json" not in wrong.stderr
    many = "\n".join([text.replace("b.png", "c.png")] * 21)
    wrong = tweenbatch("plan", "-", stdin=many)
    assert "and 1 more like these" in wrong.stderr
    assert "the list of all problems is missing: the manifest is not a file" in wrong.stderr
    found = json.loads(tweenbatch("plan", "-", "--json", stdin=many).stdout)["problems"]
    assert len(found) == 21


def test_a_pattern_names_all_its_manifests(tweenbatch: Command) -> None:
    for name in ("m2.csv", "m10.csv"):
        (tweenbatch.folder / name).write_text(GOOD.replace("x,", f"{name},"))
    ran = tweenbatch("plan", "m*.csv")
    assert "m2.csv, m10.csv: 2 clips" in ran.stdout


def test_the_list_of_a_manifest_s_problems_is_no_manifest_beside_it(tweenbatch: Command) -> None:
    (tweenbatch.folder / "m.csv").write_text(BAD)
    assert tweenbatch("plan", "m.csv").returncode == 2
    (tweenbatch.folder / "m.csv").write_text(GOOD)
    ran = tweenbatch("plan", "m.csv", "m.csv.problems.csv")
    assert ran.returncode == 0, ran.stderr
    assert "m.csv: 1 clip" in ran.stdout
