"""Trouble in reading a result is no failed generation: nothing is paid twice (virtual time)."""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from support.virtual import virtually
from support.world import World, world
from tweenbatch.exit_codes import ExitCode
from tweenbatch.records.result import RunResult

ROWS = 3
PRICE = Decimal("0.56")
NO_LIST = {"on": "history", "do": "reply", "status": 403}

TYPED = {"detail": "It broke.", "error_type": "internal_error"}


def model(kind: str) -> dict[str, Any]:
    return {"detail": [{"loc": ["body", "prompt"], "msg": "No.", "type": kind}]}


ANSWERS: dict[str, dict[str, Any]] = {
    "typed 500": {"status": 500, "body": TYPED},
    "typed 502": {"status": 502, "body": model("internal_server_error")},
    "typed 503": {"status": 503, "body": TYPED, "headers": {"X-Fal-Retryable": "true"}},
    "typed 504": {"status": 504, "body": {"detail": "Late.", "error_type": "request_timeout"}},
    "by header": {"status": 500, "body": "", "headers": {"X-Fal-Error-Type": "runner_crashed"}},
    "not retryable": {"status": 500, "body": TYPED, "headers": {"X-Fal-Retryable": "false"}},
    "untyped 500": {"status": 500, "body": {"detail": "Internal Server Error"}},
    "page 502": {"status": 502},
    "page 504": {"status": 504},
    "typed 400": {"status": 400, "body": model("downstream_service_error")},
    "bad request": {"status": 400, "body": {"detail": "Bad.", "error_type": "bad_request"}},
    "typed 422": {"status": 422, "body": model("content_policy_violation")},
    "frames 422": {"status": 422, "body": model("file_download_error")},
    "cancelled 499": {
        "status": 499,
        "body": {"detail": "Request cancelled", "error_type": "client_cancelled"},
    },
    "untyped 400": {"status": 400, "body": {"detail": "Request is still in progress"}},
    "untyped 422": {"status": 422, "body": {"detail": "Image could not be loaded"}},
    "page 422": {"status": 422, "body": "<html><title>No</title></html>"},
    "page 451": {"status": 451, "body": "<html><title>No</title></html>"},
    "402": {"status": 402, "body": TYPED},
    "404": {"status": 404},
    "408": {"status": 408},
    "409": {"status": 409, "body": TYPED},
    "425": {"status": 425, "body": TYPED},
    "429": {"status": 429, "headers": {"Retry-After": "3"}},
    "page 200": {"status": 200, "body": "<html>hello</html>"},
    "list 200": {"status": 200, "body": []},
    "empty 200": {"status": 200, "body": {}},
    "redirect": {"status": 303},
}


Play = Callable[..., "Played"]


UNTYPED: dict[str, object] = {
    "a text": {"detail": "NSFW content"},
    "a list of texts": {"detail": ["NSFW content", "and more"]},
    "an entry without a type": {"detail": [{"loc": ["body", "prompt"], "msg": "NSFW content"}]},
    "error": {"error": "NSFW content"},
    "message": {"message": "NSFW content"},
    "an object": {"error": {"message": "NSFW content", "code": 7}},
    "plain text": "NSFW content",
    "a page": "<html><body><h1>NSFW content</h1></body></html>",
}


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a world: its last run, fal's ledger, and what was said."""

    here: World
    result: RunResult
    states: dict[str, int]
    accepted: int
    billed_usd: Decimal
    seconds: float
    urls: list[str]

    @property
    def said(self) -> str:
        return "\n".join(self.here.diary.notices)


async def played(here: World, rows: int, **settings: Any) -> Played:
    """Run with the money for each row once, unless told otherwise."""
    began = here.clock.monotonic()
    usual: dict[str, Any] = {"max_cost": rows * PRICE, "settle": 300}
    result = await here.run(**(usual | settings))
    ledger = here.ledger()
    return Played(
        here=here,
        result=result,
        states=here.states(),
        accepted=ledger["accepted_count"],
        billed_usd=Decimal(ledger["billed_usd"]),
        seconds=here.clock.monotonic() - began,
        urls=[row.video_url for row in here.store.views.export() if row.video_url],
    )


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    """Play rows under these faults in one run; ``then`` goes on from there."""
    ended: list[World] = []

    def play_it(
        *faults: dict[str, Any],
        rows: int = ROWS,
        then: Callable[[Played], Awaitable[None]] | None = None,
        **settings: Any,
    ) -> Played:
        async def body() -> Played:
            async with world(tmp_path, rows=rows) as here:
                ended.append(here)
                here.script(*faults)
                first = await played(here, rows, **settings)
                if then is not None:
                    await then(first)
                return first

        return virtually(body, within_seconds=7 * 24 * 3600)

    yield play_it
    # A test that reads the table of a world that has ended opens it again.
    for here in ended:
        here.store.close()


