"""A clip that fal gave to another row, too, makes room for the row's own, for nothing."""

from support import manifests
from support.fal import Server
from support.forked import Forked
from support.judging import exported

ROWS = 2


def held(number: int) -> dict[str, str]:
    return {"on": "result", "do": "hold", "id": str(number), "prompt_contains": f"number {number}:"}


def test_the_own_clip_of_a_row_that_was_given_another_s_comes_home_for_nothing(
    tweenbatch: Forked, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, ROWS)
    mixed = {"on": "result", "do": "mix_up", "named": "asked", "prompt_contains": "number 1:"}
    fal.script(held(1), held(2), {**mixed, "times": 1})
    with tweenbatch.running("run", "manifest.csv", "--yes") as run:
        fal.wait_for("completed", count=ROWS)
        fal.release("1")
        fal.wait_for("download_finished")
        fal.release("2")
        said = run.wait()
    assert "clip-1: fal mixed up two results" in said.stderr
    assert "tweenbatch fetch --name clip-1" in said.stderr
    assert len(addresses(tweenbatch)) == 1
    (tweenbatch.folder / "videos" / "clip-1.mp4").unlink()
    fetched = tweenbatch("fetch", "--name", "clip-1")
    assert fetched.returncode == 0, fetched.stderr
    assert len(addresses(tweenbatch)) == ROWS
    assert tweenbatch.jobs() == {"succeeded": ROWS}
    assert fal.totals()["posts"] == ROWS


def test_each_of_three_rows_whose_clips_went_round_gets_its_own(
    tweenbatch: Forked, fal: Server
) -> None:
    """The first row has the clip of the second, and the second that of the third."""
    mixed = {"on": "result", "do": "mix_up", "named": "asked", "times": 1}
    manifests.project(tweenbatch.folder, 2)
    fal.script(held(1), held(2), {**mixed, "prompt_contains": "number 1:"})
    with tweenbatch.running("run", "manifest.csv", "--yes") as run:
        fal.wait_for("completed", count=2)
        fal.release("1")
        fal.wait_for("download_finished")
        run.kill()
        run.wait()
    manifests.write(tweenbatch.folder / "manifest.csv", manifests.rows(3))
    fal.script(held(2), held(3), {**mixed, "prompt_contains": "number 2:"})
    with tweenbatch.running("run", "manifest.csv", "--yes") as run:
        fal.wait_for("completed", count=3)
        fal.release("2")
        fal.wait_for("download_finished", count=2)
        fal.release("3")
        said = run.wait().stderr
    for wrong in ("clip-2", "clip-1"):
        assert f"{wrong}: fal mixed up two results" in said
        (tweenbatch.folder / "videos" / f"{wrong}.mp4").unlink()
        said = tweenbatch("fetch", "--name", wrong).stderr
    assert len(addresses(tweenbatch)) == 3
    assert fal.totals()["posts"] == 3


def addresses(tweenbatch: Forked) -> set[str]:
    return {row["video_url"] for row in exported(tweenbatch)}
