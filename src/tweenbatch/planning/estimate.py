"""Estimate how long clips will take, from earlier clips or from the models' pages.

Pure arithmetic. It does not know the table or the clock.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from statistics import median

from tweenbatch.records import ClipDuration
from tweenbatch.records.plan import Estimate

TYPICAL_SECONDS = (60.0, 300.0)
"""The time of one clip according to the models' pages: one to five minutes."""


def assumed(given: Estimate | None) -> Estimate | None:
    """Mark the ``concurrency`` of the estimate as a guess."""
    return None if given is None else replace(given, assumed=True)


def estimate(
    clips: int, *, endpoints: Collection[str], latest: Sequence[ClipDuration], concurrency: int
) -> Estimate:
    """Estimate the time of this many clips with ``concurrency`` at a time."""
    seen = [took.seconds for took in latest if took.endpoint in endpoints]
    clip_seconds = median(seen) if seen else None
    low, high = TYPICAL_SECONDS if clip_seconds is None else (clip_seconds, clip_seconds)
    # Free slots do not make the last clip faster.
    rounds = max(clips / concurrency, 1.0) if clips else 0.0
    return Estimate(
        low_seconds=low * rounds,
        high_seconds=high * rounds,
        clip_seconds=clip_seconds,
        clips_seen=len(seen),
        concurrency=concurrency,
    )
