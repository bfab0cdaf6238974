"""Names of clips that a person asks for: safe on every file system, and one for each content."""

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support import manifests
from tweenbatch import manifest
from tweenbatch.errors import ManifestError, UsageError
from tweenbatch.files.names import MAX_STEM_BYTES
from tweenbatch.manifest import Naming, Reading
from tweenbatch.manifest.clip_names import MAX_CHARS

FRAMES = {
    "start_image": "https://example.com/shots/Ice%20cave.png",
    "end_image": "https://example.com/b.jpg?size=large",
}
DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


def row(prompt: str = "Snow melts.", **columns: str) -> dict[str, str]:
    return {"prompt": prompt, **FRAMES, **columns}


def names(folder: Path, template: str, *rows: dict[str, str], takes: int = 1) -> list[str]:
    path = manifests.write(folder / "manifest.csv", rows)
    reading = Reading(naming=Naming.parse(template), takes=takes, allow_open_ended=True)
    return [each.output for each in manifest.read_all([path], reading)[0].rows]


def refused(folder: Path, template: str, *rows: dict[str, str], takes: int = 1) -> str:
    with pytest.raises(ManifestError) as refusal:
        names(folder, template, *rows, takes=takes)
    return str(refusal.value)


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{sequence}/{row:04}-{name}-t{take}", "Part-1/0002-Spring-t1"),
        ("{start}-to-{end}.mp4", "Ice-cave-to-b"),
        ("{title}", "Spring"),
        ("{ORDER:03}", "007"),
        ("a{{b}}", "a-b"),
        ("v1.2/{name}.x", "v1-2/Spring.x"),
        ("{note}/clip", "etc-passwd/clip"),
        ("CON/aux.{take}", "_CON/_aux.1"),
    ],
)
def test_a_template_is_filled_from_the_row_and_every_part_made_safe(
    tmp_path: Path, template: str, name: str
) -> None:
    own = {"name": "Spring", "sequence": "Part 1", "order": "7", "note": "../etc/passwd"}
    assert names(tmp_path, template, row(**own)) == [name]


def test_a_clip_without_an_end_frame_says_so(tmp_path: Path) -> None:
    assert names(tmp_path, "{start}-{end}", row(end_image="")) == ["Ice-cave-open"]


@pytest.mark.parametrize("template", ["/{name}", "../{name}", "{name}/", "a//b", "", "秋/{name}"])
def test_a_template_that_leads_nowhere_is_refused(template: str) -> None:
    with pytest.raises(UsageError, match="can't be a file or folder name"):
        Naming.parse(template)


@pytest.mark.parametrize(
    ("template", "wrong"),
    [
        (
            "{nmae}",
            "1 problem; nothing was imported\n  --name has {nmae}, but there is no such",
        ),
        ("{name", "--name has a single {"),
        ("{name}", "row 3: --name has {name}, which is empty in this row"),
        ("{note}", "row 2: --name gives '秋'; a name needs at least one letter a-z"),
        ("{note:04}", "row 2: --name has {note:04}, but '秋' isn't a whole number"),
    ],
)
def test_a_template_that_a_row_can_not_fill_is_a_problem(
    tmp_path: Path, template: str, wrong: str
) -> None:
    rows = [row(name="a", note="秋"), row("Rain.", name="", note="x")]
    assert wrong in refused(tmp_path, template, *rows)


def test_two_contents_under_one_name_are_a_problem_that_names_both_rows(tmp_path: Path) -> None:
    rows = [row(name="Spring"), row("Rain.", name="other"), row("Hail.", name="spring")]
    said = refused(tmp_path, "{name}", *rows)
    assert "row 4: take 1 of row 4 and take 1 of row 2 would both be named 'spring.mp4'" in said
    assert "{take}" in refused(tmp_path, "{row}", row(), takes=2)


def test_one_content_may_have_one_name_twice(tmp_path: Path) -> None:
    assert names(tmp_path, "{name}", row(name="a"), row(name="a")) == ["a", "a"]


def test_a_name_is_given_once_among_all_manifests_of_a_run(tmp_path: Path) -> None:
    paths = [
        manifests.write(tmp_path / f"{n}.csv", [row(f"prompt {n}", name="same")]) for n in (1, 2)
    ]
    reading = Reading(naming=Naming.parse("{name}"))
    with pytest.raises(ManifestError) as refusal:
        manifest.read_all(paths, reading)
    said = str(refusal.value)
    assert re.search(r"2\.csv: 1 problem.*\n.* of row 2 of .*1\.csv would", said)
    assert "add a column whose values differ" in said


def test_without_a_template_no_name_is_asked_for(tmp_path: Path) -> None:
    path = manifests.write(tmp_path / "manifest.csv", [row(name="a"), row("Rain.", name="a")])
    (read,) = manifest.read_all([path], Reading())
    assert [each.output for each in read.rows] == ["", ""]


def test_a_name_that_is_too_long_for_some_systems_is_a_problem(tmp_path: Path) -> None:
    said = refused(tmp_path, "{note}/{note}", row(note="x" * MAX_STEM_BYTES))
    assert f"gives {2 * MAX_STEM_BYTES + 1} characters; at most {MAX_CHARS} are allowed" in said


words = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=150)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(folder=words, file=words)
def test_whatever_a_row_holds_its_clip_lies_below_the_output_folder(
    tmp_path: Path, folder: str, file: str
) -> None:
    try:
        (name,) = names(tmp_path, "a{folder}/x{file}", row(folder=folder, file=file))
    except ManifestError:
        assert not folder.strip() or not file.strip() or len(folder) + len(file) > MAX_CHARS - 3
        return
    parts = name.split("/")
    assert len(parts) == 2
    assert "." not in parts[0]
    for part in parts:
        assert re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?", part)
        assert not DEVICE.match(part)
        assert len(part) <= MAX_STEM_BYTES
