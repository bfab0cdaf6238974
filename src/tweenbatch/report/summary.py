"""How a run ended, in a few lines, and what to type next."""

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
    """Say what was made, what was spent and why the run stopped where it did."""
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
    said = [f"{', '.join([head, *others])}; spent {spent}"]
    if money.reserved:
        said.append(f"  in the air at fal: {usd(money.reserved)}")
    if money.uncertain:
        said.append(
            f"  {usd(money.uncertain)} is uncertain: fal may have accepted these submissions. They "
            "stay reserved and are not sent again; each run looks them up"
        )
    said += _not_here(result)
    if result.ended.same_failure is not None:
        said.append(
            f"  stopped: {plain(result.ended.same_failure)}; --keep-going goes on all the same"
        )
    if result.ended.trouble is not None and result.unfinished:
        said.append(f"  stopped: {plain(result.ended.trouble, width=SENTENCE_WIDTH)}")
    elif result.ended.limit is not None and result.unfinished:
        said.append(f"  stopped by {result.ended.limit}")
    if result.rejected:
        said.append(f"  rejected: {plain(', '.join(result.rejected), width=SENTENCE_WIDTH)}")
    return said + attention_lines(attention)


def _not_here(result: RunResult) -> list[str]:
    """Say which clips are paid for and not here."""
    said = []
    if count := result.counts[State.READY]:
        said.append(
            f"  {clips(count)} made and paid for, and not fetched yet: the next run tries again, "
            "for nothing"
        )
    if result.missing:
        said.append(f"  {clips(result.missing)} came home once and can't be found any more")
    return said


def next_command(
    result: RunResult, settings: RunSettings, attention: Sequence[JobNeedingAttention] = ()
) -> str:
    """Return the command that goes on from here, with what it does: first what costs nothing."""
    left = [each for each in attention if each.error_type in LEFT_AT_FAL and each.request_id]
    match result.exit_code:
        case ExitCode.SUCCEEDED if settings.rehearse and settings.again:
            command = f"FAL_KEY=… tweenbatch run {settings.again}  (on fal, for money)"
        case ExitCode.SUCCEEDED:
            command = (
                f"tweenbatch export{_table(settings)} -o results.csv  (every clip and its cost)"
            )
        case ExitCode.FAILED if result.rejected and not result.counts[State.FAILED]:
            command = "mend what was rejected, and drop it into the inbox again"
        case ExitCode.FAILED if result.missing or any(map(is_lost, attention)):
            command = (
                f"tweenbatch fetch{_table(settings)}  (asks fal once more for what is paid for and "
                "not here, for nothing)"
            )
        case ExitCode.FAILED if any(each.state is State.FAILED for each in left):
            command = (
                f"tweenbatch resolve JOB --read-again{_table(settings)}  (reads again, for "
                "nothing, what may still be at fal; tweenbatch retry pays again)"
            )
        case ExitCode.FAILED if result.ended.same_failure is None:
            command = f"tweenbatch retry{_table(settings)}  (queue the failed ones again)"
        case ExitCode.NEEDS_A_PERSON:
            command = (
                f"{resume_command(settings)}  (looks again; or, as fal's dashboard shows it, "
                "tweenbatch resolve JOB)"
            )
        case ExitCode.LIMIT if result.ended.limit == PAUSED:
            command = f"tweenbatch resume{_table(settings)}  (lifts the pause; then run again)"
        case ExitCode.TROUBLE:
            command = f"{resume_command(settings)}  (once that is mended)"
        case _:
            command = f"{resume_command(settings)}  (goes on from here)"
    return command


def resume_command(settings: RunSettings) -> str:
    """Return the command that goes on with the same table and folder."""
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
