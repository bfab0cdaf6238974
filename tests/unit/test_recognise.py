"""Which of fal's past requests a waiting job was paid for with."""

from datetime import timedelta
from typing import Any

import pytest

from support.jobs import NOON, job
from tweenbatch.models import KLING_O1
from tweenbatch.records import Frame, Job, JobSpec, PastRequest
from tweenbatch.stages.match_history import (
    frames_to_see,
    is_like_ours,
    may_be_wanted,
    recognise,
)
from tweenbatch.states import State

A, B = "a" * 64, "b" * 64
UPLOADED = "https://v3.fal.media/files/a.png"
AGAIN = "https://v3.fal.media/files/the-same-again.png"
ELSEWHERE = "https://example.com/a.png"
LOCAL = Frame(source="/frames/a.png", sha256=A)
REMOTE = Frame(source=ELSEWHERE)


def waiting(
    number: int = 1, *, start: Frame = LOCAL, end: Frame | None = None, **facts: Any
) -> Job:
    spec = {"prompt": "one", "parameters": {"duration": "5"}, **facts}
    made = JobSpec(endpoint=KLING_O1.id, start=start, end=end, **spec)
    return job(number, spec=made, state=State.PENDING, arguments=None)


def asked(start: str = UPLOADED, end: str | None = None, **changes: Any) -> dict[str, Any]:
    frames = {"start_image_url": start} | ({} if end is None else {"end_image_url": end})
    return {"prompt": "one", "duration": "5", **frames, **changes}


def past(name: str, arguments: Any, *, minutes: int = 0, status: int | None = 200) -> PastRequest:
    sent_at = NOON + timedelta(minutes=minutes)
    return PastRequest(
        request_id=name,
        sent_at=sent_at,
        ended_at=sent_at + timedelta(minutes=2),
        http_status=status,
        input=arguments,
        output=None,
    )


def found(
    jobs: list[Job], requests: list[PastRequest], contents: dict[str, str] | None = None
) -> dict[int, str]:
    pairs = recognise(jobs, requests, KLING_O1, contents or {})
    return {job.id: request.request_id for job, request in pairs}


@pytest.mark.parametrize("url", [UPLOADED, AGAIN])
def test_a_frame_is_known_by_its_bytes_wherever_it_was_uploaded(url: str) -> None:
    contents = {UPLOADED: A, AGAIN: A}
    assert found([waiting()], [past("r", asked(url))], contents) == {1: "r"}


def test_a_frame_that_is_an_address_is_known_by_its_address() -> None:
    assert found([waiting(start=REMOTE)], [past("r", asked(ELSEWHERE))]) == {1: "r"}


@pytest.mark.parametrize(("of_job", "of_request"), [("1", "2"), ("1", None), (None, "2")])
def test_an_address_is_known_whatever_signs_it(of_job: str | None, of_request: str | None) -> None:
    def signed(day: str | None) -> str:
        return ELSEWHERE if day is None else f"{ELSEWHERE}?ex={day}&is={day}&hm={day}"

    job, end = waiting(start=Frame(source=signed(of_job)), end=LOCAL), {AGAIN: A}
    assert found([job], [past("r", asked(signed(of_request), AGAIN))], end) == {1: "r"}
    assert found([job], [past("r", asked(f"{signed(of_request)}&v=3", AGAIN))], end) == {}


@pytest.mark.parametrize(
    "arguments",
    [
        asked(prompt="another"),
        asked(duration="10"),
        asked(AGAIN),
        asked(ELSEWHERE),
        asked(end=UPLOADED),
        asked(negative_prompt="blur"),
        {"prompt": "one", "duration": "5"},
        asked(duration=5),
        None,
        "text",
        [],
    ],
)
def test_what_differs_in_anything_is_not_it(arguments: Any) -> None:
    assert not found([waiting()], [past("r", arguments)], {UPLOADED: A, AGAIN: B})


def test_both_frames_count_and_their_order() -> None:
    ends = waiting(end=Frame(source="/frames/b.png", sha256=B))
    requests = [past("back", asked(AGAIN, UPLOADED)), past("there", asked(UPLOADED, AGAIN))]
    assert found([ends], requests, {UPLOADED: A, AGAIN: B}) == {1: "there"}


def test_equal_contents_are_taken_as_often_as_they_were_paid_for() -> None:
    takes = [waiting(n, take=n) for n in (1, 2, 3)]
    requests = [past("late", asked(), minutes=9), past("early", asked())]
    assert found(takes, requests, {UPLOADED: A}) == {1: "early", 2: "late"}


def test_one_request_pays_for_one_job() -> None:
    jobs = [waiting(1), waiting(2, start=Frame(source=UPLOADED))]
    assert len(found(jobs, [past("r", asked())], {UPLOADED: A})) == 1


def test_a_request_that_failed_is_taken_only_where_no_other_is_left() -> None:
    requests = [past("failed", asked(), status=422), past("made", asked(), minutes=1)]
    assert found([waiting()], requests, {UPLOADED: A}) == {1: "made"}
    assert found([waiting()], requests[:1], {UPLOADED: A}) == {1: "failed"}


def test_only_those_frames_are_looked_at_that_decide_something() -> None:
    jobs = [waiting(end=REMOTE), waiting(2, start=REMOTE, prompt="two")]
    requests = [
        past("r1", asked(UPLOADED, ELSEWHERE)),
        past("r2", asked(AGAIN, prompt="two")),
        past("r3", asked("https://v3.fal.media/files/stranger.png", prompt="three")),
        past("r4", None),
    ]
    assert frames_to_see(jobs, requests, KLING_O1) == {UPLOADED}


OURS = f"https://v3.fal.media/files/b/panda/Xy_{A[:16]}.png"


@pytest.mark.parametrize(
    ("url", "may_be"),
    [
        (OURS, True),
        (OURS.replace(A[:16], B[:16]), False),
        (f"https://v3.fal.media/{B[:16]}.jpeg", False),
        ("https://v3.fal.media/files/b/panda/Xy_sunrise.png", True),
        (f"https://v3.fal.media/files/b/panda/Xy_{B[:15]}.png", True),
        (f"https://v3.fal.media/files/b/panda/Xy_{B[:16]}0.png", True),
        (UPLOADED, True),
    ],
)
def test_the_name_that_we_gave_an_upload_tells_whether_it_may_be_the_frame(
    url: str, may_be: bool
) -> None:
    requests = [past("r", asked(url))]
    assert may_be_wanted(requests, [LOCAL]) == (requests if may_be else [])
    assert may_be_wanted(requests, [LOCAL, Frame(source=url)]) == requests


@pytest.mark.parametrize(
    ("arguments", "may_be", "surely"),
    [
        (asked(OURS, OURS), True, True),
        (asked(OURS, ELSEWHERE), True, True),
        (asked(ELSEWHERE), True, False),
        (asked(UPLOADED), False, False),
        (asked(OURS, UPLOADED), False, False),
        (None, True, False),
    ],
)
def test_a_request_is_not_of_ours_where_another_program_uploaded_a_frame(
    arguments: Any, may_be: bool, surely: bool
) -> None:
    request = past("r", arguments)
    assert is_like_ours(request, surely=False) is may_be
    assert is_like_ours(request, surely=True) is surely
