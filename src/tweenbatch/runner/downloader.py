"""From a clip at fal to the checked file on this disk."""

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

CLIPS_STAY = "what is paid for stays at fal; mend that, and run again"


@dataclass(slots=True, kw_only=True)
class ClipDownloader:
    """Downloads clips, a few at one time."""

    state: RunState
    recorder: Recorder
    fetcher: Fetcher
    at_once: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(DOWNLOADS_AT_ONCE))
    _told_of_sizes: bool = False

    async def download(self, job: Job) -> Job | None:
        """Download a clip and record it; None: it is laid aside, or this machine is in trouble."""
        async with self.at_once:
            if self.state.stopping:
                return None
            try:
                outcome = await self.fetcher.fetch(job, rounds=self.state.parkings[job.id])
            except DownloadFailed as error:
                await self._lay_aside(job, str(error))
                return None
            except CheckUnavailable as error:
                self.state.refuse_to_submit(f"no clip can be checked: {error}; {CLIPS_STAY}")
                return None
            except DiskTrouble as error:
                self.state.refuse_to_submit(str(error))
                return None
        after = await self.recorder.record(job, outcome)
        self._tell_of_home(job, outcome)
        return after

    async def _lay_aside(self, job: Job, why: str) -> None:
        if job.id in self.state.generated:
            held = self.state.streak.held
            self.state.streak.record_laid_aside(job, why)
            if self.state.streak.held is not None and held is None:
                self.state.watcher.notice(
                    f"{self.state.streak.held}; nothing is submitted until one comes"
                )
        await self.recorder.park(
            job, f"paid, but not yet here ({why})", release=self.state.store.jobs.lay_aside
        )

    def _tell_of_home(self, job: Job, outcome: Outcome) -> None:
        """Say what is odd about a clip that came, or about one that does not come any more."""
        name, artifact = job.output_name, outcome.artifact
        if outcome.event is Event.UNAVAILABLE and outcome.failure and job.kept:
            self.state.watcher.notice(
                f"{name}: {job.kept.path} is not there any more: {outcome.failure.message}; "
                f"`tweenbatch fetch {job.id}` asks again, for nothing"
            )
        if artifact is None or job.video is None:
            return
        if job.kept is not None and artifact.path.name != Path(job.kept.path).name:
            self.state.watcher.notice(
                f"{name}: comes back as {artifact.path}, for {job.kept.path} holds something else"
            )
        if job.video.bytes not in {None, artifact.bytes} and not self._told_of_sizes:
            self._told_of_sizes = True
            self.state.watcher.notice(
                f"{name}: fal says {job.video.bytes:,} bytes, the clip has {artifact.bytes:,}; it "
                "is whole and can be decoded, so it is kept (of others alike nothing is said)"
            )
