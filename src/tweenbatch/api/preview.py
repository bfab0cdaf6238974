"""Previews the work and the cost of a run. It writes and submits nothing."""

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
    """The plan for some manifests, with warnings to read before running them."""

    manifests: tuple[Manifest, ...]
    plan: Plan
    missing: Missing
    """Downloaded clips that are missing from the disk."""
    room: space.Room | None
    """Space on the disk; None: not known."""
    other_tables: tuple[OtherTable, ...] = ()
    """Other tables that paid for these rows, if this table is new."""

    @property
    def shortage(self) -> str | None:
        """Return why the clips do not fit on the disk, or None."""
        return self.room.shortage if self.room and self.plan.clips_to_pay else None


def preview(
    request: ManifestRequest,
    *,
    db: str,
    output: Path,
    concurrency: int | None = None,
    rehearse: bool = False,
    warn: Say,
    frames_watcher: FramesWatcher | None = None,
) -> Preview:
    """Validate manifests, compare them with the job table and price the difference.

    ``concurrency`` is how many clips fal runs at one time; None: the default is assumed. Raises
    ``ManifestError`` with every problem of every file and, in strict mode, ``OutputUnusable`` if
    the disk is too small.
    """
    store = Store.find(db)
    with closing(store) if store else nullcontext():
        request = request.with_arrivals(warn)
        read = request.read(output, store, writes=False, frames_watcher=frames_watcher).manifests
        plan = planner.make(
            read,
            store,
            # A rehearsal can't tell how long fal takes.
            concurrency=None if rehearse else concurrency or ASSUMED_CONCURRENCY,
            old_failures=request.old_failures,
        )
        others = [] if rehearse else other_tables.others(read, db, store, output.absolute())
    if concurrency is None:
        plan = replace(plan, estimate=estimate.assumed(plan.estimate))
    result = Preview(
        manifests=tuple(read),
        plan=plan,
        missing=missing.find(plan.kept, output=output.absolute()),
        room=space.room(
            output,
            plan.clips_to_pay,
            clip_bytes=space.PREVIEW_BYTES if rehearse else space.CLIP_BYTES,
        ),
        other_tables=tuple(others),
    )
    if request.reading.strict and result.shortage:
        raise OutputUnusable(result.shortage)
    return result
