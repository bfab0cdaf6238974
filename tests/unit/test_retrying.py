"""Reads are repeated while that may help, within bounds; submissions never."""

import ast
import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import tweenbatch
from tweenbatch.errors import (
    AccountRefused,
    Answered,
    NotSent,
    OutcomeUnknown,
    Unintelligible,
    Unreachable,
)
from tweenbatch.fal.retrying import reading

PACKAGE = Path(tweenbatch.__file__).parent


class FakeClock:
    def __init__(self) -> None:
        self.passed = 0.0
        self.sleeps: list[float] = []

    def now(self) -> datetime:
        return datetime(2026, 3, 1, 4, 15, tzinfo=UTC) + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return self.passed

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.passed += seconds


def answered(status: int, **headers: str) -> Answered:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answered(http_status=status, headers=named, body=b"<html>")


class Call:
    """Raises these errors one after another, then gives "done"."""

    def __init__(self, *errors: BaseException, clock: FakeClock | None = None) -> None:
        self.errors = list(errors)
        self.count = 0
        self.clock = clock

    async def __call__(self) -> str:
        self.count += 1
        if self.clock:
            self.clock.passed += 50
        if self.errors:
            raise self.errors.pop(0)
        return "done"


@pytest.mark.parametrize(
    "error", [Unreachable("x"), *(answered(s) for s in (408, 425, 429, 500, 502, 503, 504, 599))]
)
async def test_trouble_of_the_moment_is_tried_again(error: Exception) -> None:
    call = Call(error, error)
    assert await reading(call, clock=FakeClock()) == "done"
    assert call.count == 3


@pytest.mark.parametrize(
    "error",
    [
        *(answered(status) for status in (400, 401, 403, 404, 409, 410, 422, 499)),
        *(Unintelligible("x"), NotSent("x"), OutcomeUnknown("x"), ValueError("x")),
        *(AccountRefused("x", http_status=403), asyncio.CancelledError()),
    ],
)
async def test_all_else_is_raised_at_once(error: BaseException) -> None:
    call, clock = Call(error), FakeClock()
    with pytest.raises(type(error)):
        await reading(call, clock=clock)
    assert (call.count, clock.sleeps) == (1, [])


async def test_a_failure_in_fals_own_form_is_read_again_before_it_is_believed() -> None:
    body = b'{"detail": "It broke.", "error_type": "internal_error"}'
    error = Answered(http_status=500, headers={}, body=body)
    assert await reading(Call(error), clock=FakeClock()) == "done"


async def test_the_last_error_is_raised_when_the_attempts_are_used_up() -> None:
    errors = [Unreachable(str(number)) for number in range(9)]
    call = Call(*errors)
    with pytest.raises(Unreachable, match=r"^2$"):
        await reading(call, clock=FakeClock(), attempts=3)
    assert call.count == 3


async def test_no_pause_begins_that_would_end_after_the_deadline() -> None:
    clock = FakeClock()
    call = Call(*[Unreachable("x")] * 9, clock=clock)
    with pytest.raises(Unreachable):
        await reading(call, clock=clock, attempts=9, deadline_seconds=120)
    assert call.count == 3
    assert clock.passed <= 150 + 3


async def test_pauses_are_drawn_from_nothing_to_a_ceiling_that_doubles() -> None:
    ceilings = [0.5, 1.0, 2.0, 4.0]
    drawn: list[list[float]] = []
    for seed in range(200):
        clock = FakeClock()
        await reading(Call(*[Unreachable("x")] * 4), clock=clock, rng=random.Random(seed))
        drawn.append(clock.sleeps)
    for number, ceiling in enumerate(ceilings):
        pauses = [sleeps[number] for sleeps in drawn]
        assert all(0 <= pause <= ceiling for pause in pauses)
        assert min(pauses) < 0.1 * ceiling
        assert max(pauses) > 0.9 * ceiling


async def test_a_pause_is_as_long_as_the_answer_asks_for() -> None:
    clock = FakeClock()
    await reading(
        Call(
            answered(429, retry_after="30"),
            answered(503, retry_after="Sun, 01 Mar 2026 04:16:30 GMT"),
        ),
        clock=clock,
    )
    assert clock.sleeps == [30.0, 60.0]


async def test_a_pause_longer_than_the_deadline_is_not_begun() -> None:
    clock = FakeClock()
    with pytest.raises(Answered):
        await reading(Call(answered(429, retry_after="500")), clock=clock)
    assert clock.sleeps == []


async def test_a_lambda_that_makes_a_coroutine_is_awaited() -> None:
    call = Call(Unreachable("x"))
    make: Callable[[], object] = lambda: call()  # noqa: E731, PLW0108 - as callers write it
    assert await reading(make, clock=FakeClock()) == "done"  # type: ignore[arg-type]


def trees() -> list[tuple[str, ast.Module]]:
    return [(str(p.relative_to(PACKAGE)), ast.parse(p.read_text())) for p in PACKAGE.rglob("*.py")]


def test_no_submission_stands_in_a_retried_call() -> None:
    """Neither ``reading(lambda: fal.submit(…))`` nor a module that both submits and retries."""
    for name, tree in trees():
        submits = any(
            isinstance(node, ast.Attribute) and node.attr == "submit" for node in ast.walk(tree)
        )
        retries = any(
            isinstance(node, ast.Name) and node.id == "reading" for node in ast.walk(tree)
        )
        assert not (submits and retries), name
