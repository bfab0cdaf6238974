"""The result of a run: why it ended, and its exit code."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from tweenbatch.exit_codes import ExitCode
from tweenbatch.states import UNFINISHED, State

OUT_OF_TIME = "--max-duration or --stop-at"
PAUSED = "tweenbatch pause"
CANARY_FAILED = "--canary: not all canary clips succeeded"
NOT_AGREED = "--canary: the remaining clips were not confirmed"

MISSING = "missing clips"
"""The note of a run that could not download them again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """Why a run ended; all fields empty: it finished its work."""

    interrupted: bool = False
    trouble: str | None = None
    """The message of the account, service or disk problem that stopped the submissions."""
    same_failure: str | None = None
    """The message of the last of several equal failures in a row."""
    limit: str | None = None
    """The option or command that stopped the submissions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """The end of a run and the current states of its jobs."""

    ended: RunEnd
    counts: Mapping[State, int]
    rejected: tuple[str, ...] = ()
    """Manifests that could not be read."""
    missing: int = 0
    """The number of downloaded clips whose files are missing or damaged."""
    spent_usd: Decimal
    """The amount that fal billed or may have billed during this run."""

    @property
    def unfinished(self) -> int:
        """The number of unfinished jobs."""
        return sum(self.counts[state] for state in UNFINISHED)

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the most urgent result."""
        if self.ended.interrupted:
            return ExitCode.INTERRUPTED
        if self.ended.trouble is not None and self.unfinished:
            return ExitCode.TROUBLE
        if self.ended.same_failure is not None or self.ended.limit == CANARY_FAILED:
            return ExitCode.FAILED
        if self.counts[State.UNCERTAIN]:
            return ExitCode.NEEDS_A_PERSON
        if self.unfinished:
            return ExitCode.LIMIT
        failed = self.counts[State.FAILED] or self.rejected or self.missing
        return ExitCode.FAILED if failed else ExitCode.SUCCEEDED

    @property
    def note(self) -> str:
        """The reason for the end, as `runs` shows it."""
        ended = self.ended
        notes = [ended.trouble or ended.same_failure or ended.limit or ""]
        if self.rejected:
            notes.append(f"rejected: {', '.join(self.rejected)}")
        if self.missing:
            notes.append(f"{MISSING}: {self.missing}")
        return "; ".join(filter(None, notes))
