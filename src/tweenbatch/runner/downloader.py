"""Downloads clips from fal and records the checked files."""

import asyncio
import logging
from dataclasses import dataclass, field
from pathlib import Path

from tweenbatch.errors import CheckUnavailable, DiskTrouble, DownloadFailed
from tweenbatch.fal import DOWNLOADS_AT_ONCE
from tweenbatch.records import Job, Outcome
from tweenbatch.runner.recorder import Recorder
from tweenbatch.runner.state import RunState
from tweenbatch.stages.fetch import Fetcher
from tweenbatch.states import Event

log = logging.getLogger(__name__)

CLIPS_STAY = "paid clips stay at fal; fix this, then run again"


@dataclass(slots=True, kw_only=True)
class ClipDownloader:
    """Downloads a few clips at a time."""

    state: RunState
    recorder: Recorder
    fetcher: Fetcher
    at_once: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(DOWNLOADS_AT_ONCE))
    _size_mismatch_shown: bool = False

    async def download(self, job: Job) -> Job | None:
        """Download a clip and record it; None: not now, it is laid aside or left for later."""
        async with self.at_once:
            if self.state.stopping:
                return None
            try:
                outcome = await self.fetcher.fetch(job, rounds=self.state.parkings[job.id])
            except DownloadFailed as error:
                await self._lay_aside(job, str(error))
                return None
            except CheckUnavailable as error:
                self.state.refuse_to_submit(f"clips can't be checked: {error}; {CLIPS_STAY}")
                return None
            except DiskTrouble as error:
                self.state.refuse_to_submit(str(error))
                return None
        after = await self.recorder.record(job, outcome)
        self._report_download(job, outcome)
        if outcome.video is not None and outcome.video != job.video:
            await self._report_mix_up(after, outcome.video.url)
        return after

    async def _report_mix_up(self, job: Job, url: str) -> None:
        """Report another clip with the address that this job has only now."""
        clip_at = self.state.store.jobs.clip_at
        other = await self.state.table(clip_at, url, besides=job.attempt_id)
        if other is not None:
            self.state.report_mix_up(other, owner=job)

    async def _lay_aside(self, job: Job, why: str) -> None:
        if job.id in self.state.generated:
            held = self.state.streak.held
            self.state.streak.record_laid_aside(job, why)
            if self.state.streak.held is not None and held is None:
                self.state.watcher.notice(
                    f"{self.state.streak.held}; nothing is submitted until one is downloaded"
                )
        await self.recorder.park(
            job, f"paid, but not downloaded yet ({why})", release=self.state.store.jobs.lay_aside
        )

    def _report_download(self, job: Job, outcome: Outcome) -> None:
        """Report anything unusual about a downloaded clip, or a clip that fal no longer has."""
        name, artifact = job.output_name, outcome.artifact
        if outcome.event is Event.UNAVAILABLE and outcome.failure and job.kept:
            self.state.watcher.notice(
                f"{name}: {job.kept.path} is missing, and fal has no copy: "
                f"{outcome.failure.message}; `tweenbatch fetch {job.id}` tries again, free of "
                "charge"
            )
        if artifact is None or job.video is None:
            return
        if job.kept is not None and artifact.path.name != Path(job.kept.path).name:
            self.state.watcher.notice(
                f"{name}: downloaded again as {artifact.path}, because {job.kept.path} is another "
                "file now"
            )
        if job.video.bytes not in {None, artifact.bytes} and not self._size_mismatch_shown:
            self._size_mismatch_shown = True
            self.state.watcher.notice(
                f"{name}: fal announced {job.video.bytes:,} bytes, the clip has "
                f"{artifact.bytes:,}; it decodes completely, so it is kept (shown once a run)"
            )
