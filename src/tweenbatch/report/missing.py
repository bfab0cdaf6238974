"""Clips that are not where they were: in lines, and as the JSON that programs read."""

from collections.abc import Sequence
from typing import Any

from tweenbatch.planning.missing import MOST_CHECKED, Missing, MissingClip
from tweenbatch.report.text import SENTENCE_WIDTH, clips, plain

MOST = 5


def lines(missing: Missing, what: str) -> list[str]:
    """Name them, with ``what`` is done about it or can be; of a folder that is gone, once."""
    said = []
    if missing.clips:
        verb = "is" if len(missing.clips) == 1 else "are"
        said.append(f"  {clips(len(missing.clips))} {verb} not as recorded; {what}, for nothing:")
        said += [
            plain(f"          {each.name}: {each.path} {each.why}", width=SENTENCE_WIDTH)
            for each in missing.clips[:MOST]
        ]
        if len(missing.clips) > MOST:
            said.append(f"          … and {len(missing.clips) - MOST} more: tweenbatch verify")
    said += [
        plain(
            f"  {clips(len(jobs))} recorded in {folder} can't be seen there: mount its disk if it "
            "is on one; or `tweenbatch fetch` brings them back, for nothing",
            width=SENTENCE_WIDTH,
        )
        for folder, jobs in missing.folders.items()
    ]
    if said and missing.checked >= MOST_CHECKED:
        said.append(f"          ({MOST_CHECKED:,} clips were checked; verify and fetch check all)")
    return said


def shape(missing: Missing) -> dict[str, Any]:
    """Return the shape of it in JSON."""
    return {
        "looked_at": missing.checked,
        "clips": listed(missing.clips),
        "folders": [
            {"path": str(folder), "jobs": list(jobs)} for folder, jobs in missing.folders.items()
        ],
    }


def listed(found: Sequence[MissingClip]) -> list[dict[str, Any]]:
    """Return the shape of each of them."""
    return [
        {"job": each.job_id, "name": each.name, "path": str(each.path), "why": each.why}
        for each in found
    ]
