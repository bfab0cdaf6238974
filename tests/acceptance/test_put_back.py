"""A folder that is put back whole, or copied, lock and all, pays for nothing a second time."""

import shutil
from dataclasses import replace
from typing import Any

import pytest

from support import manifests
from support.fal import Emulated, Server
from support.forked import Forked, Zygote

ROWS = 6
PAID = 2
"""So many are paid for before the copy is made."""

RUN = ("run", "manifest.csv", "--yes")
FIRST = (*RUN, "--limit", str(PAID))
NO_LIST: dict[str, Any] = {"on": "history", "do": "reply", "status": 403}


@pytest.fixture
def at_work(tweenbatch: Forked) -> Forked:
    """A project in a folder, whose state is kept outside of it, of which a part is paid for."""
    folder = tweenbatch.folder / "project"
    folder.mkdir()
    manifests.project(folder, ROWS)
    kept = {"XDG_STATE_HOME": str(tweenbatch.folder / "state")}
    made = replace(tweenbatch, folder=folder, environment=kept)
    assert made(*FIRST).returncode == 3
    return made


@pytest.fixture
def without_state(at_work: Forked) -> Forked:
    """The same where nothing is kept outside of the folder."""
    return replace(at_work, environment={"XDG_STATE_HOME": "/proc/nowhere"})


def copied(command: Forked, name: str) -> Forked:
    folder = command.folder.with_name(name)
    shutil.copytree(command.folder, folder)
    return replace(command, folder=folder)


def put_back(command: Forked, copy: Forked) -> None:
    shutil.rmtree(command.folder)
    shutil.copytree(copy.folder, command.folder)


def add_a_row(command: Forked, prompt: str) -> None:
    rows = [*manifests.rows(ROWS), *manifests.rows(1, name="another", prompt=prompt)]
    manifests.write(command.folder / "manifest.csv", rows)


def nothing_paid_twice(fal: Server, posts: int) -> None:
    ledger = fal.ledger()
    assert (ledger["posts"], ledger["duplicate_count"]) == (posts, 0), ledger["duplicates"]


def test_a_folder_that_was_put_back_whole_is_known_for_what_it_is(
    at_work: Forked, fal: Server
) -> None:
    copy = copied(at_work, "copy")
    assert at_work(*RUN).returncode == 0
    put_back(at_work, copy)
    refused = at_work(*RUN)
    assert refused.returncode == 5
    assert "was restored to an earlier state: run 2 paid on" in refused.stderr
    assert "--trust-table" in refused.stderr
    trusted = at_work(*RUN, "--trust-table")
    assert trusted.returncode == 0, trusted.stderr
    assert at_work.jobs() == {"succeeded": ROWS}
    nothing_paid_twice(fal, ROWS)
    add_a_row(at_work, "another prompt")
    assert at_work(*RUN).returncode == 0
    nothing_paid_twice(fal, ROWS + 1)


def test_where_all_memory_was_put_back_with_it_fal_s_list_tells(
    without_state: Forked, fal: Server
) -> None:
    copy = copied(without_state, "copy")
    assert without_state(*RUN).returncode == 0
    put_back(without_state, copy)
    again = without_state(*RUN)
    assert again.returncode == 0, again.stderr
    assert f"{ROWS - PAID} paid clips that were missing from this table" in again.stderr
    assert without_state.jobs() == {"succeeded": ROWS}
    nothing_paid_twice(fal, ROWS)


