"""Summarise a run's results in a few lines, and suggest the next command."""

import shlex
from collections.abc import Sequence

from tweenbatch.exit_codes import ExitCode
from tweenbatch.paths import DEFAULT_DB, DEFAULT_OUTPUT, rehearsal_db, rehearsal_output
from tweenbatch.records import JobNeedingAttention, Money
from tweenbatch.records.result import PAUSED, RunResult
from tweenbatch.report.job import LEFT_AT_FAL
from tweenbatch.report.status import attention_lines, is_lost
from tweenbatch.report.text import SENTENCE_WIDTH, clips, plain, usd
from tweenbatch.settings import RunSettings
from tweenbatch.states import State


def lines(
    result: RunResult, money: Money, attention: Sequence[JobNeedingAttention], *, rehearsal: bool
) -> list[str]:
    """Return the counts, the money spent and the reason why the run stopped."""
    counts = result.counts
    total = sum(counts.values())
    head = f"{counts[State.SUCCEEDED]} of {clips(total)} done"
    others = [
        f"{counts[state]} {state}"
        for state in State
        if state is not State.SUCCEEDED and counts[state]
    ]
    if rehearsal:
        spent = f"$0 (on fal: {usd(result.spent_usd)})" if result.spent_usd else "$0"
    else:
        spent = f"{usd(result.spent_usd)} in this run"
        if money.spent != result.spent_usd:
            spent += f" ({usd(money.spent)} in this table)"
    shown = [f"{', '.join([head, *others])}; spent {spent}"]
    if money.reserved:
        shown.append(f"  in progress {'here' if rehearsal else 'at fal'}: {usd(money.reserved)}")
    if money.uncertain:
        shown.append(
            f"  {usd(money.uncertain)} is uncertain: fal may have accepted these submissions. "
            "This amount stays reserved. They are not sent again; each run looks them up"
        )
    shown += _not_here(result)
    if result.ended.same_failure is not None:
        shown.append(
            f"  stopped: {plain(result.ended.same_failure)}; --keep-going continues anyway"
        )
    if result.ended.trouble is not None and result.unfinished:
        shown.append(f"  stopped: {plain(result.ended.trouble, width=SENTENCE_WIDTH)}")
    elif result.ended.limit is not None and result.unfinished:
        shown.append(f"  stopped by {result.ended.limit}")
    if result.rejected:
        shown.append(f"  rejected: {plain(', '.join(result.rejected), width=SENTENCE_WIDTH)}")
    return shown + attention_lines(attention)


def _not_here(result: RunResult) -> list[str]:
    """Return lines on paid clips that are missing here."""
    lines = []
    if count := result.counts[State.READY]:
        lines.append(
            f"  {clips(count)} paid for but not downloaded yet: the next run tries again, at no "
            "cost"
        )
    if result.missing:
        verb = "was" if result.missing == 1 else "were"
        lines.append(f"  {clips(result.missing)} {verb} downloaded but can't be found any more")
    return lines


def next_command(
    result: RunResult, settings: RunSettings, attention: Sequence[JobNeedingAttention] = ()
) -> str:
    """Return the next command and its effect, preferring a free one."""
    left = [each for each in attention if each.error_type in LEFT_AT_FAL and each.request_id]
    match result.exit_code:
        case ExitCode.SUCCEEDED if settings.rehearse and settings.again:
            command = (
                f"FAL_KEY=… tweenbatch run {settings.again}  (runs on fal; charged to your account)"
            )
        case ExitCode.SUCCEEDED:
            command = (
                f"tweenbatch export{_table(settings)} -o results.csv  (every clip and its cost)"
            )
        case ExitCode.FAILED if result.rejected and not result.counts[State.FAILED]:
            command = "fix the rejected manifests and put them into the inbox again"
        case ExitCode.FAILED if result.missing or any(map(is_lost, attention)):
            command = (
                f"tweenbatch fetch{_table(settings)}  (downloads missing paid clips again, at no "
                "cost)"
            )
        case ExitCode.FAILED if any(each.state is State.FAILED for each in left):
            command = (
                f"tweenbatch resolve JOB --read-again{_table(settings)}  (reads results that may "
                "still be at fal, at no cost; tweenbatch retry pays again)"
            )
        case ExitCode.FAILED if result.ended.same_failure is None:
            command = f"tweenbatch retry{_table(settings)}  (queue the failed ones again)"
        case ExitCode.NEEDS_A_PERSON:
            command = (
                f"{resume_command(settings)}  (looks them up again; or check fal's dashboard and "
                "run tweenbatch resolve JOB)"
            )
        case ExitCode.LIMIT if result.ended.limit == PAUSED:
            command = f"tweenbatch resume{_table(settings)}  (lifts the pause; then run again)"
        case ExitCode.TROUBLE:
            command = f"{resume_command(settings)}  (after fixing this)"
        case _:
            command = f"{resume_command(settings)}  (continues from here)"
    return command


def resume_command(settings: RunSettings) -> str:
    """Return the command that continues with the same table and folder."""
    if settings.night is not None:
        return f"tweenbatch run {settings.again}{' --rehearse' if settings.rehearse else ''}"
    output = DEFAULT_OUTPUT.absolute()
    usual = rehearsal_output(output) if settings.rehearse else output
    folder = "" if settings.output == usual else f" --output {shlex.quote(str(settings.output))}"
    return f"tweenbatch run{_table(settings)}{folder}"


def _table(settings: RunSettings) -> str:
    rehearse = " --rehearse" if settings.rehearse else ""
    usual = rehearsal_db(DEFAULT_DB) if settings.rehearse else DEFAULT_DB
    return rehearse if settings.db == usual else f"{rehearse} --db {shlex.quote(settings.db)}"