def one_each(answers: Iterable[dict[str, Any]], **more: Any) -> list[dict[str, Any]]:
    """The n-th row's result gives the n-th of the answers."""
    told = [
        {"on": "result", "do": "reply", "prompt_contains": f"prompt {n}", **more, **answer}
        for n, answer in enumerate(answers, start=1)
    ]
    # "prompt 1" is also in "prompt 12": the first in the script is played.
    return told[::-1]


@pytest.mark.parametrize("faults", [[], [NO_LIST]], ids=["listed", "no list"])
def test_a_result_that_can_not_be_read_for_a_minute_is_collected_and_not_bought_again(
    play: Play, faults: list[dict[str, Any]]
) -> None:
    passing = one_each(ANSWERS.values(), for_seconds=60, per_request=True)
    ended = play(*passing, *faults, rows=len(ANSWERS))
    assert ended.states == {"succeeded": len(ANSWERS)}
    assert ended.accepted == len(ANSWERS)
    assert ended.result.exit_code is ExitCode.SUCCEEDED


@pytest.mark.parametrize("name", ["typed 500", "page 502", "typed 422", "typed 400"])
def test_the_same_trouble_of_all_results_for_a_while_costs_nothing(play: Play, name: str) -> None:
    ended = play({"on": "result", "do": "reply", "for_seconds": 40, **ANSWERS[name]}, NO_LIST)
    assert (ended.states, ended.accepted) == ({"succeeded": ROWS}, ROWS)


def test_a_clip_that_fal_lists_is_collected_although_its_result_never_answers(play: Play) -> None:
    ended = play(*one_each(ANSWERS.values()), rows=len(ANSWERS))
    of_the_read = [a for a in ANSWERS.values() if a["status"] in {402, 408, 409, 425, 429}]
    # These say nothing of the generation and may be over at any moment: they are read again.
    assert ended.states == {
        "submitted": len(of_the_read),
        "succeeded": len(ANSWERS) - len(of_the_read),
    }
    assert ended.accepted == len(ANSWERS)


TRANSIENT = {"status": 500, "type": "internal_error"}
PERMANENT = {"status": 422, "type": "content_policy_violation", "billed": True}
CRASHED = {"status": 503, "type": "runner_crashed"}
FRAMES = {"status": 422, "type": "file_download_error"}


@pytest.mark.parametrize("announced", [True, False], ids=["status", "list"])
@pytest.mark.parametrize(
    ("failure", "bought", "states"),
    [
        (TRANSIENT, ROWS + 1, {"succeeded": ROWS}),
        (CRASHED, ROWS + 1, {"succeeded": ROWS}),
        (FRAMES, ROWS + 1, {"succeeded": ROWS}),
        (PERMANENT, ROWS, {"failed": 1, "succeeded": ROWS - 1}),
    ],
)
def test_a_generation_that_failed_by_two_witnesses_is_settled_within_a_minute(
    play: Play, failure: dict[str, Any], bought: int, states: dict[str, int], *, announced: bool
) -> None:
    fails = {"on": "generation", "do": "fail", "nth": 2, "announced": announced, **failure}
    ended = play(fails, *([NO_LIST] if announced else []), max_cost=(ROWS + 1) * PRICE)
    assert ended.states == states
    assert ended.accepted == bought
    assert ended.seconds < 60


def test_a_failure_of_the_service_frees_its_price_for_the_next_try(play: Play) -> None:
    ended = play({"on": "generation", "do": "fail", "nth": 2, **TRANSIENT})
    assert ended.states == {"succeeded": ROWS}
    assert ended.accepted == ROWS + 1
    assert ended.billed_usd == ROWS * PRICE