@pytest.mark.parametrize("agreed", [False, True], ids=["nobody agrees", "--pay-again"])
def test_a_request_whose_frames_can_not_be_read_may_have_paid_for_a_row(
    at_work: Forked, fal: Server, *, agreed: bool
) -> None:
    assert at_work(*RUN).returncode == 0
    (at_work.folder / "tweenbatch.db").unlink()
    gone = "https://v3b.fal.media/files/b/zebra/photo.png"
    fal.script(
        {"on": "history", "do": "change", "set": {"items.0.json_input.start_image_url": gone}}
    )
    trusting = (*RUN, "--trust-table", "--absent-after", "1s")
    refused = at_work(*trusting, *(["--pay-again"] if agreed else []))
    assert refused.returncode == 4
    # With --pay-again only what may still be running is waited for.
    reason = "recent payments may be missing" if agreed else "1 frame in fal's list can't be read"
    assert reason in refused.stderr
    nothing_paid_twice(fal, ROWS)
    fal.script()
    assert at_work(*trusting).returncode == 0
    assert at_work.jobs() == {"succeeded": ROWS}
    nothing_paid_twice(fal, ROWS)


def test_what_was_paid_for_days_before_the_last_is_found_too(
    without_state: Forked, zygote: Zygote
) -> None:
    """The first look after the table was put back finds what is of today, and misses one clip."""
    kept = ("--state", str(without_state.folder.with_name("fal")))

    def after(days: int) -> tuple[Emulated, Forked]:
        clock = {"ahead": days * 86_400.0, "pace": 1.0}
        emulated = Emulated(zygote, *kept, clock=clock)
        return emulated, replace(without_state, clock=clock, connect_to=emulated.server.url)

    emulated, command = after(0)
    with emulated as fal:
        assert command(*FIRST).returncode == 3
        copy = copied(command, "copy")
        assert command(*RUN, "--limit", "1").returncode == 3
        missed = fal.server.ledger()["accepted"][-1]["request_id"]
    emulated, command = after(2)
    with emulated as fal:
        assert command(*RUN).returncode == 0
        bought = fal.server.ledger()["posts"]
        put_back(command, copy)
        fal.server.script({"on": "history", "do": "omit", "request_id": missed})
        assert command(*RUN).returncode == 4
    emulated, command = after(4)
    with emulated as fal:
        trusted = command(*RUN, "--trust-table")
        assert trusted.returncode == 0, trusted.stderr
        assert command.jobs() == {"succeeded": ROWS}
        nothing_paid_twice(fal.server, bought)


UNSEEN: list[dict[str, Any]] = [
    {"do": "reply", "status": 404},
    {"do": "reply", "status": 200, "body": "<html>hello</html>"},
    *(
        {"do": "truncate", "after_bytes": 300, "framing": framing}
        for framing in ("length", "short_length", "chunked", "close", "reset")
    ),
    {"do": "endless", "extra_bytes": 7},
]


@pytest.mark.parametrize(
    "trust", [[], ["--trust-table", "--absent-after", "1s"]], ids=["unknown", "known"]
)
def test_frames_of_ours_that_are_gone_or_come_spoiled_are_known_by_their_names(
    tweenbatch: Forked, fal: Server, trust: list[str]
) -> None:
    """Each row has a frame of its own, of which one is spoiled in each way."""
    folder = tweenbatch.folder
    rows = manifests.rows(len(UNSEEN), prompt="@Image1 turns", end_image="")
    for number, row in enumerate(rows):
        row["start_image"] = manifests.frame(folder / f"{number}.png", (number, 2, 3)).name
    manifests.write(folder / "manifest.csv", rows)
    run = (*RUN, "--allow-open-ended")
    assert tweenbatch(*run).returncode == 0
    gone = [folder / "tweenbatch.db"] if trust else folder.glob("tweenbatch.db*")
    shutil.rmtree(folder / ".local")
    for path in gone:
        path.unlink()
    fal.script(*({"on": "download", "nth": n, **how} for n, how in enumerate(UNSEEN, start=1)))
    again = tweenbatch(*run, "--new-table", *trust, "--settle", "0")
    assert "Traceback" not in again.stderr
    nothing_paid_twice(fal, len(UNSEEN))
    fal.script()
    assert tweenbatch(*run, *trust).returncode == 0
    assert tweenbatch.jobs() == {"succeeded": len(UNSEEN)}
    nothing_paid_twice(fal, len(UNSEEN))


