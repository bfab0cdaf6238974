"""Takes one job from stage to stage. It does not know which job comes next."""

import asyncio
import logging
from dataclasses import dataclass

from tweenbatch import logs
from tweenbatch.errors import LeaseLost, TableBusy, TableUnusable
from tweenbatch.records import Job
from tweenbatch.runner.collector import Collector
from tweenbatch.runner.downloader import CLIPS_STAY, ClipDownloader
from tweenbatch.runner.state import RunState
from tweenbatch.runner.submitter import Submitter
from tweenbatch.states import State

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Worker:
    """Carries out jobs, many at a time."""

    state: RunState
    submitter: Submitter
    collector: Collector
    downloader: ClipDownloader

    async def work(self, job: Job) -> None:
        """Take a job as far as this run may; an error ends the work on this job only."""
        try:
            await self._through_the_stages(job)
        except LeaseLost as error:
            log.warning("lease lost job=%d: %s", job.id, error)
        except asyncio.CancelledError:
            log.debug("left for the next run job=%d", job.id)
        except (TableUnusable, TableBusy) as error:
            self.state.broken_table = self.state.broken_table or error
            self.state.stopping = True
        except Exception as error:
            log.exception("left for the next run job=%d", job.id)
            self.state.watcher.notice(f"{job.output_name}: left for the next run; see the log")
            if stop := self.state.streak.record_crash(job, error):
                self.state.refuse_to_submit(f"{stop}; {CLIPS_STAY}")
        finally:
            for held in (self.state.starting, self.state.interruptible):
                held.discard(job.id)
            self.state.slots.release(job.id)
            self.state.wake.set()

    async def _through_the_stages(self, job: Job) -> None:
        """Run the stage of the job's state until a stage returns None, or the run stops."""
        stages = {
            State.PENDING: self.submitter.submit,
            State.SUBMITTED: self.collector.collect,
            State.READY: self.downloader.download,
        }
        current: Job | None = job
        while current is not None and current.state in stages and not self.state.stopping:
            logs.of_job(current.id, current.request.request_id if current.request else None)
            current = await stages[current.state](current)
            if current is not None and current.state is State.PENDING:
                return
