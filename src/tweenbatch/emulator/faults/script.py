"""Decide which active faults hit a call, and count how often each has fired.

It does not play the faults.
"""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tweenbatch.emulator.faults.vocabulary import (
    Alias,
    Call,
    Delay,
    Fault,
    Hold,
    Lag,
    Lock,
    Omit,
    Range,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The attributes of a call that a fault can match."""

    account: str = ""
    request_id: str = ""
    endpoint_id: str = ""
    prompt: str = ""
    ranged: bool = False

    @property
    def name(self) -> str:
        """Return a name of the call's subject that is the same in each run."""
        return self.prompt or self.request_id


@dataclass(slots=True)
class ActiveFault:
    """An active fault with its counts. An open ``gate`` holds no call."""

    fault: Fault
    seen: Counter[str] = field(default_factory=Counter)
    fired: Counter[str] = field(default_factory=Counter)
    began: dict[str, float] = field(default_factory=dict)
    """When it was first played, by the event loop's clock."""
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    held: int = 0
    locked: set[str] = field(default_factory=set)
    drawings: Counter[str] = field(default_factory=Counter)

    @property
    def id(self) -> str:
        """Return the fault's name."""
        return self.fault.id

    def concerns(self, subject: Subject) -> bool:
        """Return whether the fault's filters match this call."""
        fault = self.fault
        return (
            (fault.request_id is None or fault.request_id == subject.request_id)
            and (fault.endpoint_id is None or fault.endpoint_id == subject.endpoint_id)
            and (fault.prompt_contains is None or fault.prompt_contains in subject.prompt)
            and (not isinstance(fault, Range) or subject.ranged)
        )

    def strikes(self, subject: Subject) -> bool:
        """Count the call and return whether the fault would hit it."""
        fault = self.fault
        if isinstance(fault, Lock) and subject.account in self.locked:
            return True
        if not self.concerns(subject):
            return False
        key = self._counted_under(subject)
        self.seen[key] += 1
        number = self.seen[key]
        numbers = (fault.nth,) if isinstance(fault.nth, int) else fault.nth
        return (
            (numbers is None or number in numbers)
            and (fault.from_nth is None or number >= fault.from_nth)
            and (fault.times is None or self.fired[key] < fault.times)
            and not self._has_passed(key)
            and self._drawn(f"{subject.name}/{self._drawings(subject.name)}")
        )

    def fire(self, subject: Subject) -> None:
        """Count that the fault was played on this call."""
        key = self._counted_under(subject)
        self.fired[key] += 1
        if self.fault.for_seconds is not None:
            self.began.setdefault(key, asyncio.get_running_loop().time())
        if isinstance(self.fault, Lock):
            self.locked.add(subject.account)

    def _has_passed(self, key: str) -> bool:
        seconds, began = self.fault.for_seconds, self.began.get(key)
        if seconds is None or began is None:
            return False
        return asyncio.get_running_loop().time() - began >= seconds

    def _counted_under(self, subject: Subject) -> str:
        return (subject.request_id or subject.name) if self.fault.per_request else ""

    def _drawings(self, name: str) -> int:
        """Count draws by subject, so that concurrency does not change which calls are hit."""
        if self.fault.probability is not None:
            self.drawings[name] += 1
        return self.drawings[name]

    def chooses(self, subject: Subject) -> bool:
        """Return whether an item of the history is hit; the answer never changes."""
        return self.concerns(subject) and self._drawn(subject.request_id)

    def _drawn(self, salt: str) -> bool:
        probability = self.fault.probability
        if probability is None:
            return True
        draw = random.Random(f"{self.fault.seed}/{self.id}/{salt}").random()  # noqa: S311 - a die
        return draw < probability

    def shown(self) -> dict[str, Any]:
        """Return the fault as JSON, with its counts."""
        return {
            **self.fault.model_dump(mode="json", exclude_unset=True),
            "id": self.id,
            "seen": self.seen.total(),
            "fired": self.fired.total(),
            "held": self.held,
        }


@dataclass(frozen=True, slots=True)
class FaultScript:
    """The faults that hit one call: pauses, and at most one other fault."""

    pauses: tuple[ActiveFault, ...] = ()
    action: ActiveFault | None = None

    @property
    def fault_ids(self) -> list[str]:
        """Return the names of all faults that hit this call."""
        return [active.id for active in (*self.pauses, *((self.action,) if self.action else ()))]


_NOTHING = FaultScript()


class Script:
    """All active faults, in the order in which they were added."""

    def __init__(self) -> None:
        self._active: list[ActiveFault] = []
        self._numbered = 0

    def set(self, faults: list[Fault]) -> list[str]:
        """Replace the script and return the faults' names."""
        self.clear()
        return self.add(faults)

    def add(self, faults: list[Fault]) -> list[str]:
        """Append to the script and return the names of the new faults."""
        for fault in faults:
            self._numbered += 1
            named = fault.id or f"fault-{self._numbered}"
            self._active.append(ActiveFault(fault.model_copy(update={"id": named})))
        return [active.id for active in self._active[len(self._active) - len(faults) :]]

    def clear(self, fault_id: str | None = None) -> int:
        """Remove one fault or all, and release their held calls; return how many faults."""
        gone = [active for active in self._active if fault_id in (None, active.id)]
        for active in gone:
            active.gate.set()
        self._active = [active for active in self._active if active not in gone]
        return len(gone)

    def release(self, name: str | None = None) -> int:
        """Open holds permanently, by fault or by point; without a name, all of them.

        Returns the number of calls that were held.
        """
        freed = 0
        for active in self._active:
            if isinstance(active.fault, Hold) and name in (None, active.id, active.fault.point):
                freed += active.held
                active.gate.set()
        return freed

    def plan(self, call: Call, subject: Subject) -> FaultScript:
        """Count this call with every matching fault and return the faults that hit it."""
        if not self._active:
            return _NOTHING
        pauses: list[ActiveFault] = []
        action: ActiveFault | None = None
        for active in self._active:
            fault = active.fault
            if fault.on is not call or isinstance(fault, Lag | Omit | Alias):
                continue
            if not active.strikes(subject):
                continue
            if isinstance(fault, Hold | Delay):
                pauses.append(active)
            elif action is None:
                action = active
            else:
                continue
            active.fire(subject)
        return FaultScript(tuple(pauses), action)

    def hides(self, subject: Subject, seconds_since_end: float) -> bool:
        """Return whether the history hides a request."""
        for active in self._active:
            fault = active.fault
            if isinstance(fault, Omit) and active.chooses(subject):
                return True
            if (
                isinstance(fault, Lag)
                and seconds_since_end < fault.seconds
                and active.chooses(subject)
            ):
                return True
        return False

    def alias(self, subject: Subject) -> str | None:
        """Return the history's other name for a request's endpoint, or None."""
        for active in self._active:
            if isinstance(active.fault, Alias) and active.chooses(subject):
                return active.fault.name
        return None

    def shown(self) -> list[dict[str, Any]]:
        """Return every fault with its counts."""
        return [active.shown() for active in self._active]