def test_what_may_still_run_for_a_folder_that_was_put_back_is_not_bought_again(
    without_state: Forked, fal: Server
) -> None:
    """Two are at work at fal, where nobody can see them, as the folder is put back."""
    copy = copied(without_state, "copy")
    held = [f"number {n}:" for n in (ROWS - 1, ROWS)]
    fal.script(*({"on": "generation", "do": "hold", "prompt_contains": text} for text in held))
    with without_state.running(*RUN) as run:
        fal.wait_for("accepted", count=ROWS)
        fal.wait_for("download_finished", count=ROWS - 2)
        run.kill()
        run.wait()
    put_back(without_state, copy)
    early = without_state(*RUN)
    assert early.returncode == 4, early.stderr
    assert "More may still be running" in early.stdout + early.stderr
    assert without_state(*RUN).returncode == 5
    nothing_paid_twice(fal, ROWS)
    fal.script()
    fal.release()
    fal.wait_for("completed", count=ROWS)
    assert without_state(*RUN, "--trust-table").returncode == 0
    assert without_state.jobs() == {"succeeded": ROWS}
    nothing_paid_twice(fal, ROWS)


def test_of_a_folder_and_its_copy_the_second_one_that_pays_is_behind(
    at_work: Forked, fal: Server
) -> None:
    copy = copied(at_work, "copy")
    assert at_work(*RUN).returncode == 0
    refused = copy(*RUN)
    assert refused.returncode == 5
    assert f"has a copy, {at_work.folder}" in refused.stderr
    assert copy(*RUN, "--trust-table").returncode == 0
    nothing_paid_twice(fal, ROWS)
    # From here on they are two tables, each of which knows what the other had paid for.
    for number, each in enumerate((at_work, copy)):
        add_a_row(each, f"prompt {number}")
        assert each(*RUN).returncode == 0
    nothing_paid_twice(fal, ROWS + 2)


def test_where_nothing_tells_them_apart_fal_s_list_does(without_state: Forked, fal: Server) -> None:
    copy = copied(without_state, "copy")
    for each in (without_state, copy):
        assert each(*RUN).returncode == 0
        assert each.jobs() == {"succeeded": ROWS}
    nothing_paid_twice(fal, ROWS)


def test_a_copy_does_not_pay_while_the_other_is_at_work(at_work: Forked, fal: Server) -> None:
    copy = copied(at_work, "copy")
    fal.script({"on": "generation", "do": "hold"})
    with at_work.running(*RUN, "--concurrency", "1") as run:
        fal.wait_for("accepted", count=PAID + 1)
        refused = copy(*RUN)
        fal.release()
        fal.script()
        assert run.wait().returncode == 0
    assert refused.returncode == 5
    nothing_paid_twice(fal, ROWS)


def test_a_folder_that_was_moved_goes_on(at_work: Forked, fal: Server) -> None:
    moved = replace(at_work, folder=at_work.folder.with_name("moved"))
    at_work.folder.rename(moved.folder)
    assert moved(*RUN).returncode == 0
    nothing_paid_twice(fal, ROWS)


def test_a_table_that_was_deleted_with_its_lock_takes_over_what_it_paid_for(
    at_work: Forked, fal: Server
) -> None:
    assert at_work(*RUN).returncode == 0
    for path in at_work.folder.glob("tweenbatch.db*"):
        path.unlink()
    assert at_work(*RUN).returncode == 2, "a table that was here is missed"
    assert at_work(*RUN, "--new-table").returncode == 0
    assert at_work.jobs() == {"succeeded": ROWS}
    nothing_paid_twice(fal, ROWS)


def test_what_is_wanted_twice_is_paid_for_twice(at_work: Forked, fal: Server) -> None:
    """Other takes of what the table has paid for are no one's but its own."""
    assert at_work(*RUN).returncode == 0
    assert at_work("retake", "1", "2", "--yes").returncode == 0
    assert at_work("run", "--yes").returncode == 0
    assert fal.ledger()["posts"] == ROWS + 2
    assert at_work(*RUN, "--takes", "3").returncode == 0
    assert fal.ledger()["posts"] == ROWS * 3