def test_a_refusal_without_a_type_ends_in_minutes_with_the_words_of_fal(play: Play) -> None:
    """Without the list it is read again for a while; nothing of it is bought again."""
    refusals = [
        {"status": status, "body": body}
        for status in (400, 405, 413, 415, 422, 451)
        for body in UNTYPED.values()
    ]
    count = len(refusals)

    async def then(ended: Played) -> None:
        assert (ended.states, ended.accepted) == ({"failed": count}, count)
        assert ended.here.store.views.money().spent == count * PRICE
        for attention in ended.here.store.views.attention():
            assert attention.error_type == "unknown_error"
            assert "NSFW content" in (attention.error_message or "")

    ended = play(
        *one_each(refusals), NO_LIST, rows=count, then=then, keep_going=True, concurrency=99
    )
    assert ended.seconds < 300
    first = next(line for line in ended.said.splitlines() if "its result can't be read" in line)
    assert "(HTTP 4" in first
    assert "NSFW content" in first


def test_passing_trouble_of_the_service_never_ends_a_job_within_a_day(play: Play) -> None:
    """No type, no list, no error in the status: nobody says that it failed."""

    async def then(first: Played) -> None:
        assert first.states == {"submitted": ROWS}
        assert first.result.exit_code is ExitCode.TROUBLE
        assert first.here.store.views.money().reserved == ROWS * PRICE
        reasons = {attention.error_message for attention in first.here.store.views.attention()}
        assert reasons == {"502 Bad Gateway 502 Bad Gateway nginx"}
        first.here.script()
        second = await played(first.here, ROWS)
        assert (second.states, second.accepted) == ({"succeeded": ROWS}, ROWS)

    play({"on": "result", "do": "reply", "status": 502}, NO_LIST, then=then)


def test_a_result_that_is_unreadable_for_a_day_is_given_up_and_never_bought_by_itself(
    play: Play,
) -> None:
    async def then(first: Played) -> None:
        assert first.states == {"submitted": 1}
        await first.here.clock.sleep(24 * 3600)
        second = await played(first.here, 1)
        assert (second.states, second.accepted) == ({"failed": 1}, 1)
        [attention] = first.here.store.views.attention()
        assert attention.error_type == "result_unreadable"
        assert first.here.store.views.money().spent == PRICE

    play({"on": "result", "do": "reply", "status": 502}, NO_LIST, rows=1, then=then)


def test_only_a_typed_answer_that_lasts_for_long_is_bought_again(play: Play) -> None:
    """One witness, for twelve minutes: its price counts all the same."""
    lasting = {"on": "result", "do": "reply", "prompt_contains": "prompt 1"}
    ended = play(
        {**lasting, **ANSWERS["typed 500"], "for_seconds": 15 * 60, "per_request": True},
        NO_LIST,
        rows=2,
        max_cost=3 * PRICE,
    )
    assert ended.seconds > 12 * 60
    assert ended.accepted == 3
    assert ended.here.store.views.money().spent == ended.billed_usd == 3 * PRICE


def test_the_price_stays_reserved_until_the_result_was_read_once_more(play: Play) -> None:
    """Both witnesses are wrong for a while; meanwhile nobody else gets the money."""
    error = {"error": "It broke.", "error_type": "internal_error"}
    wrong = {"prompt_contains": "prompt 1"}
    ended = play(
        {"on": "status", "do": "change", "set": error, **wrong},
        {"on": "result", "do": "reply", "for_seconds": 8, **wrong, **ANSWERS["typed 500"]},
        max_cost=2 * PRICE,
    )
    assert ended.states == {"pending": 1, "succeeded": 2}
    assert ended.accepted == 2
    assert ended.here.failures() == {0: 3}


def test_a_clip_that_is_there_after_hours_is_collected_in_place_of_the_purchase(play: Play) -> None:
    async def then(first: Played) -> None:
        assert first.states == {"pending": 1, "succeeded": 1}
        await first.here.clock.sleep(5 * 3600)
        first.here.script()
        second = await played(first.here, 2)
        assert (second.states, second.accepted) == ({"succeeded": 2}, 2)
        assert second.result.exit_code is ExitCode.SUCCEEDED
        assert first.here.store.views.money().spent == second.billed_usd == 2 * PRICE
        assert "it is collected, not paid again" in second.said

    trouble = {"on": "result", "do": "reply", "prompt_contains": "prompt 1"}
    play({**trouble, **ANSWERS["typed 500"]}, NO_LIST, rows=2, limit=2, then=then)


def test_what_a_person_queues_again_is_read_once_more_before_it_is_paid_for(play: Play) -> None:
    async def then(first: Played) -> None:
        assert first.states == {"failed": 2}
        here = first.here
        here.store.jobs.requeue([1, 2], now=here.clock.now())
        here.script({**refused, "prompt_contains": "prompt 2"}, NO_LIST)
        second = await played(here, 2)
        # The second is bought again, as was asked for, and fails again.
        assert second.accepted == 3
        assert second.states == {"failed": 1, "succeeded": 1}

    refused = {"on": "result", "do": "reply", **ANSWERS["typed 422"]}
    play(refused, NO_LIST, rows=2, then=then)


