"""How a run ended, in a few lines, and what to type next."""

import shlex
from collections.abc import Sequence

from tweenbatch.records import Attention, Money
from tweenbatch.report.text import attention_lines, clips, plain, usd
from tweenbatch.session import ExitCode, Result
from tweenbatch.settings import RunSettings
from tweenbatch.states import State


def lines(
    result: Result, money: Money, attention: Sequence[Attention], *, rehearsal: bool
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
    spent = f"{usd(money.spent)} on fal, $0 in this rehearsal" if rehearsal else usd(money.spent)
    said = [f"{', '.join([head, *others])}; spent {spent}"]
    if money.reserved:
        said.append(f"  in the air at fal: {usd(money.reserved)}")
    if money.uncertain:
        said.append(
            f"  {usd(money.uncertain)} is uncertain: fal may have accepted these submissions, so "
            "they are never sent again by themselves"
        )
    if result.ended.trouble is not None and result.unfinished:
        said.append(f"  fal refused: {plain(result.ended.trouble)}")
    elif result.ended.limit is not None and result.unfinished:
        said.append(f"  stopped by {result.ended.limit}")
    return said + attention_lines(attention)


def next_command(result: Result, settings: RunSettings) -> str:
    """Return the command that goes on from here, with what it does."""
    rehearse = " --rehearse" if settings.rehearse else ""
    match result.exit_code:
        case ExitCode.SUCCEEDED if settings.rehearse:
            manifests = shlex.join(map(str, settings.manifests))
            return f"FAL_KEY=… tweenbatch run {manifests}  (on fal, for money)".replace("  (", " (")
        case ExitCode.SUCCEEDED:
            return "tweenbatch export -o results.csv  (every clip with its cost and file)"
        case ExitCode.FAILED:
            return f"tweenbatch retry{rehearse}  (queue the failed ones again)"
        case ExitCode.NEEDS_A_PERSON:
            return f"tweenbatch status{rehearse}  (what is uncertain, with its price)"
        case ExitCode.TROUBLE:
            return f"tweenbatch run{rehearse}  (once the account or the service is well again)"
        case _:
            return f"tweenbatch run{rehearse}  (goes on from here)"
