"""Frames are uploaded to public addresses: a manifest reaches no further than its own batch."""

import os
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from support import manifests
from support.command import Command
from support.fal import Server

RUN = ("run", "manifest.csv", "--yes")


@pytest.fixture
def private(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture that is nobody else's business."""
    folder = tmp_path_factory.mktemp("private pictures")
    return manifests.frame(folder / "passport.png", (9, 9, 9))


def relative(private: Path, batch: Path) -> str:
    return os.path.relpath(private, batch)


def absolute(private: Path, _batch: Path) -> str:
    return str(private)


def through_a_link(private: Path, batch: Path) -> str:
    (batch / "harmless.png").symlink_to(private)
    return "harmless.png"


def through_a_linked_folder(private: Path, batch: Path) -> str:
    (batch / "frames").symlink_to(private.parent)
    return "frames/passport.png"


def out_and_in_again(private: Path, batch: Path) -> str:
    return f"../{batch.name}/../{private.parent.name}/passport.png"


WAYS_OUT: list[Callable[[Path, Path], str]] = [
    relative,
    absolute,
    through_a_link,
    through_a_linked_folder,
    out_and_in_again,
]


def test_every_way_out_is_refused_with_the_real_place_and_what_lets_it_through(
    tweenbatch: Command, fal: Server, private: Path
) -> None:
    manifests.project(tweenbatch.folder, 0)
    (good,) = manifests.rows(1)
    named = [way_out(private, tweenbatch.folder) for way_out in WAYS_OUT]
    rows = [{**good, "start_image": text} for text in named]
    manifests.write(tweenbatch.folder / "manifest.csv", [*rows, {**good, "end_image": named[0]}])
    refused = tweenbatch(*RUN)
    assert refused.returncode == 2
    said = refused.stderr
    assert f"manifest.csv: {len(rows) + 1} problems; nothing was imported" in said
    for number, text in enumerate(named, start=2):
        assert f"row {number}, column 'start_image': '{text}' is at {private}, outside" in said
    assert f"row {len(rows) + 2}, column 'end_image': '{named[0]}' is at {private}" in said
    assert said.count("uploaded to public addresses") == len(rows) + 1
    assert said.count(f"--frames {shlex.quote(str(private.parent))}") == len(rows) + 1
    assert sum(fal.ledger()["requests"].values()) == 0
    assert not (tweenbatch.folder / "tweenbatch.db").exists()


def test_what_lies_outside_is_not_even_opened(tweenbatch: Command, private: Path) -> None:
    manifests.project(tweenbatch.folder, 0)
    secret = private.with_name("id_rsa")
    secret.write_text("-----BEGIN OPENSSH PRIVATE KEY-----")
    rows = manifests.rows(1, start_image=str(secret))
    manifests.write(tweenbatch.folder / "manifest.csv", rows)
    said = tweenbatch(*RUN).stderr
    assert "outside the folders of this batch" in said
    assert "not a PNG" not in said
    allowed = tweenbatch(*RUN, "--frames", str(private.parent))
    assert allowed.returncode == 2
    assert "is not a PNG, JPEG or WebP image" in allowed.stderr


def test_each_folder_that_is_named_is_let_through_and_no_other(
    tweenbatch: Command, fal: Server, private: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = manifests.frame(tmp_path_factory.mktemp("other") / "b.png", (1, 2, 3))
    rows = manifests.rows(1, start_image=str(private), end_image=str(other))
    manifests.write(tweenbatch.folder / "manifest.csv", rows)
    one = ("--frames", str(private.parent))
    refused = tweenbatch("plan", "manifest.csv", *one)
    assert refused.returncode == 2
    assert "column 'end_image'" in refused.stderr
    assert "column 'start_image'" not in refused.stderr
    both = (*one, "--frames", str(other.parent))
    assert tweenbatch("plan", "manifest.csv", *both).returncode == 0
    assert tweenbatch(*RUN, *both, "--limit", "0").returncode == 3
    assert tweenbatch("run", "--yes").returncode == 0
    assert fal.ledger()["posts"] == 1


def test_the_environment_names_folders_as_the_option_does(
    tweenbatch: Command, private: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = manifests.frame(tmp_path_factory.mktemp("other") / "b.png")
    rows = manifests.rows(1, start_image=str(private), end_image=str(other))
    manifests.write(tweenbatch.folder / "manifest.csv", rows)
    folders = os.pathsep.join(str(path.parent) for path in (private, other))
    told = replace(tweenbatch, environment={"TWEENBATCH_FRAMES": folders})
    assert told("plan", "manifest.csv").returncode == 0


def test_a_folder_of_frames_that_is_not_there_is_refused(tweenbatch: Command) -> None:
    manifests.project(tweenbatch.folder, 1)
    refused = tweenbatch(*RUN, "--frames", "nowhere")
    assert refused.returncode == 2
    assert "nowhere" in refused.stderr
    assert "--frames" in refused.stderr


def test_a_batch_finds_its_frames_in_a_folder_beside_the_manifests(
    tweenbatch: Command, tmp_path: Path
) -> None:
    batch, shared, elsewhere = (tmp_path / name for name in ("x/batch", "x/frames", "elsewhere"))
    for folder in (batch, shared, elsewhere):
        folder.mkdir(parents=True)
    manifests.frame(shared / "a.png")
    rows = manifests.rows(1, start_image="../frames/a.png", end_image="../frames/a.png")
    manifest = manifests.write(batch / "manifest.csv", rows)
    assert replace(tweenbatch, folder=elsewhere)("plan", str(manifest)).returncode == 0


def test_the_home_of_nobody_is_a_problem_of_its_row(tweenbatch: Command) -> None:
    manifests.project(tweenbatch.folder, 1, start_image="~nobody-has-this-name/a.png")
    refused = tweenbatch("plan", "manifest.csv")
    assert refused.returncode == 2
    assert "row 2, column 'start_image': '~nobody-has-this-name/a.png' can't be read" in (
        refused.stderr
    )


def test_links_in_a_circle_are_a_problem_of_their_row(tweenbatch: Command) -> None:
    manifests.project(tweenbatch.folder, 1, start_image="round.png")
    (tweenbatch.folder / "round.png").symlink_to("round.png")
    refused = tweenbatch("plan", "manifest.csv")
    assert refused.returncode == 2
    assert "row 2, column 'start_image': 'round.png' can't be read" in refused.stderr


def test_frames_swapped_for_links_after_the_import_are_not_uploaded(
    tweenbatch: Command, fal: Server, private: Path
) -> None:
    manifests.project(tweenbatch.folder, 1)
    tweenbatch(*RUN, "--limit", "0")
    for name in ("a.png", "b.png"):
        frame = tweenbatch.folder / name
        frame.unlink()
        frame.symlink_to(private)
    run = tweenbatch("run", "--yes")
    assert run.returncode == 1
    assert "has changed since the manifest was read" in run.stdout
    assert fal.ledger()["requests"]["upload"] == 0
    assert fal.ledger()["posts"] == 0
