"""Clips missing from the disk or changed on it: as lines and as JSON."""

from collections.abc import Sequence
from typing import Any

from tweenbatch.planning.missing import MOST_CHECKED, Missing, MissingClip
from tweenbatch.report.text import SENTENCE_WIDTH, clips, plain

MOST = 5


def lines(missing: Missing, remedy: str) -> list[str]:
    """Name the missing clips and the ``remedy``; name a missing folder only once."""
    lines = []
    if missing.clips:
        verb = "is" if len(missing.clips) == 1 else "are"
        count = clips(len(missing.clips))
        lines.append(f"  {count} {verb} not as recorded; {remedy}, at no cost:")
        lines += [
            plain(f"          {each.name}: {each.path} {each.why}", width=SENTENCE_WIDTH)
            for each in missing.clips[:MOST]
        ]
        if len(missing.clips) > MOST:
            lines.append(f"          … and {len(missing.clips) - MOST} more: tweenbatch verify")
    lines += [
        plain(
            f"  {clips(len(jobs))} recorded in {folder} can't be found there: mount its disk if it "
            "is on one; or `tweenbatch fetch` downloads them again, at no cost",
            width=SENTENCE_WIDTH,
        )
        for folder, jobs in missing.folders.items()
    ]
    if lines and missing.checked >= MOST_CHECKED:
        lines.append(f"          ({MOST_CHECKED:,} clips were checked; verify and fetch check all)")
    return lines


def shape(missing: Missing) -> dict[str, Any]:
    """Return the JSON shape of missing clips and folders."""
    return {
        "looked_at": missing.checked,
        "clips": listed(missing.clips),
        "folders": [
            {"path": str(folder), "jobs": list(jobs)} for folder, jobs in missing.folders.items()
        ],
    }


def listed(found: Sequence[MissingClip]) -> list[dict[str, Any]]:
    """Return the JSON shape of each clip."""
    return [
        {"job": each.job_id, "name": each.name, "path": str(each.path), "why": each.why}
        for each in found
    ]
