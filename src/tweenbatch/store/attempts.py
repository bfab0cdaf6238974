"""What becomes of an attempt: a pure table beside the one of ``states``.

An attempt is bought, so the question is always the same: was it billed? ``None`` means
that it is still open. Together the answers split the money of the table: billed yes or
unknown is spent, open is reserved or uncertain, billed no is given back.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from tweenbatch.records import Billed, Failure
from tweenbatch.states import Event, ImpossibleTransition


class AttemptOutcome(StrEnum):
    """Where an attempt stands."""

    OPEN = "open"
    """The intent is on disk; the POST may be under way."""
    UNKNOWN = "unknown"
    """It was sent, or may have been, and nobody knows whether fal has it."""
    ACCEPTED = "accepted"
    """fal gave it an id."""
    GENERATED = "generated"
    """The clip exists at fal."""
    SUCCEEDED = "succeeded"
    """The clip is on disk."""
    FAILED = "failed"
    """It ended without a clip."""
    NOT_SENT = "not_sent"
    """Proven on the spot: fal did not take it."""
    ABSENT = "absent"
    """Proven later: fal never had it."""
    CANCELLED = "cancelled"
    """A person did not want it any more."""


AFTER: Mapping[Event, AttemptOutcome] = MappingProxyType(
    {
        Event.SUBMIT_STARTED: AttemptOutcome.OPEN,
        Event.ACCEPTED: AttemptOutcome.ACCEPTED,
        Event.NOT_ACCEPTED: AttemptOutcome.NOT_SENT,
        Event.OUTCOME_UNKNOWN: AttemptOutcome.UNKNOWN,
        Event.PROVEN_ABSENT: AttemptOutcome.ABSENT,
        Event.GENERATED: AttemptOutcome.GENERATED,
        Event.FETCHED: AttemptOutcome.SUCCEEDED,
        Event.MISSED: AttemptOutcome.GENERATED,
        Event.UNAVAILABLE: AttemptOutcome.SUCCEEDED,
        Event.RETRY: AttemptOutcome.FAILED,
        Event.GAVE_UP: AttemptOutcome.FAILED,
        Event.CANCELLED: AttemptOutcome.CANCELLED,
        Event.REOPENED: AttemptOutcome.ACCEPTED,
    }
)

IDENTIFIED: frozenset[AttemptOutcome] = frozenset(
    {AttemptOutcome.ACCEPTED, AttemptOutcome.GENERATED, AttemptOutcome.SUCCEEDED}
)
"""fal's request id is known."""

GENERATED: frozenset[AttemptOutcome] = frozenset(
    {AttemptOutcome.GENERATED, AttemptOutcome.SUCCEEDED}
)
"""There is a clip, so it was billed."""

NEVER_BILLED: frozenset[AttemptOutcome] = frozenset(
    {AttemptOutcome.NOT_SENT, AttemptOutcome.ABSENT}
)

CONCLUDED: frozenset[AttemptOutcome] = frozenset(
    {
        AttemptOutcome.SUCCEEDED,
        AttemptOutcome.FAILED,
        AttemptOutcome.NOT_SENT,
        AttemptOutcome.ABSENT,
        AttemptOutcome.CANCELLED,
    }
)
"""Nothing more will happen to it; whether it was billed is answered."""


def billed_after(event: Event, failure: Failure | None, before: Billed | None) -> Billed | None:
    """Return whether the attempt was billed, now that the event has happened to it.

    A clip that was seen stays billed whatever follows. Proof that fal never had an attempt
    whose clip was seen is a contradiction and raises ``ImpossibleTransition``.
    """
    if before is Billed.YES:
        if AFTER[event] in NEVER_BILLED:
            raise ImpossibleTransition(f"{event} can't happen to an attempt whose clip was seen")
        return Billed.YES
    if AFTER[event] in GENERATED:
        return Billed.YES
    if AFTER[event] in NEVER_BILLED:
        return Billed.NO
    if AFTER[event] in CONCLUDED:
        return failure.billed if failure else Billed.UNKNOWN
    return before
