"""The states of a job and the transitions between them: pure data, no imports from this package.

Everything else that lists states (the table's CHECK constraints, what may be claimed,
what is final, the diagram in README.md) derives from ``TRANSITIONS``.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    """The state of a job."""

    PENDING = "pending"
    """Nothing is submitted. The import creates jobs in this state; a proven refusal, a retry or a
    person returns them to it."""
    SUBMITTING = "submitting"
    """The intent is on disk and the POST may be under way. The runner moves the job on at once; if
    its runner has died, the job becomes uncertain."""
    UNCERTAIN = "uncertain"
    """A POST was sent, and it is unknown whether fal accepted it. Only fal's history, a fallback
    journal or a person moves the job on."""
    SUBMITTED = "submitted"
    """fal accepted the request and gave it an id; it is queued or running there."""
    READY = "ready"
    """The clip exists at fal and is paid for; it is not downloaded yet, or must be again."""
    SUCCEEDED = "succeeded"
    """The clip is downloaded, checked and recorded. If it goes missing, a run or a person has it
    downloaded again."""
    FAILED = "failed"
    """Given up, with the reason. Only a person moves it on: to pay for it again or, if it was paid
    for, to read its result again."""
    CANCELLED = "cancelled"
    """Cancelled. Only a person queues it again."""


class Event(StrEnum):
    """An event that moves a job to another state."""

    SUBMIT_STARTED = "submit_started"
    ACCEPTED = "accepted"
    NOT_ACCEPTED = "not_accepted"
    OUTCOME_UNKNOWN = "outcome_unknown"
    PROVEN_ABSENT = "proven_absent"
    GENERATED = "generated"
    FETCHED = "fetched"
    MISSED = "missed"
    UNAVAILABLE = "unavailable"
    RETRY = "retry"
    GAVE_UP = "gave_up"
    CANCELLED = "cancelled"
    REQUEUED = "requeued"
    REOPENED = "reopened"


TRANSITIONS: Mapping[tuple[State, Event], State] = MappingProxyType(
    {
        (State.PENDING, Event.SUBMIT_STARTED): State.SUBMITTING,
        (State.PENDING, Event.GAVE_UP): State.FAILED,
        (State.PENDING, Event.CANCELLED): State.CANCELLED,
        (State.SUBMITTING, Event.ACCEPTED): State.SUBMITTED,
        (State.SUBMITTING, Event.NOT_ACCEPTED): State.PENDING,
        (State.SUBMITTING, Event.OUTCOME_UNKNOWN): State.UNCERTAIN,
        (State.SUBMITTING, Event.GAVE_UP): State.FAILED,
        (State.UNCERTAIN, Event.ACCEPTED): State.SUBMITTED,
        (State.UNCERTAIN, Event.PROVEN_ABSENT): State.PENDING,
        (State.UNCERTAIN, Event.GAVE_UP): State.FAILED,
        (State.UNCERTAIN, Event.CANCELLED): State.CANCELLED,
        (State.SUBMITTED, Event.GENERATED): State.READY,
        (State.SUBMITTED, Event.RETRY): State.PENDING,
        (State.SUBMITTED, Event.OUTCOME_UNKNOWN): State.UNCERTAIN,
        (State.SUBMITTED, Event.GAVE_UP): State.FAILED,
        (State.SUBMITTED, Event.CANCELLED): State.CANCELLED,
        (State.READY, Event.FETCHED): State.SUCCEEDED,
        (State.READY, Event.UNAVAILABLE): State.SUCCEEDED,
        (State.READY, Event.GAVE_UP): State.FAILED,
        (State.READY, Event.CANCELLED): State.CANCELLED,
        (State.SUCCEEDED, Event.MISSED): State.READY,
        (State.FAILED, Event.MISSED): State.READY,
        (State.FAILED, Event.REQUEUED): State.PENDING,
        (State.FAILED, Event.REOPENED): State.SUBMITTED,
        (State.CANCELLED, Event.REQUEUED): State.PENDING,
    }
)

BY_A_PERSON: frozenset[Event] = frozenset({Event.REQUEUED, Event.REOPENED, Event.CANCELLED})

LOOKED_FOR: frozenset[Event] = frozenset({Event.MISSED})
"""Events that a check of the disk, or a person, raises for a job in a final state."""

FINAL: frozenset[State] = frozenset(
    state
    for state in State
    if not any(
        source is state and event not in BY_A_PERSON | LOOKED_FOR for source, event in TRANSITIONS
    )
)
"""States in which the program itself has nothing left to do."""

UNFINISHED: frozenset[State] = frozenset(State) - FINAL

AT_FAL: frozenset[State] = frozenset(
    {State.SUBMITTING, State.UNCERTAIN, State.SUBMITTED, State.READY}
)
"""An attempt of the job is, or may be, known to fal: it has a price and a payload."""

IDENTIFIED: frozenset[State] = frozenset({State.SUBMITTED, State.READY})
"""fal's request id is known, so all remaining steps are reads."""


class ImpossibleTransition(ValueError):
    """The event is not possible in the job's state."""


def advance(state: State, event: Event) -> State:
    """Return the next state; raise ``ImpossibleTransition`` if there is none."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise ImpossibleTransition(f"{event} can't happen to a job that is {state}") from None