def test_of_takes_those_that_were_lost_are_taken_over_and_no_other_is_bought_too_soon(
    tweenbatch: Forked, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 1, takes="4")
    assert tweenbatch(*FIRST).returncode == 3
    for path in tweenbatch.folder.glob("tweenbatch.db*"):
        path.unlink()
    early = tweenbatch(*RUN, "--new-table")
    assert early.returncode == 4
    assert "--trust-table" in early.stderr
    assert tweenbatch.jobs() == {"pending": 2, "succeeded": 2}
    assert fal.ledger()["posts"] == 2


def test_another_project_with_the_same_prompts_costs_no_look_at_each_frame(
    without_state: Forked, fal: Server
) -> None:
    other = copied(without_state, "other")
    for path in other.folder.glob("tweenbatch.db*"):
        path.unlink()
    manifests.frame(other.folder / "a.png", (1, 2, 3))
    assert other(*FIRST).returncode == 3
    assert fal.ledger()["posts"] == 2 * PAID
    assert fal.totals()["downloads"]["started"] == 2 * PAID


def test_who_wants_to_pay_again_may(without_state: Forked, fal: Server) -> None:
    for path in without_state.folder.glob("tweenbatch.db*"):
        path.unlink()
    assert without_state(*RUN, "--pay-again").returncode == 0
    assert fal.ledger()["posts"] == PAID + ROWS


UNREADABLE: dict[str, tuple[dict[str, Any], str]] = {
    "forbidden": (NO_LIST, "models:requests:read"),
    "missing": ({**NO_LIST, "status": 404}, "HTTP 404"),
    "no list": (
        {"on": "history", "do": "change", "drop": ["items"]},
        "fal's list of past requests isn't a list",
    ),
    "endless": (
        {"on": "history", "do": "change", "set": {"has_more": True, "next_cursor": "again"}},
        "",
    ),
}


@pytest.mark.parametrize("how", UNREADABLE)
def test_a_list_that_can_t_be_read_is_reported_and_keeps_nobody_from_paying(
    at_work: Forked, fal: Server, how: str
) -> None:
    fault, words = UNREADABLE[how]
    fal.script(fault)
    run = at_work(*RUN)
    assert run.returncode == 0, run.stderr
    assert words in run.stderr
    nothing_paid_twice(fal, ROWS)


@pytest.mark.parametrize(
    "fault",
    [
        NO_LIST,
        {"on": "history", "do": "change", "set": {"items": [], "has_more": False}},
        {"on": "history", "do": "omit"},
        {"on": "history", "do": "lag", "seconds": 3600.0},
    ],
    ids=["forbidden", "empty", "hidden", "late"],
)
def test_what_was_put_back_pays_nothing_where_the_list_can_t_be_read_or_shows_nothing(
    at_work: Forked, fal: Server, fault: dict[str, Any]
) -> None:
    copy = copied(at_work, "copy")
    assert at_work(*RUN).returncode == 0
    put_back(at_work, copy)
    fal.script(fault)
    assert at_work(*RUN).returncode == 5
    # Long after the last that was paid for.
    trusting = (*RUN, "--trust-table", "--absent-after", "1s")
    assert at_work(*trusting).returncode == 4
    nothing_paid_twice(fal, ROWS)


def test_a_new_key_and_a_rehearsal_hear_nothing_of_it(tweenbatch: Forked, fal: Server) -> None:
    manifests.project(tweenbatch.folder, 1)
    rehearsed = tweenbatch("run", "manifest.csv", "--rehearse")
    assert rehearsed.returncode == 0
    assert fal.totals()["requests"]["history"] == 0
    first = tweenbatch(*RUN)
    assert first.returncode == 0
    assert first.stderr == ""
    assert fal.totals()["requests"]["history"] == 2, "may the key list, and what is there"
