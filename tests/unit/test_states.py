"""The life of a job, as a table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tweenbatch.records import Billed, Failure
from tweenbatch.states import (
    AT_FAL,
    BY_A_PERSON,
    FINAL,
    IDENTIFIED,
    LOOKED_FOR,
    TRANSITIONS,
    UNFINISHED,
    Event,
    ImpossibleTransition,
    State,
    advance,
)
from tweenbatch.store.attempts import AFTER, CONCLUDED, NEVER_BILLED, AttemptOutcome, billed_after

ALL_PAIRS = [(state, event) for state in State for event in Event]


def reachable(start: State, *, without: frozenset[Event] = frozenset()) -> set[State]:
    found: set[State] = set()
    ahead = {start}
    while ahead:
        found |= ahead
        ahead = {
            target
            for (source, event), target in TRANSITIONS.items()
            if source in ahead and event not in without
        } - found
    return found


@pytest.mark.parametrize(("state", "event"), ALL_PAIRS)
def test_a_job_moves_along_the_table_and_nowhere_else(state: State, event: Event) -> None:
    if (state, event) in TRANSITIONS:
        assert advance(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(ImpossibleTransition, match=f"{event} can't happen to a job that is"):
            advance(state, event)


def test_only_a_waiting_job_can_be_submitted() -> None:
    into = {source for (source, _), target in TRANSITIONS.items() if target is State.SUBMITTING}
    assert into == {State.PENDING}


def test_an_uncertain_job_never_waits_again_without_proof_of_absence() -> None:
    back = {
        event
        for (source, event), target in TRANSITIONS.items()
        if source is State.UNCERTAIN and target is State.PENDING
    }
    assert back == {Event.PROVEN_ABSENT}


def test_a_submission_in_the_air_can_t_be_cancelled() -> None:
    assert (State.SUBMITTING, Event.CANCELLED) not in TRANSITIONS


def test_final_states_are_left_only_by_a_person_or_where_a_clip_is_missed() -> None:
    assert {State.SUCCEEDED, State.FAILED, State.CANCELLED} == FINAL
    assert {event for source, event in TRANSITIONS if source in FINAL} <= BY_A_PERSON | LOOKED_FOR


@pytest.mark.parametrize("state", [State.READY, State.SUCCEEDED])
def test_a_clip_that_was_made_is_bought_again_by_nobody_but_a_person(state: State) -> None:
    """It may come home, be missed, and come home again: that costs nothing."""
    by_itself = reachable(state, without=BY_A_PERSON)
    assert by_itself == {State.READY, State.SUCCEEDED, State.FAILED}


def test_every_state_can_be_reached_and_every_unfinished_one_can_end() -> None:
    assert reachable(State.PENDING) == set(State)
    for state in UNFINISHED:
        assert State.SUCCEEDED in reachable(state, without=BY_A_PERSON)
        assert State.FAILED in reachable(state, without=BY_A_PERSON)


def test_the_sets_of_states_nest() -> None:
    assert IDENTIFIED < AT_FAL < UNFINISHED
    assert not UNFINISHED & FINAL
    assert set(State) == UNFINISHED | FINAL


def test_every_event_that_can_happen_at_fal_says_what_becomes_of_the_attempt() -> None:
    at_fal = {event for source, event in TRANSITIONS if source in AT_FAL}
    assert at_fal <= set(AFTER)
    assert set(AFTER.values()) == set(AttemptOutcome)


@given(
    event=st.sampled_from(list(AFTER)),
    before=st.sampled_from([None, Billed.YES]),
    billed=st.sampled_from([None, *Billed]),
)
def test_a_concluded_attempt_always_has_an_answer_about_its_price(
    event: Event, before: Billed | None, billed: Billed | None
) -> None:
    failure = None if billed is None else Failure(type="x", message="", billed=billed)
    if before is Billed.YES and AFTER[event] in NEVER_BILLED:
        with pytest.raises(ImpossibleTransition):
            billed_after(event, failure, before)
        return
    after = billed_after(event, failure, before)
    assert after is not None or AFTER[event] not in CONCLUDED
    assert before is None or after is Billed.YES
