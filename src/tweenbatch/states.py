"""The life of a job as a table: pure data, no imports from this package.

Everything else that lists states (the table's CHECK constraints, what may be claimed,
what is final, the diagram in README.md) derives from ``TRANSITIONS``.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    """Where a job stands."""

    PENDING = "pending"
    """Nothing is in the air. The import puts jobs here; a proven refusal, a retry or a
    person brings them back."""
    SUBMITTING = "submitting"
    """The intent is on disk and the POST may be under way. The runner moves it, at once;
    found without its runner, it becomes uncertain."""
    UNCERTAIN = "uncertain"
    """A POST went out and nobody knows whether fal accepted it. Only a look at fal's
    history, a witness's note or a person moves it."""
    SUBMITTED = "submitted"
    """fal accepted the request and gave it an id; it waits or generates there."""
    READY = "ready"
    """The clip exists at fal and is paid for; it has yet to be brought home, or once more."""
    SUCCEEDED = "succeeded"
    """The clip came home, checked and recorded. A run that does not find it there any more, or a
    person, has it fetched again."""
    FAILED = "failed"
    """Given up, with the reason. Only a person brings it back: to be bought anew, or, where
    it was paid for, to be read once more."""
    CANCELLED = "cancelled"
    """Not wanted any more. Only a person brings it back."""


class Event(StrEnum):
    """What can happen to a job."""

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
"""What a look at the disk, or a person, finds out about a job that was at its end."""

FINAL: frozenset[State] = frozenset(
    state
    for state in State
    if not any(
        source is state and event not in BY_A_PERSON | LOOKED_FOR for source, event in TRANSITIONS
    )
)
"""Where the program itself has nothing left to do."""

UNFINISHED: frozenset[State] = frozenset(State) - FINAL

AT_FAL: frozenset[State] = frozenset(
    {State.SUBMITTING, State.UNCERTAIN, State.SUBMITTED, State.READY}
)
"""An attempt of the job is, or may be, known to fal: it has a price and a payload."""

IDENTIFIED: frozenset[State] = frozenset({State.SUBMITTED, State.READY})
"""fal's request id is known, so that everything left to do is a read."""


class ImpossibleTransition(ValueError):
    """The event can't happen to a job in that state."""


def advance(state: State, event: Event) -> State:
    """Return the state that follows; raise ``ImpossibleTransition`` where none does."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise ImpossibleTransition(f"{event} can't happen to a job that is {state}") from None
