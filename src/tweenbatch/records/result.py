"""How a run ended, why, and with which exit code."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from tweenbatch.exit_codes import ExitCode
from tweenbatch.states import UNFINISHED, State

OUT_OF_TIME = "--max-duration or --stop-at"
PAUSED = "tweenbatch pause"
CANARY_FAILED = "--canary: not all of those that went first succeeded"
NOT_AGREED = "--canary: nobody agreed to the rest"

MISSING = "clips that are not where they were"
"""What a run notes where it could not bring them back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """Why a run came to its end; nothing set: there was nothing left to do."""

    interrupted: bool = False
    trouble: str | None = None
    """What stopped the submissions, in the words of the account, the service or the disk."""
    same_failure: str | None = None
    """One row after another failed alike, in the words of the last."""
    limit: str | None = None
    """The option, or the command, that stopped the submissions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """How a run ended and how the jobs that it was asked for stand now."""

    ended: RunEnd
    counts: Mapping[State, int]
    rejected: tuple[str, ...] = ()
    """Manifests that could not be read."""
    missing: int = 0
    """Clips that came home once and are not where they were."""
    spent_usd: Decimal
    """What fal billed, or may have billed, during this run."""

    @property
    def unfinished(self) -> int:
        """How many of the jobs are not at their end."""
        return sum(self.counts[state] for state in UNFINISHED)

    @property
    def exit_code(self) -> ExitCode:
        """The most urgent of what there is to say."""
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
        """Why it ended as it did, for whoever looks back."""
        ended = self.ended
        notes = [ended.trouble or ended.same_failure or ended.limit or ""]
        if self.rejected:
            notes.append(f"rejected: {', '.join(self.rejected)}")
        if self.missing:
            notes.append(f"{MISSING}: {self.missing}")
        return "; ".join(filter(None, notes))
