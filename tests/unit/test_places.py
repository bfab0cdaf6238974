"""The folders whose frames are allowed without ``--frames``: never a whole home folder."""

from pathlib import Path

import pytest

from tweenbatch.paths import frame_roots


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder, which is not the current one."""
    home = tmp_path / "homes" / "ida"
    (home / "films" / "batch").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path / "elsewhere")
    return home


def test_frames_come_from_the_manifests_folder_the_one_above_and_the_current_one(
    home: Path,
) -> None:
    batch = home / "films" / "batch"
    assert frame_roots(batch / "manifest.csv", ()) == {batch, home / "films", Path.cwd()}


def test_the_folder_above_is_left_out_where_it_is_the_home_or_holds_it(home: Path) -> None:
    films = home / "films"
    assert frame_roots(films / "manifest.csv", ()) == {films, Path.cwd()}
    assert frame_roots(home / "manifest.csv", ()) == {home, Path.cwd()}
    beside = home.parents[1] / "data"
    beside.mkdir()
    assert frame_roots(beside / "manifest.csv", ()) == {beside, Path.cwd()}


def test_the_root_is_never_the_folder_above(home: Path) -> None:
    assert frame_roots(Path("/nowhere/manifest.csv"), ()) == {Path("/nowhere"), Path.cwd()}
    assert home not in frame_roots(Path("/manifest.csv"), ())


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("above", [1, 2, -1])
def test_a_current_folder_that_holds_the_home_says_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch, above: int
) -> None:
    monkeypatch.chdir(home.parents[above - 1 if above > 0 else above])
    films = home / "films"
    assert frame_roots(films / "manifest.csv", ()) == {films}


def test_a_named_folder_is_taken_for_the_place_that_it_is(home: Path) -> None:
    (home / "link").symlink_to(home.parent)
    roots = frame_roots(home / "films" / "manifest.csv", [home / "link", Path()])
    assert roots == {home / "films", home.parent, Path.cwd()}
