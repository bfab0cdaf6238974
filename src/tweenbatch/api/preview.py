"""What a run would do and cost; nothing is written and nothing is submitted."""

from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from tweenbatch.api import other_tables
from tweenbatch.api.requests import ManifestRequest, Say
from tweenbatch.errors import OutputUnusable
from tweenbatch.files import space
from tweenbatch.frames.cache import FramesWatcher
from tweenbatch.planning import estimate, missing, planner
from tweenbatch.planning.missing import Missing
from tweenbatch.planning.other_tables import OtherTable
from tweenbatch.records.manifest import Manifest
from tweenbatch.records.plan import Plan
from tweenbatch.settings import ASSUMED_CONCURRENCY
from tweenbatch.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The plan of manifests, and what else a person should know before they run them."""

    manifests: tuple[Manifest, ...]
    plan: Plan
    missing: Missing
    """Clips that came home once and are not where they were."""
    room: space.Room | None
    """Space on the disk; None if it can't be known."""
    other_tables: tuple[OtherTable, ...] = ()
    """Tables that paid for rows which a new table would pay for again."""

    @property
    def shortage(self) -> str | None:
        """Return why the clips do not fit on the disk, if they do not."""
        return self.room.shortage if self.room and self.plan.clips_to_pay else None


def preview(
    asked: ManifestRequest,
    *,
    db: str,
    output: Path,
    concurrency: int | None = None,
    rehearse: bool = False,
    warn: Say,
    frames_watcher: FramesWatcher | None = None,
) -> Preview:
    """Check manifests, hold them against the table and price the difference.

    ``concurrency`` is how many clips fal runs at one time; None: it is assumed. Raises
    ``ManifestError`` with every problem of every file and, where the request is strict,
    ``OutputUnusable`` if the disk is too small.
    """
    store = Store.find(db)
    with closing(store) if store else nullcontext():
        asked = asked.with_arrivals(warn)
        read = asked.read(output, store, writes=False, frames_watcher=frames_watcher).manifests
        made = planner.make(
            read,
            store,
            # A rehearsal can't tell how long fal takes.
            concurrency=None if rehearse else concurrency or ASSUMED_CONCURRENCY,
            old_failures=asked.old_failures,
        )
        others = [] if rehearse else other_tables.others(read, db, store, output.absolute())
    if concurrency is None:
        made = replace(made, estimate=estimate.assumed(made.estimate))
    found = Preview(
        manifests=tuple(read),
        plan=made,
        missing=missing.find(made.kept, output=output.absolute()),
        room=space.room(
            output,
            made.clips_to_pay,
            clip_bytes=space.PREVIEW_BYTES if rehearse else space.CLIP_BYTES,
        ),
        other_tables=tuple(others),
    )
    if asked.reading.strict and found.shortage:
        raise OutputUnusable(found.shortage)
    return found
