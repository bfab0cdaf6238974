"""The digest of a run's results: as text for a person and as JSON for a program."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from tweenbatch.exit_codes import ExitCode
from tweenbatch.records import Money, Run, RunActivity
from tweenbatch.records.result import MISSING
from tweenbatch.report.text import SENTENCE_WIDTH, clips, plain, span, usd
from tweenbatch.states import State

MOST_CAUSES = 10

_NEXT = {
    ExitCode.SUCCEEDED: "tweenbatch export -o results.csv  (every clip and its cost)",
    ExitCode.FAILED: "tweenbatch retry  (queues the failed ones again)",
    ExitCode.USAGE: "fix this and run again",
    ExitCode.NEEDS_A_PERSON: "tweenbatch status  (names them), and tweenbatch resolve JOB",
    ExitCode.TABLE_BUSY: "nothing, unless the other run should not be there",
}
DIED = "died: killed, or the machine went down"
RUNNING = "running"


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """A run and its work, or the reason why no run started."""

    job: str
    night: date
    run: Run | None = None
    work: RunActivity | None = None
    exit_code: int | None = None
    why: str = ""
    """Why no run started, or what stopped the run."""
    began: bool = True
    """False: no run started, so nothing was submitted."""
    lives: bool = False
    rehearsal: bool = False

    @classmethod
    def of_run(
        cls, run: Run, work: RunActivity, *, lives: bool = False, rehearsal: bool = False
    ) -> "Digest":
        """Return a run's digest; a run without an exit code died, unless it ``lives``."""
        return cls(
            job=run.job or "run",
            night=run.night or run.started_at.astimezone().date(),
            run=run,
            work=work,
            exit_code=run.exit_code,
            why="" if run.exit_code is None else run.note,
            lives=lives,
            rehearsal=rehearsal,
        )

    @property
    def ended(self) -> str:
        """How the run ended, in words."""
        if self.exit_code is not None:
            return ExitCode(self.exit_code).words
        return RUNNING if self.lives else DIED

    @property
    def title(self) -> str:
        """The run's results in one line."""
        rehearsal = " (rehearsal)" if self.rehearsal else ""
        head = f"tweenbatch {plain(self.job)} {self.night}{rehearsal}"
        if not self.began:
            return f"{head}: nothing ran" + (f", {self.ended}" if self.exit_code else "")
        if self.work is None:
            return f"{head}: {self.ended}"
        parts = [f"{clips(self.work.made)} made"]
        if failed := sum(each.jobs for each in self.work.failed):
            parts.append(f"{failed} failed")
        if uncertain := self.work.counts[State.UNCERTAIN]:
            parts.append(f"{uncertain} uncertain")
        return f"{head}: {', '.join(parts)}; {self.ended}"


def lines(digest: Digest) -> Iterator[str]:
    """Yield the manifests, the results, the cost and the next step, a line each."""
    yield digest.title
    run, work = digest.run, digest.work
    if digest.why:
        for number, line in enumerate(digest.why.splitlines() or [""]):
            yield f"  {'' if number else 'why':<10}{plain(line, width=SENTENCE_WIDTH)}"
    if run is not None:
        took = span((run.ended_at - run.started_at).total_seconds())
        yield f"  run       {run.id} on {plain(run.host)}, {_time(run.started_at)}, {took}"
        yield f"  asked     {plain(run.asked or 'all unfinished work', width=SENTENCE_WIDTH)}"
    if work is not None:
        yield f"  made      {clips(work.made)}; {work.submitted} submitted"
        for cause in work.failed[:MOST_CAUSES]:
            words = plain(f"{cause.error_type}: {cause.message}", width=SENTENCE_WIDTH)
            yield f"  failed    {cause.jobs} × {words} (e.g. {plain(cause.name)})"
        if len(work.failed) > MOST_CAUSES:
            yield f"            … and {len(work.failed) - MOST_CAUSES} other causes"
        if work.counts[State.UNCERTAIN]:
            yield (
                f"  uncertain {work.counts[State.UNCERTAIN]}, {usd(work.uncertain_usd)}: fal may "
                "have accepted these; they are looked up, not submitted again"
            )
        yield f"  spent     {_spent(work.money, rehearsal=digest.rehearsal)}"
        left = {
            state: work.counts[state] for state in (State.PENDING, State.SUBMITTED, State.READY)
        }
        if any(left.values()):
            counts = ", ".join(f"{count} {state}" for state, count in left.items() if count)
            yield f"  left      {counts}"
        if work.slowest:
            slow = ", ".join(f"{plain(each.name)} {span(each.seconds)}" for each in work.slowest)
            yield f"  slowest   {slow}"
    yield f"  next      {_next(digest)}"


def _spent(money: Money, *, rehearsal: bool) -> str:
    spent, reserved = usd(money.spent), usd(money.reserved)
    if rehearsal:
        return f"$0 (on fal: {spent}); in progress {reserved}"
    return f"{spent}; in progress at fal {reserved}"


def shape(digest: Digest) -> dict[str, Any]:
    """Return the JSON shape of a digest; amounts are US dollars."""
    run, work = digest.run, digest.work
    facts: dict[str, Any] = {
        "title": digest.title,
        "job": digest.job,
        "night": digest.night.isoformat(),
        "exit_code": digest.exit_code,
        "ended": digest.ended,
        "why": digest.why,
        "next": _next(digest),
        "rehearsal": digest.rehearsal,
        "run": None,
    }
    if run is not None:
        facts["run"] = {
            "id": run.id,
            "host": run.host,
            "pid": run.pid,
            "version": run.version,
            "started_at": run.started_at.isoformat(),
            "ended_at": run.ended_at.isoformat(),
            "asked": run.asked,
        }
    if work is not None:
        facts |= {
            "submitted": work.submitted,
            "made": work.made,
            "failed": [
                {
                    "error_type": cause.error_type,
                    "jobs": cause.jobs,
                    "message": cause.message,
                    "name": cause.name,
                }
                for cause in work.failed
            ],
            "slowest": [{"name": each.name, "seconds": each.seconds} for each in work.slowest],
            "jobs": {str(state): work.counts[state] for state in State},
            "money": {
                "spent": float(work.money.spent),
                "reserved": float(work.money.reserved),
                "uncertain": float(work.uncertain_usd),
                "currency": "USD",
            },
        }
    return facts


def _next(digest: Digest) -> str:
    by_hand = digest.run is not None and digest.run.job is None
    again = "tweenbatch run" if by_hand else "the next night, or running the job file again,"
    resumes = f"{again} continues from here"
    if digest.exit_code is None:
        return f"nothing while it runs; if it was killed, {resumes}" if digest.lives else resumes
    if digest.exit_code == ExitCode.TROUBLE:
        return f"fix this; {resumes}"
    if digest.exit_code == ExitCode.FAILED and _are_clips_lost(digest):
        return "tweenbatch fetch  (downloads missing paid clips again, at no cost)"
    return _NEXT.get(ExitCode(digest.exit_code), resumes)


def _are_clips_lost(digest: Digest) -> bool:
    """Return whether paid clips are missing: the free remedy is proposed first."""
    causes = digest.work.failed if digest.work else ()
    return MISSING in digest.why or any(each.error_type == "paid_but_lost" for each in causes)


def _time(instant: datetime) -> str:
    return f"{instant.astimezone():%Y-%m-%d %H:%M}"
