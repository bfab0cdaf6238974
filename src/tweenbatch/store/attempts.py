"""The outcomes of an attempt and their billing: a pure table like the one in ``states``.

Billing decides how a price counts. Yes or unknown: spent. ``None``, still open: reserved or
uncertain. No: released.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from tweenbatch.records import Billed, Failure
from tweenbatch.states import Event, ImpossibleTransition


class AttemptOutcome(StrEnum):
    """The status of an attempt."""

    OPEN = "open"
    """The intent is on disk; the POST may be in progress."""
    UNKNOWN = "unknown"
    """It was sent, or may have been; whether fal received it is unknown."""
    ACCEPTED = "accepted"
    """fal gave it a request id."""
    GENERATED = "generated"
    """The clip exists at fal."""
    SUCCEEDED = "succeeded"
    """The clip is on disk."""
    FAILED = "failed"
    """It ended without a clip."""
    NOT_SENT = "not_sent"
    """Proven at once: fal did not accept it."""
    ABSENT = "absent"
    """Proven later: fal never received it."""
    CANCELLED = "cancelled"
    """A person cancelled it."""


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
"""Outcomes with a known request id."""

GENERATED: frozenset[AttemptOutcome] = frozenset(
    {AttemptOutcome.GENERATED, AttemptOutcome.SUCCEEDED}
)
"""Outcomes with a clip, so it was billed."""

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
"""Final outcomes, whose billing is decided."""


def billed_after(event: Event, failure: Failure | None, before: Billed | None) -> Billed | None:
    """Return whether the attempt was billed, after the event.

    An attempt whose clip exists stays billed. A proof that fal never received such an attempt is a
    contradiction and raises ``ImpossibleTransition``.
    """
    if before is Billed.YES:
        if AFTER[event] in NEVER_BILLED:
            raise ImpossibleTransition(f"{event} can't happen to an attempt that has a clip")
        return Billed.YES
    if AFTER[event] in GENERATED:
        return Billed.YES
    if AFTER[event] in NEVER_BILLED:
        return Billed.NO
    if AFTER[event] in CONCLUDED:
        return failure.billed if failure else Billed.UNKNOWN
    return before
