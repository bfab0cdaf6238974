"""How long clips will take: at the pace that the table has seen, or as the models' pages say.

Pure arithmetic. It refuses to know the table and the clock.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from statistics import median

from tweenbatch.records import ClipDuration
from tweenbatch.records.plan import Estimate

TYPICAL_SECONDS = (60.0, 300.0)
"""What one clip takes by the pages of the models: one to five minutes."""


def assumed(made: Estimate | None) -> Estimate | None:
    """Return the estimate as one whose ``concurrency`` nobody asked for."""
    return None if made is None else replace(made, assumed=True)


def estimate(
    clips: int, *, endpoints: Collection[str], latest: Sequence[ClipDuration], concurrency: int
) -> Estimate:
    """Return how long so many clips of these endpoints take, so many at a time."""
    seen = [took.seconds for took in latest if took.endpoint in endpoints]
    clip_seconds = median(seen) if seen else None
    low, high = TYPICAL_SECONDS if clip_seconds is None else (clip_seconds, clip_seconds)
    # The last clip takes its time, however many slots are free.
    rounds = max(clips / concurrency, 1.0) if clips else 0.0
    return Estimate(
        low_seconds=low * rounds,
        high_seconds=high * rounds,
        clip_seconds=clip_seconds,
        clips_seen=len(seen),
        concurrency=concurrency,
    )
