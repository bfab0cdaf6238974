"""What is wrong is said in one message, with the documented exit code, before anything is spent."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from support import manifests
from support.command import Command
from support.fal import Server

RUN = ("run", "manifest.csv", "--yes")


def test_every_problem_of_a_manifest_is_named_at_once(tweenbatch: Command, fal: Server) -> None:
    manifests.project(tweenbatch.folder, 0)
    good = manifests.rows(1)[0]
    manifests.write(
        tweenbatch.folder / "manifest.csv",
        [
            good,
            {**good, "prompt": "two\nlines", "duration": "7"},
            {**good, "prompt": " ", "start_image": "nowhere.png"},
            {**good, "end_image": "http://example.com/x.png"},
            {**good, "end_image": ""},
        ],
    )
    refused = tweenbatch(*RUN)
    assert refused.returncode == 2
    said = refused.stderr
    assert "manifest.csv: 5 problems; nothing was imported" in said
    assert "row 3, column 'duration': is '7'; Kling O1 allows 5 or 10" in said
    assert "row 4 (line 5), column 'prompt': is empty" in said
    assert "row 4 (line 5), column 'start_image': 'nowhere.png' does not exist" in said
    assert "row 5 (line 6), column 'end_image': 'http://example.com/x.png' isn't an https" in said
    assert "row 6 (line 7), column 'end_image': is empty" in said
    assert "--allow-open-ended" in said
    assert fal.ledger()["requests"]["upload"] == 0
    assert not (tweenbatch.folder / "tweenbatch.db").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"prompt,start_image\nx,a.png\n", "column 'end_image': this column is missing"),
        (b"prompt,start_image,end_image,seed\nx,a.png,b.png,7\n", "has no seed; ask for another"),
        (b"prompt,start_image,end_image\n", "there are no rows"),
        (b"prompt,start_image,end_image\n\xff\xfe,a.png,b.png\n", "on line 2, is not UTF-8"),
        (
            b'prompt,start_image,end_image\n"x,a.png,b.png\n',
            'a quote (") opens here and is not closed',
        ),
        (b"prompt,start_image,end_image\nx,y,a.png,b.png\n", "has 4 cells where the header has 3"),
        (b"prompt,prompt,start_image,end_image\nx,y,a.png,b.png\n", "appears twice"),
        (b"prompt,start_image,end_image\nx,a.png,manifest.csv\n", "'manifest.csv' "),
        (b"prompt,start_image,end_image\nx,a.png,tiny.png\n", "at least 300 px"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused_in_one_line(
    tweenbatch: Command, content: bytes, words: str
) -> None:
    manifests.project(tweenbatch.folder, 0)
    manifests.frame(tweenbatch.folder / "tiny.png", size=(20, 20))
    (tweenbatch.folder / "manifest.csv").write_bytes(content)
    refused = tweenbatch(*RUN)
    assert refused.returncode == 2
    assert words in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_missing_manifest_is_named(tweenbatch: Command) -> None:
    refused = tweenbatch("run", "nowhere.csv", "--yes")
    assert refused.returncode == 2
    assert "nowhere.csv: 1 problem" in refused.stderr
    assert "the file does not exist" in refused.stderr


def test_utf8_with_a_mark_and_prompts_of_many_lines_are_read(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 0)
    text = 'prompt,start_image,end_image\n"snow\nmelts, ”zauberhaft” 雪",a.png,b.png\n'
    (tweenbatch.folder / "manifest.csv").write_text(text, encoding="utf-8-sig")
    assert tweenbatch(*RUN).returncode == 0
    assert fal.prompts() == ["snow\nmelts, ”zauberhaft” 雪"]


def test_a_prompt_that_can_not_be_sent_is_refused_before_anything_is_spent(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 0)
    (good,) = manifests.rows(1)
    prompts = [good["prompt"], "\U0001f328" * 2501, "snow\x1bmelts", "\x07" + "x" * 2500]
    rows = [{**good, "prompt": prompt} for prompt in prompts]
    manifests.write(tweenbatch.folder / "manifest.csv", rows)
    refused = tweenbatch(*RUN)
    assert refused.returncode == 2
    said = refused.stderr
    assert "manifest.csv: 4 problems; nothing was imported" in said
    assert "row 3, column 'prompt': has 2501 characters; at most 2500 are allowed" in said
    assert "row 4, column 'prompt': has the control character U+001B as character 5" in said
    assert "row 5, column 'prompt': has 2501 characters" in said
    assert "row 5, column 'prompt': has the control character U+0007 as character 1" in said
    assert fal.ledger()["requests"]["upload"] == 0
    assert not (tweenbatch.folder / "tweenbatch.db").exists()


def test_prompts_of_every_script_reach_fal_as_they_were_written(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 0)
    (good,) = manifests.rows(1)
    prompts = [
        "\U0001f328" * 2500,
        "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1ee\U0001f1f8 \u2744\ufe0f",
        "\u0627\u0644\u062b\u0644\u062c \u202b\u05e9\u05dc\u05d2\u202c @Image1",
        "e\u0301 and \u00e9, \ufb01 and fi, z\u0351\u036b\u0343",
        "a\ttab and\r\nlines\nof every\rkind",
    ]
    rows = [{**good, "prompt": prompt} for prompt in prompts]
    manifests.write(tweenbatch.folder / "manifest.csv", rows)
    assert tweenbatch(*RUN).returncode == 0
    assert sorted(fal.prompts()) == sorted(prompts)


def test_without_a_key_one_line_says_what_to_do(tweenbatch: Command) -> None:
    manifests.project(tweenbatch.folder, 1)
    refused = replace(tweenbatch, key=None)(*RUN)
    assert refused.returncode == 2
    assert "FAL_KEY" in refused.stderr
    assert "--rehearse" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


def test_without_a_terminal_and_without_yes_nothing_is_spent(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 2)
    refused = tweenbatch("run", "manifest.csv")
    assert refused.returncode == 2
    assert "$1.12" in refused.stderr
    assert "--yes" in refused.stderr
    assert fal.ledger()["posts"] == 0
    assert not (tweenbatch.folder / "tweenbatch.db").exists()


def test_an_output_folder_that_is_a_file_is_found_before_anything_is_spent(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 1)
    (tweenbatch.folder / "taken").write_text("in the way")
    refused = tweenbatch(*RUN, "--output", "taken/videos")
    assert refused.returncode == 2
    assert "output folder" in refused.stderr
    assert fal.ledger()["posts"] == 0


def test_an_unwritable_output_folder_is_found_before_anything_is_spent(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 1)
    refused = tweenbatch(*RUN, "--output", "/proc/videos")  # not even root may write there
    assert refused.returncode == 2
    assert "/proc/videos" in refused.stderr
    assert "--output" in refused.stderr
    assert fal.ledger()["posts"] == 0


def test_a_table_from_the_future_is_refused(tweenbatch: Command, fal: Server) -> None:
    manifests.project(tweenbatch.folder, 1)
    assert tweenbatch(*RUN).returncode == 0
    table = sqlite3.connect(tweenbatch.folder / "tweenbatch.db")
    table.execute("UPDATE tweenbatch_version SET version_num = '9999_from_the_future'")
    table.commit()
    table.close()
    for command in (RUN, ("status",), ("export",)):
        refused = tweenbatch(*command)
        assert refused.returncode == 2, command
        assert "newer" in refused.stderr
        assert "tweenbatch.db" in refused.stderr
    assert fal.ledger()["posts"] == 1


@pytest.mark.parametrize("command", [("status",), ("export",), ("run",), ("retry", "--yes")])
def test_where_there_is_no_table_yet_the_way_to_one_is_named(
    tweenbatch: Command, command: tuple[str, ...]
) -> None:
    refused = tweenbatch(*command)
    assert refused.returncode == 2
    assert "tweenbatch run" in refused.stderr
    assert not (tweenbatch.folder / "tweenbatch.db").exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--concurrency", "0"),
        ("--concurrency", "many"),
        ("--max-cost", "-1"),
        ("--max-cost", "much"),
        ("--limit", "-1"),
        ("--max-duration", "soon"),
        ("--stop-at", "25:99"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(
    tweenbatch: Command, option: str, value: str
) -> None:
    manifests.project(tweenbatch.folder, 1)
    refused = tweenbatch(*RUN, option, value)
    assert refused.returncode == 2
    assert option in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_stand_in_for_fal_is_on_this_machine_or_it_is_refused(
    tweenbatch: Command, tmp_path: Path
) -> None:
    manifests.project(tmp_path, 1)
    refused = replace(tweenbatch, connect_to="http://192.0.2.7:8911")(*RUN)
    assert refused.returncode == 2
    assert "a server on this machine" in refused.stderr


@pytest.mark.parametrize("target", ["out.xlsx", "nowhere/out.csv", "/proc/out.csv"])
def test_an_export_that_can_not_be_written_is_refused_in_one_line(
    tweenbatch: Command, target: str
) -> None:
    manifests.project(tweenbatch.folder, 1)
    tweenbatch(*RUN)
    refused = tweenbatch("export", "-o", target)
    assert refused.returncode == 2
    assert target in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("name", ["manifest.csv", "notes.jsonl"])
def test_an_export_writes_over_results_and_over_nothing_else_unless_told_to(
    tweenbatch: Command, name: str
) -> None:
    manifests.project(tweenbatch.folder, 1)
    tweenbatch(*RUN)
    (tweenbatch.folder / "notes.jsonl").write_text('{"a": "note"}\n')
    file = tweenbatch.folder / name
    own = file.read_bytes()
    refused = tweenbatch("export", "-o", name)
    assert refused.returncode == 2
    assert f"-o {name}: the file already exists" in refused.stderr
    assert file.read_bytes() == own
    assert tweenbatch("export", "-o", name, "--force").returncode == 0
    assert file.read_bytes() != own
    for results in (name, "empty.csv"):
        (tweenbatch.folder / "empty.csv").touch()
        again = tweenbatch("export", "-o", results)
        assert again.returncode == 0, again.stderr


@pytest.mark.parametrize("db", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_a_table_that_would_forget_what_was_paid_for_is_refused(
    tweenbatch: Command, fal: Server, db: str
) -> None:
    manifests.project(tweenbatch.folder, 1)
    refused = tweenbatch(*RUN, "--db", db)
    assert refused.returncode == 2
    assert "a table in memory forgets what was paid for; name a file" in refused.stderr
    assert not fal.ledger()["posts"]


def test_an_unreachable_service_is_reported_and_costs_no_attempt(tweenbatch: Command) -> None:
    manifests.project(tweenbatch.folder, 0)
    url = "https://example.com/frame.png"
    manifests.write(
        tweenbatch.folder / "manifest.csv", manifests.rows(2, start_image=url, end_image=url)
    )
    alone = replace(tweenbatch, connect_to="http://127.0.0.1:1")
    stopped = alone(*RUN, "--max-duration", "12s")
    assert stopped.returncode == 4
    assert "no connection to queue.fal.run" in stopped.stderr
    assert "next submission in" in stopped.stderr
    assert tweenbatch.jobs() == {"pending": 2}


def test_a_run_over_uncertain_jobs_alone_looks_them_up_and_does_not_call_them_done(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 1)
    fal.script(
        {"on": "submit", "do": "reset", "at": "reply"},
        {"on": "history", "do": "reply", "status": 403},
    )
    assert tweenbatch(*RUN).returncode == 5
    again = tweenbatch("run", "manifest.csv")
    assert again.returncode == 5
    assert "To look up at fal: 1 clip of unknown outcome" in again.stdout
    assert fal.ledger()["posts"] == 1
