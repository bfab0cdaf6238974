"""The main job on fal: rows in, videos out, each paid once."""

import csv
import json
from pathlib import Path

import pytest

from support import manifests
from support.command import KEY, Command
from support.fal import Server
from tweenbatch.clips import mp4, video


def results(folder: Path) -> list[dict[str, str]]:
    with (folder / "videos" / "results.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_each_row_becomes_one_video_and_is_paid_once(tweenbatch: Command, fal: Server) -> None:
    manifests.project(tweenbatch.folder, 5)
    done = tweenbatch("run", "manifest.csv", "--yes")
    assert done.returncode == 0, done.stderr
    ledger = fal.ledger()
    assert (ledger["posts"], ledger["accepted_count"]) == (5, 5)
    assert ledger["billed_usd"] == "2.80"
    assert ledger["duplicates"] == []
    for row in results(tweenbatch.folder):
        path = Path(row["video_path"])
        mp4.check(path)
        clip = video.probe(path)
        assert path.name == f"{row['name']}.mp4"
        assert (int(row["width"]), int(row["height"])) == (clip.width, clip.height)
        assert row["state"] == "succeeded"
        assert row["cost_usd"] == "0.56"
    assert "5 of 5 clips done; spent $2.80" in done.stdout


def test_a_second_run_spends_nothing_and_fetches_nothing(tweenbatch: Command, fal: Server) -> None:
    manifests.project(tweenbatch.folder, 3)
    tweenbatch("run", "manifest.csv", "--yes")
    before = fal.ledger()
    again = tweenbatch("run", "manifest.csv", "--yes")
    assert again.returncode == 0
    assert "every clip is already there" in again.stdout
    after = fal.ledger()
    assert after["posts"] == before["posts"]
    assert after["downloads"]["started"] == before["downloads"]["started"]


def test_reordered_renamed_and_widened_it_is_the_same_manifest(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 3)
    tweenbatch("run", "manifest.csv", "--yes")
    rows = [{**row, "name": f"new-{row['name']}", "note": "x"} for row in manifests.rows(3)]
    manifests.write(tweenbatch.folder / "other.csv", reversed(rows))
    again = tweenbatch("run", "other.csv", "--yes")
    assert again.returncode == 0, again.stderr
    assert fal.ledger()["posts"] == 3


def test_an_edited_row_is_the_only_one_that_runs_again(tweenbatch: Command, fal: Server) -> None:
    manifests.project(tweenbatch.folder, 3)
    tweenbatch("run", "manifest.csv", "--yes")
    rows = manifests.rows(3)
    rows[1]["prompt"] = "something else"
    manifests.write(tweenbatch.folder / "manifest.csv", rows)
    planned = tweenbatch("plan", "manifest.csv")
    assert "row 3 (clip-2): prompt changed" in planned.stdout
    assert tweenbatch("run", "manifest.csv", "--yes").returncode == 0
    assert fal.prompts()[3:] == ["something else"]
    # Both contents are paid for, so both keep their files.
    assert len(list((tweenbatch.folder / "videos").glob("*.mp4"))) == 4


def test_a_frame_goes_up_once_however_many_rows_use_it(tweenbatch: Command, fal: Server) -> None:
    manifests.project(tweenbatch.folder, 6)
    tweenbatch("run", "manifest.csv", "--yes")
    assert len(fal.ledger()["uploads"]) == 2


def test_frames_may_be_https_urls(tweenbatch: Command, fal: Server) -> None:
    url = "https://example.com/frame.png"
    manifests.write(
        tweenbatch.folder / "manifest.csv", manifests.rows(1, start_image=url, end_image=url)
    )
    assert tweenbatch("run", "manifest.csv", "--yes").returncode == 0
    ledger = fal.ledger()
    assert ledger["uploads"] == []
    assert ledger["accepted"][0]["input"] == {
        "prompt": "prompt number 1: @Image1 becomes @Image2",
        "start_image_url": url,
        "end_image_url": url,
        "duration": "5",
    }


def test_at_most_so_many_are_at_fal_at_once(tweenbatch: Command, fal: Server) -> None:
    manifests.project(tweenbatch.folder, 7)
    fal.script({"on": "generation", "do": "hold", "id": "all"})
    with tweenbatch.started("run", "manifest.csv", "--yes", "--concurrency", "2") as run:
        fal.wait_for("held", count=2)
        assert fal.ledger()["accepted_count"] == 2
        fal.script()
        fal.release()
        assert run.wait(60) == 0
    assert fal.ledger()["most_in_progress"] == 2


def test_a_slot_is_free_again_before_the_download_ends(tweenbatch: Command, fal: Server) -> None:
    manifests.project(tweenbatch.folder, 2)
    fal.script({"on": "download", "do": "hold", "times": 1, "id": "slow"})
    with tweenbatch.started("run", "manifest.csv", "--yes", "--concurrency", "1") as run:
        fal.wait_for("held", fault="slow")
        fal.wait_for("accepted", count=2)
        fal.release("slow")
        assert run.wait(60) == 0


def test_a_row_that_fal_refuses_for_good_stops_no_other(tweenbatch: Command, fal: Server) -> None:
    manifests.project(tweenbatch.folder, 4)
    fal.script({"on": "generation", "do": "fail", "prompt_contains": "number 2"})
    run = tweenbatch("run", "manifest.csv", "--yes")
    assert run.returncode == 1
    states = [row["state"] for row in results(tweenbatch.folder)]
    assert states == ["succeeded", "failed", "succeeded", "succeeded"]
    assert fal.ledger()["posts"] == 4
    assert "clip-2  failed ($0.56): content_policy_violation" in run.stdout
    assert "tweenbatch retry" in run.stdout


def test_a_frame_that_fal_does_not_take_stops_only_its_row(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 0)
    frame = "https://example.com/frame.png"
    good, bad = manifests.rows(2, start_image=frame, end_image=frame)
    bad["start_image"] = "a.png"
    manifests.write(tweenbatch.folder / "manifest.csv", [bad, good])
    fal.script({"on": "upload", "do": "reply", "status": 413})
    run = tweenbatch("run", "manifest.csv", "--yes")
    assert run.returncode == 1
    assert "fal refuses a frame (HTTP 413)" in run.stdout
    assert tweenbatch.jobs() == {"failed": 1, "succeeded": 1}
    assert fal.ledger()["posts"] == 1


def test_a_frame_that_changed_after_the_plan_is_not_paid_for(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 1)
    tweenbatch("run", "manifest.csv", "--yes", "--limit", "0")
    assert tweenbatch.jobs() == {"pending": 1}
    manifests.frame(tweenbatch.folder / "a.png", (1, 2, 3))
    run = tweenbatch("run", "--yes")
    assert run.returncode == 1
    assert "has changed since the manifest was read; run the manifest again" in run.stdout
    assert fal.ledger()["posts"] == 0
    assert tweenbatch("run", "manifest.csv", "--yes").returncode == 0


def test_a_key_that_may_not_upload_stops_the_batch(tweenbatch: Command, fal: Server) -> None:
    manifests.project(tweenbatch.folder, 2)
    fal.script({"on": "token", "do": "reply", "status": 401})
    stopped = tweenbatch("run", "manifest.csv", "--yes")
    assert stopped.returncode == 4
    assert tweenbatch.jobs() == {"pending": 2}
    assert fal.ledger()["posts"] == 0


def test_a_failed_row_is_paid_again_only_when_a_person_asks(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 2)
    fal.script({"on": "generation", "do": "fail", "prompt_contains": "number 2"})
    tweenbatch("run", "manifest.csv", "--yes")
    fal.script()
    assert tweenbatch("run", "manifest.csv", "--yes").returncode == 1
    assert fal.ledger()["posts"] == 2
    assert tweenbatch("retry").returncode == 2
    assert tweenbatch("retry", "--yes").returncode == 0
    assert tweenbatch("run", "--yes").returncode == 0
    assert fal.ledger()["posts"] == 3


def test_the_model_is_heard_with_logs(tweenbatch: Command) -> None:
    manifests.project(tweenbatch.folder, 1)
    quiet = tweenbatch("run", "manifest.csv", "--yes")
    manifests.write(tweenbatch.folder / "more.csv", manifests.rows(1, prompt="another"))
    loud = tweenbatch("run", "more.csv", "--yes", "--logs")
    assert "clip-1: " not in quiet.stderr
    assert "clip-1-" in loud.stderr
    assert "Loading" in loud.stderr


def test_programs_read_the_outcome_as_json(tweenbatch: Command) -> None:
    manifests.project(tweenbatch.folder, 2)
    run = tweenbatch("run", "manifest.csv", "--yes", "--json")
    said = json.loads(run.stdout)
    assert said["jobs"]["succeeded"] == 2
    assert said["money"] == {
        "spent": 1.12,
        "reserved": 0.0,
        "uncertain": 0.0,
        "currency": "USD",
    }
    assert said["exit_code"] == 0
    status = json.loads(tweenbatch("status", "--json").stdout)
    assert status == {name: said[name] for name in ("jobs", "money", "attention")}


def test_export_has_one_line_for_each_row(tweenbatch: Command) -> None:
    rows = manifests.rows(2)
    manifests.project(tweenbatch.folder, 0)
    manifests.write(tweenbatch.folder / "manifest.csv", [*rows, rows[0]])
    tweenbatch("run", "manifest.csv", "--yes")
    exported = list(csv.DictReader(tweenbatch("export").stdout.splitlines()))
    assert [row["row"] for row in exported] == ["2", "3", "4"]
    assert exported[0]["sha256"] == exported[2]["sha256"]
    assert tweenbatch("export", "-o", "out.csv").returncode == 0
    assert (tweenbatch.folder / "out.csv").read_text() == tweenbatch("export").stdout


def test_a_person_s_own_file_is_not_overwritten_by_results(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 1)
    notes = tweenbatch.folder / "videos" / "results.csv"
    notes.parent.mkdir()
    notes.write_text("shot,verdict\n1,too dark\n", encoding="utf-8")
    done = tweenbatch("run", "manifest.csv", "--yes")
    assert done.returncode == 0, done.stderr
    assert "results  not written: videos/results.csv exists and isn't a results file" in done.stdout
    assert notes.read_text(encoding="utf-8") == "shot,verdict\n1,too dark\n"
    assert fal.ledger()["posts"] == 1
    notes.unlink()
    tweenbatch("run", "manifest.csv", "--yes")
    assert "not written" not in tweenbatch("run", "manifest.csv", "--yes").stdout
    assert [row["state"] for row in results(tweenbatch.folder)] == ["succeeded"]


@pytest.mark.parametrize("path", ["tweenbatch.db", "videos/results.csv"])
def test_the_key_is_written_nowhere(tweenbatch: Command, path: str) -> None:
    manifests.project(tweenbatch.folder, 1)
    run = tweenbatch("run", "manifest.csv", "--yes", "--logs")
    assert KEY not in run.stdout + run.stderr
    assert KEY.encode() not in (tweenbatch.folder / path).read_bytes()