def test_an_earlier_result_that_can_not_be_read_holds_up_the_next_purchase(play: Play) -> None:
    async def then(first: Played) -> None:
        here = first.here
        here.store.jobs.requeue([1], now=here.clock.now())
        here.script({"on": "result", "do": "reply", "status": 429, "for_seconds": 600}, NO_LIST)
        second = await played(here, 1, settle=3600)
        assert (second.states, second.accepted) == ({"succeeded": 1}, 1)
        assert "not paid again until its earlier request is known" in second.said

    refused = {"on": "result", "do": "reply", **ANSWERS["typed 422"]}
    play(refused, NO_LIST, rows=1, then=then)


def test_a_page_in_place_of_an_earlier_result_is_no_word_to_pay_on(play: Play) -> None:
    async def then(first: Played) -> None:
        assert first.states == {"pending": 1, "succeeded": 1}
        here = first.here
        here.script({"on": "result", "do": "reply", "status": 502, "for_seconds": 600}, NO_LIST)
        second = await played(here, 2, settle=3600)
        assert (second.states, second.accepted) == ({"succeeded": 2}, 2)

    trouble = {"on": "result", "do": "reply", "prompt_contains": "prompt 1"}
    play({**trouble, **ANSWERS["typed 500"]}, NO_LIST, rows=2, limit=2, then=then)


def test_results_in_the_same_trouble_hold_submissions_back_and_end_the_buying(play: Play) -> None:
    async def then(first: Played) -> None:
        assert first.result.exit_code is ExitCode.TROUBLE
        assert "the results of" in (first.result.ended.trouble or "")
        assert "nothing is submitted until this ends" in first.said
        # Five at one time, and those that filled the slots of the first to end.
        assert first.accepted <= 10
        first.here.script()
        second = await played(first.here, 30)
        assert (second.states, second.accepted) == ({"succeeded": 30}, 30)

    page = {"on": "result", "do": "reply", "status": 502}
    play(page, NO_LIST, rows=30, concurrency=5, then=then)


def test_results_that_stay_unreadable_count_as_the_same_failure(play: Play) -> None:
    ended = play({"on": "result", "do": "reply", "status": 502}, NO_LIST, rows=6, same_failures=3)
    assert "consecutive rows failed with the same error" in (ended.result.ended.same_failure or "")


@pytest.mark.parametrize("named", ["other", "asked"])
@pytest.mark.parametrize("faults", [[], [NO_LIST]], ids=["listed", "no list"])
def test_results_that_the_server_mixes_up_for_a_while_leave_each_clip_with_its_row(
    play: Play, named: str, faults: list[dict[str, Any]]
) -> None:
    mixed = {"on": "result", "do": "mix_up", "named": named, "for_seconds": 40, "from_nth": 2}
    ended = play(mixed, *faults, rows=10)
    assert ended.accepted == 10
    twice = len(ended.urls) - len(set(ended.urls))
    # Whoever asks first can't know that a clip is another's. It comes out, and is said.
    assert twice == ended.said.count("this job has the clip of")
    laid_aside = ended.said.count("its result names the clip of")
    if named == "other":
        assert (ended.states, twice, laid_aside) == ({"succeeded": 10}, 0, 0)
    elif faults:
        assert (
            ended.states.get("submitted", 0)
            == len(ended.here.store.views.attention())
            <= laid_aside
        )


def test_a_clip_that_another_row_has_is_laid_aside_with_a_clear_word(play: Play) -> None:
    mixed = {"on": "result", "do": "mix_up", "named": "asked", "prompt_contains": "prompt 2"}
    ended = play(mixed, NO_LIST, rows=2, concurrency=1)
    assert ended.states == {"submitted": 1, "succeeded": 1}
    [attention] = ended.here.store.views.attention()
    assert attention.error_message == "its result names the clip of clip-1"


def test_the_list_tells_whose_clip_it_is_where_results_stay_mixed_up(play: Play) -> None:
    mixed = {"on": "result", "do": "mix_up", "prompt_contains": "prompt 2"}
    ended = play(mixed, rows=2, concurrency=1)
    assert ended.states == {"succeeded": 2}
    assert len(set(ended.urls)) == 2
