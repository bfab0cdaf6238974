"""One job from stage to stage, and each outcome into the table before the next stage begins.

The worker records; what a stage does is not known here, nor which job comes next.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, KeysView, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol, TypeVar

from tweenbatch import logs
from tweenbatch.clock import Clock
from tweenbatch.errors import (
    Answered,
    BudgetReached,
    CheckUnavailable,
    DiskTrouble,
    DownloadFailed,
    FalError,
    FrameChanged,
    LaneRefused,
    LeaseLost,
    NotSent,
    OutcomeUnknown,
    TableBusy,
    TableUnusable,
    TweenbatchError,
    Unreadable,
    UnreadableFrame,
)
from tweenbatch.fal import Fal
from tweenbatch.records import (
    Billed,
    Failure,
    Intent,
    Job,
    Outcome,
    PeriodLimit,
    Phase,
    RemoteStatus,
    RemoteVideo,
    Request,
)
from tweenbatch.recovery.witness import Note, Witness
from tweenbatch.run.intents import Intents
from tweenbatch.run.throttle.brake import Brake
from tweenbatch.run.throttle.failure_streak import Streak
from tweenbatch.run.throttle.gate import Lane
from tweenbatch.run.throttle.slots import Slots
from tweenbatch.run.throttle.unread_results import UnreadResults
from tweenbatch.stages.fetch import Fetcher
from tweenbatch.stages.submit import not_accepted, outcome_unknown, submit
from tweenbatch.stages.wait import Waiter
from tweenbatch.states import FINAL, Event, ImpossibleTransition, State
from tweenbatch.store import Store
from tweenbatch.store.thread import TableThread

log = logging.getLogger(__name__)

T = TypeVar("T")

PARK_BASE_SECONDS = 30.0
PARK_CAP_SECONDS = 240.0
"""Less than a run with nothing else to do waits for what is laid aside (``--settle``)."""

GIVE_WAY_SECONDS = 0.5
"""No result waits longer for submissions, however many there are."""

READ_JUST_NOW_SECONDS = 60.0
"""A result that was read so long ago is not read again before its job is paid for again."""

UNTRUSTED_TRIES = 3
"""Pauses for a certificate that nobody trusts, which does not pass by itself, before the end."""

KEY_TROUBLE = frozenset({401, 402, 403})
DEAD_FRAME = "file_download_error"
"""What a generation fails with whose frame can't be had at its address."""

CLIPS_STAY = "what is paid for stays at fal; mend that, and run again"

FRAME_REFUSED = frozenset({400, 413, 415, 422})
"""What fal's storage answers to a file that it will not take."""


class Watcher(Protocol):
    """Whoever wants to see how the run goes."""

    def moved(self, job: Job, before: State) -> None:
        """A job went from ``before`` to ``job.state``, and the table has it."""

    def model_log(self, job: Job, line: str) -> None:
        """The model said something about a job."""

    def notice(self, message: str) -> None:
        """Something happened that a person should know now."""


@dataclass(slots=True, kw_only=True)
class Worker:
    """Works on the jobs that it is given, many at a time, and says what it holds."""

    store: Store
    table: TableThread
    run_id: int
    fal: Fal
    clock: Clock
    slots: Slots
    intents: Intents
    waiter: Waiter
    fetcher: Fetcher
    watcher: Watcher
    downloads: asyncio.Semaphore
    streak: Streak
    brake: Brake
    doubted: asyncio.Event
    """To be set when the outcome of a submission becomes unknown."""
    witness: Witness
    """Takes the id of a request that the table can't take."""
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    """Set whenever there may be something new to hand out."""
    starting: set[int] = field(default_factory=set)
    """Jobs that were handed out to be submitted and have not come to it yet."""
    interruptible: set[int] = field(default_factory=set)
    """Jobs that are only waiting or reading: they may be left at any moment."""
    posts: set[asyncio.Task[Job]] = field(default_factory=set)
    """Submissions with the write of their outcome: they are never cut off."""
    submissions: int = 0
    stopping: bool = False
    parked: bool = False
    """A job was laid aside for a while: there is something to collect later."""
    period_limits: Callable[[datetime], Sequence[PeriodLimit]] = lambda _: ()
    """Tells the limits that hold at an instant over all runs of the table."""
    budget_reached: BudgetReached | None = None
    """The limit of money that the last submission would have passed."""
    broken_table: Exception | None = None
    _accepted: set[str] = field(default_factory=set)
    """Endpoints that took a submission in this run."""
    _served_elsewhere: set[tuple[str, str]] = field(default_factory=set)
    _distrusted: int = 0
    """Pauses in a row for certificates that were not trusted."""
    unread: UnreadResults = field(default_factory=UnreadResults)
    """Results that answer with an error that proves nothing."""
    _all_posted: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the last submission that was on its way has ended."""
    _generated: set[int] = field(default_factory=set)
    """Jobs whose clips were made while this run looked on."""
    _told_of_sizes: bool = False
    _parkings: Counter[int] = field(default_factory=Counter)
    _lines_shown: Counter[int] = field(default_factory=Counter)
    _read_again: dict[int, float] = field(default_factory=dict)
    """When the results of jobs that wait to be paid for again were read last."""
    _named: dict[str, Job] = field(default_factory=dict)
    """Whose result has just named the clip at an address, until that is in the table."""

    @property
    def lane(self) -> Lane:
        """Return the gate before all submissions."""
        return self.slots.lane

    def collect(self, job: Job) -> None:
        """Count a request of an earlier run, which holds a slot as any other."""
        now = self.clock.monotonic()
        assert job.accepted_at is not None
        waited = max(0.0, (self.clock.now() - job.accepted_at).total_seconds())
        self.slots.taken.add(job.id)
        self.slots.window.accepted(job.id, at=now - waited, now=now)

    @property
    def laid_aside(self) -> KeysView[int]:
        """Return the jobs that could not be had when this run tried, and have not come since."""
        return self._parkings.keys()

    @property
    def preparing(self) -> int:
        """Return how many jobs are made ready for a slot, or stand in line for one."""
        return len(self.starting - self.slots.taken)

    async def work(self, job: Job) -> None:
        """Take a job as far as this run may; whatever happens stays with this job."""
        try:
            await self._through_the_stages(job)
        except LeaseLost as error:
            log.warning("lease lost job=%d: %s", job.id, error)
        except asyncio.CancelledError:
            log.debug("left for the next run job=%d", job.id)
        except (TableUnusable, TableBusy) as error:
            self.broken_table = self.broken_table or error
            self.stopping = True
        except Exception:
            log.exception("left for the next run job=%d", job.id)
            self.watcher.notice(f"{job.output_name}: left for the next run, see the log")
        finally:
            for held in (self.starting, self.interruptible):
                held.discard(job.id)
            self.slots.leave(job.id)
            self.wake.set()

    async def _through_the_stages(self, job: Job) -> None:
        """The state says which stage comes next; a job that must rest comes back as None."""
        stages = {
            State.PENDING: self._submit,
            State.SUBMITTED: self._wait,
            State.READY: self._fetch,
        }
        going: Job | None = job
        while going is not None and going.state in stages and not self.stopping:
            logs.of_job(going.id, going.request.request_id if going.request else None)
            going = await stages[going.state](going)
            if going is not None and going.state is State.PENDING:
                return

    # Stages

    async def _submit(self, job: Job) -> Job | None:
        try:
            intent = await self._interruptibly(job, self.intents.of(job))
        except (FrameChanged, UnreadableFrame, FalError) as error:
            return await self._without_frames(job, error)
        if not await self._interruptibly(job, self.slots.turn(job.id)):
            await self._rest(job)
            return None
        if job.attempt:
            try:
                earlier = await self._interruptibly(job, self._alive_earlier(job))
            except Unreadable as error:
                await self._park(job, f"not paid for again before that is known ({error})")
                return None
            if earlier is not None:
                return await self._take_back(earlier)
        return await self._pay(job, intent)

    async def _pay(self, job: Job, intent: Intent) -> Job | None:
        """Submit a job that has a slot, whatever becomes of this task."""
        if self.intents.is_outdated(intent):
            self.lane.abandoned()
            await self._rest(job)
            return None
        post = asyncio.create_task(self._post(job, intent), name=f"post-{job.id}")
        self.posts.add(post)
        self._all_posted.clear()
        post.add_done_callback(self._posted)
        post.add_done_callback(_note_error)
        try:
            return await asyncio.shield(post)
        except BudgetReached as error:
            log.info("budget reached job=%d: %s", job.id, error)
            await self._rest(job)
            return None

    async def _alive_earlier(self, job: Job) -> Job | None:
        """Return the job with an earlier request of its own that came to a clip after all.

        Money goes out next, so that this is asked of fal once more, which costs nothing. Raises
        ``Unreadable`` where fal does not tell.
        """
        read_at = self._read_again.pop(job.id, float("-inf"))
        if self.clock.monotonic() - read_at < READ_JUST_NOW_SECONDS:
            return None
        try:
            earlier = await self.table(self.store.earlier_request, job)
            if earlier is None or earlier.key_fingerprint != self.fal.key_fingerprint:
                return None
            return earlier if await self.waiter.is_alive(earlier) else None
        except BaseException:
            self.lane.abandoned()
            raise

    async def _take_back(self, earlier: Job) -> Job | None:
        """Collect what an earlier request of a waiting job came to, and pay nothing for it."""
        self.lane.abandoned()
        try:
            back = await self.table(
                self.store.take_back, earlier, run_id=self.run_id, now=self.clock.now()
            )
        except BudgetReached as error:
            self.budget_reached = error
            await self._rest(earlier)
            return None
        self.starting.discard(back.id)
        self.collect(back)
        self.watcher.notice(
            f"{back.output_name}: fal has made it after all; it is collected, not paid again"
        )
        self.watcher.moved(back, earlier.state)
        return back

    async def _without_frames(self, job: Job, error: TweenbatchError) -> Job | None:
        """Blame the row, the account or the way to fal for frames that are not there."""
        status = error.http_status if isinstance(error, Answered) else None
        if status in FRAME_REFUSED or isinstance(error, FrameChanged | UnreadableFrame):
            failure = Failure(
                type="frame_unusable",
                message=f"fal does not take a frame ({error})" if status else str(error),
                http_status=status,
                billed=Billed.NO,
            )
            return await self._record(job, Outcome(event=Event.GAVE_UP, failure=failure))
        if status in KEY_TROUBLE or isinstance(error, LaneRefused):
            self.lane.close(f"fal does not take frames from this key or account ({error})")
        else:
            self.trouble(f"frames can't be uploaded: {error}")
        await self._rest(job)
        return None

    async def _post(self, job: Job, intent: Intent) -> Job:
        """Intent, one POST, outcome: the part that nothing may cut in two."""
        job = await self._begin(job, intent)
        outcome = await self._sent(job)
        try:
            return await self._record(job, outcome)
        except (TableUnusable, TableBusy):
            if outcome.request is not None:
                await self._keep(job, outcome.request)
            raise
        except ImpossibleTransition as error:
            # An equal input that was uncertain has been given this very request meanwhile.
            failure = Failure(type="outcome_unknown", message=str(error))
            return await self._record(job, Outcome(event=Event.OUTCOME_UNKNOWN, failure=failure))

    async def _sent(self, job: Job) -> Outcome:
        """Send the one POST, and let the lane know what its answer says of the way to fal."""
        try:
            outcome = await submit(job, fal=self.fal)
        except NotSent as error:
            self.submissions -= 1
            self.trouble(
                str(error),
                retry_after_seconds=error.retry_after_seconds,
                too_many=error.reached,
            )
            return not_accepted(error)
        except LaneRefused as error:
            self.submissions -= 1
            self.lane.close(self._refusal(job.spec.endpoint, error))
            return not_accepted(error, http_status=error.http_status)
        except OutcomeUnknown as error:
            if error.stops:
                self.lane.close(str(error))
            else:
                self.trouble("the outcome of a submission is unknown")
            return outcome_unknown(error)
        except BaseException as error:
            self.lane.abandoned()
            failure = Failure(type="outcome_unknown", message=f"{type(error).__name__}")
            await self._record(job, Outcome(event=Event.OUTCOME_UNKNOWN, failure=failure))
            raise
        self.lane.got_through()
        if outcome.request is not None:
            self._accepted.add(job.spec.endpoint)
            now = self.clock.monotonic()
            self.slots.window.accepted(job.id, at=now, now=now)
        self.slots.admit()
        self.wake.set()
        return outcome

    def _refusal(self, endpoint: str, error: LaneRefused) -> str:
        """Blame the model, not the key, where fal takes another model from the same key."""
        others = sorted(self._accepted - {endpoint})
        if error.http_status != HTTPStatus.FORBIDDEN or not others:
            return str(error)
        return (
            f"{error}. It takes {', '.join(others)} from this key: {endpoint} alone seems to be "
            "closed to the account. Have it opened, or run the other models without its rows"
        )

    async def _keep(self, job: Job, request: Request) -> None:
        """Tell the witness, or else whoever looks on, what the table could not be told."""
        note = Note(
            key=job.key,
            attempt=job.attempt,
            endpoint=job.spec.endpoint,
            request=request,
            accepted_at=self.clock.now(),
        )
        log.error("accepted and not in the table job=%d request=%s", job.id, request.request_id)
        try:
            await asyncio.to_thread(self.witness.keep, note)
        except OSError as error:
            self.watcher.notice(
                f"{job.output_name}: fal accepted it and its request id can't be written anywhere "
                f"({error.strerror or error}); keep this: tweenbatch resolve {job.id} --adopt "
                f"{request.request_id}"
            )
        else:
            self.watcher.notice(
                f"{job.output_name}: fal accepted it, and the table can't be written to; the next "
                f"run reads its request id from {self.witness.path}"
            )

    async def _begin(self, job: Job, intent: Intent) -> Job:
        now = self.clock.now()
        # It may have risen while the job stood in line.
        intent = replace(intent, price_usd=self.intents.price_usd(job))
        sent_at = self.fal.now() or now
        try:
            begun = await self.table.first(
                self.store.begin_attempt,
                job,
                intent,
                run_id=self.run_id,
                now=now,
                sent_at=sent_at,
                # A day begins by our clock; what was sent since then is dated by fal's.
                periods=[
                    replace(limit, begins=limit.begins - (now - sent_at))
                    for limit in self.period_limits(now)
                ],
            )
        except BaseException as error:
            self.lane.abandoned()
            if isinstance(error, BudgetReached):
                # Noted before anything that the table does later can lift it.
                self.budget_reached = error
            raise
        self.submissions += 1
        log.info("submits %s for $%s job=%d", job.output_name, intent.price_usd, job.id)
        self.starting.discard(job.id)
        self.watcher.moved(begun, job.state)
        return begun

    async def _wait(self, job: Job) -> Job | None:
        try:
            outcome = await self._interruptibly(
                job,
                self.waiter.wait(
                    job,
                    on_status=partial(self._looked, job),
                    on_silence=self._unanswered,
                    on_trouble=partial(self._in_trouble, job),
                    taken_by=partial(self._taken_by, job),
                    scout_since=lambda: self.slots.window.scouts_since(job.id),
                    turn=lambda: self.slots.window.turn(job.id),
                    give_way=self._give_way,
                    patient=not self.unread.was_laid_aside(job.id),
                ),
            )
            if outcome.event is Event.RETRY:
                self._first_try_failed(job, outcome)
                failed = await self._interruptibly(job, self._failed_for_good(job, outcome))
                if failed is None:
                    return job
                outcome = failed
        except LaneRefused as error:
            self.lane.close(str(error))
            return None
        except Unreadable as error:
            self._lay_result_aside(job)
            await self._park(job, f"can't be had for now ({error})")
            return None
        self._tell_who_served(job)
        self.unread.told(job.id)
        self._hold()
        if outcome.video is not None:
            await self._tell_of_a_mix_up(job, outcome.video)
        after = await self._record(job, outcome)
        if outcome.video is not None:
            self._named.pop(outcome.video.url, None)
        if after.state is State.READY:
            self._generated.add(job.id)
        self._leave_slot(job)
        return after

    def _tell_who_served(self, job: Job) -> None:
        """Say once where fal let another endpoint make what was asked and paid for."""
        assert job.request is not None
        served_by = self.fal.served_by.pop(job.request.request_id, None)
        asked = job.spec.endpoint
        if served_by in {None, asked}:
            return
        log.warning("served by %s, not by %s job=%d", served_by, asked, job.id)
        if (asked, served_by) not in self._served_elsewhere:
            self._served_elsewhere.add((asked, str(served_by)))
            self.watcher.notice(
                f"{job.output_name}: fal says that {served_by} served it, not {asked}; the log "
                "names each clip of which it says so"
            )

    def _first_try_failed(self, job: Job, outcome: Outcome) -> None:
        """Let all others wait where so many failed alike that a second try has to tell first."""
        assert outcome.failure is not None
        before = self.brake.reason
        self.brake.failed(job.id, outcome.failure, tries=job.tries)
        if self.brake.reason is not None and before is None:
            self.watcher.notice(self.brake.reason)

    def _probe_ended(self, job: Job, outcome: Outcome) -> None:
        """Note how a job came out that others may wait for."""
        if outcome.event is Event.GENERATED:
            self.brake.release()
        elif outcome.event is Event.GAVE_UP and outcome.failure is not None:
            self.brake.tried_again(job.id, outcome.failure)

    async def _failed_for_good(self, job: Job, outcome: Outcome) -> Outcome | None:
        """Sit out the pause before another purchase; None: the clip is there after it.

        The result is read once more at its end, and until then the price stays reserved.
        """
        self._leave_slot(job)
        assert outcome.not_before is not None
        if outcome.failure is not None and outcome.failure.type == DEAD_FRAME:
            # Others that share the address must not be submitted with it meanwhile.
            await self.intents.forget_uploads(job)
        pause = (outcome.not_before - self.clock.now()).total_seconds()
        await self.clock.sleep(max(0.0, pause))
        if await self.waiter.is_alive(job):
            return None
        self._read_again[job.id] = self.clock.monotonic()
        return replace(outcome, not_before=None)

    async def _in_trouble(self, job: Job, failure: Failure) -> None:
        """Write down why a result is read again and again, and say so."""
        news = self.unread.in_trouble(job.id, failure)
        self._hold()
        if not news:
            return
        await self.table(self.store.note_trouble, job, failure, now=self.clock.now())
        if self.lane.held is None:
            answer = f"HTTP {failure.http_status}, " if failure.http_status else ""
            self.watcher.notice(
                f"{job.output_name}: its result can't be read ({answer}{failure.message}); "
                "it is read again, not paid again"
            )

    def _lay_result_aside(self, job: Job) -> None:
        """Count a result that has been unreadable for long; several alike end the buying."""
        failure = self.unread.lay_aside(job.id)
        if failure is None:
            return
        self._hold()
        self.streak.ended_in(Outcome(event=Event.GAVE_UP, failure=failure), job)
        if self.unread.stop is not None and self.streak.limit is not None:
            self.refuse_to_submit(f"{self.unread.stop}; they are paid for, and each run reads them")

    def _hold(self) -> None:
        """Let submissions wait while several results have the same trouble."""
        reason, before = self.unread.pause, self.lane.held
        self.lane.held = reason
        if reason is not None and before is None:
            self.watcher.notice(f"{reason}; nothing is submitted until that is over")
        if reason is None and before is not None:
            self.slots.admit()
            self.wake.set()

    async def _tell_of_a_mix_up(self, job: Job, video: RemoteVideo) -> None:
        """Say which clip has an address that is this job's by fal's own list."""
        namer = self._named.get(video.url)
        if namer is not None and namer.id == job.id:
            return  # it is the first to be given that address
        other = await self._taken_by(job, video)
        if other is not None:
            self.watcher.notice(
                f"{other}: fal mixed up two answers, and it was given the clip of "
                f"{job.output_name}; look at it, delete its file, and `tweenbatch fetch --name "
                f"{other}` brings its own, for nothing"
            )

    async def _taken_by(self, job: Job, video: RemoteVideo) -> str | None:
        """Return the name of another clip that has this address: each is one attempt's alone."""
        namer = self._named.setdefault(video.url, job)
        if namer.id != job.id:
            return namer.output_name
        name = await self.table(self.store.clip_at, video.url, besides=job.attempt_id)
        if name is not None:
            del self._named[video.url]
        return name

    async def _give_way(self) -> None:
        """Let submissions go first: each fills a slot at fal, and a result can be read later."""
        # Whoever was given a slot just now is on its way after one turn of the loop.
        await asyncio.sleep(0)
        if self.posts:
            with suppress(TimeoutError):
                async with asyncio.timeout(GIVE_WAY_SECONDS):
                    await self._all_posted.wait()

    def _posted(self, post: asyncio.Task[Job]) -> None:
        self.posts.discard(post)
        if not self.posts:
            self._all_posted.set()

    def _leave_slot(self, job: Job) -> None:
        self.slots.leave(job.id)
        self.wake.set()

    async def _fetch(self, job: Job) -> Job | None:
        async with self.downloads:
            if self.stopping:
                return None
            try:
                outcome = await self.fetcher.fetch(job, rounds=self._parkings[job.id])
            except DownloadFailed as error:
                await self._lay_aside(job, str(error))
                return None
            except CheckUnavailable as error:
                self.refuse_to_submit(f"no clip can be checked: {error}; {CLIPS_STAY}")
                return None
            except DiskTrouble as error:
                self.refuse_to_submit(str(error))
                return None
        after = await self._record(job, outcome)
        self._tell_of_home(job, outcome)
        return after

    async def _lay_aside(self, job: Job, why: str) -> None:
        if job.id in self._generated:
            held = self.streak.held
            self.streak.laid_aside(job, why)
            if self.streak.held is not None and held is None:
                self.watcher.notice(f"{self.streak.held}; nothing is submitted until one comes")
        await self._park(job, f"paid, but not yet here ({why})", lay=self.store.lay_aside)

    def _tell_of_home(self, job: Job, outcome: Outcome) -> None:
        """Say what is odd about a clip that came, or about one that does not come any more."""
        name, artifact = job.output_name, outcome.artifact
        if outcome.event is Event.UNAVAILABLE and outcome.failure and job.kept:
            self.watcher.notice(
                f"{name}: {job.kept.path} is not there any more: {outcome.failure.message}; "
                f"`tweenbatch fetch {job.id}` asks again, for nothing"
            )
        if artifact is None or job.video is None:
            return
        if job.kept is not None and artifact.path.name != Path(job.kept.path).name:
            self.watcher.notice(
                f"{name}: comes back as {artifact.path}, for {job.kept.path} holds something else"
            )
        if job.video.bytes not in {None, artifact.bytes} and not self._told_of_sizes:
            self._told_of_sizes = True
            self.watcher.notice(
                f"{name}: fal says {job.video.bytes:,} bytes, the clip has {artifact.bytes:,}; it "
                "is whole and can be decoded, so it is kept (of others alike nothing is said)"
            )

    # Writing down

    async def _record(self, job: Job, outcome: Outcome) -> Job:
        """Write an outcome down; once begun it is carried out, whoever is cancelled."""
        if outcome.failure is not None and outcome.failure.type == DEAD_FRAME:
            # Before the job goes back into the queue: its next try must not find the address again.
            await self.intents.forget_uploads(job)
        # What fal has accepted is known to nobody else until it is written.
        write = self.table.first if outcome.event is Event.ACCEPTED else self.table
        writing = asyncio.ensure_future(
            write(self.store.transition, job, outcome, run_id=self.run_id, now=self.clock.now())
        )
        writing.add_done_callback(_note_error)
        after = await asyncio.shield(writing)
        if outcome.failure is not None:
            log.warning(
                "%s job=%d: %s: %s",
                outcome.event,
                job.id,
                outcome.failure.type,
                outcome.failure.message,
            )
            self.streak.ended_in(outcome, job)
            if outcome.failure.billed is Billed.NO:
                self.budget_reached = None
        else:
            log.info("%s %s job=%d%s", outcome.event, job.output_name, job.id, _at_fal(after))
        self._probe_ended(job, outcome)
        self._parkings.pop(job.id, None)
        if after.state in FINAL:
            self._generated.discard(job.id)
        if outcome.event is Event.FETCHED:
            self.streak.broken_by_a_clip()
        if outcome.event is Event.OUTCOME_UNKNOWN:
            self.doubted.set()
        self.watcher.moved(after, job.state)
        return after

    def trouble(
        self, reason: str, *, retry_after_seconds: float | None = None, too_many: bool = False
    ) -> None:
        """Pause the lane and say so, once for all the jobs that wait at it."""
        before = self.lane.wait_seconds()
        pause = self.lane.trouble(reason, retry_after_seconds=retry_after_seconds)
        if not before:
            self.slots.window.narrow(now=self.clock.monotonic(), too_many=too_many)
            self._distrusted = self._distrusted + 1 if self.fal.untrusted else 0
            if self._distrusted >= UNTRUSTED_TRIES:
                self._stop_for_a_certificate(reason)
            else:
                self.watcher.notice(f"{reason}; next submission in {pause:.0f} s")

    def _stop_for_a_certificate(self, reason: str) -> None:
        """End the run: behind such a certificate nothing can be submitted, or collected either."""
        self.lane.close(
            f"{reason}. This does not pass by itself: behind a company's proxy, set SSL_CERT_FILE "
            "to the file with its certificate; otherwise see whether the clock of this machine is "
            "right. Nothing is lost: run again"
        )
        if self.fal.host in self.fal.untrusted:
            self.stopping = True
        self.wake.set()

    def refuse_to_submit(self, reason: str) -> None:
        """Close the lane and say so, once; what is in the air is collected as far as it goes."""
        if self.lane.closed is None:
            self.watcher.notice(reason)
        self.lane.close(reason)

    def _unanswered(self, reason: str, since: float) -> None:
        """Pause the lane where all looks fail; one request that can't be read is no outage."""
        if self.lane.is_silent(since=since):
            self.trouble(reason)

    async def _park(self, job: Job, why: str, *, lay: Callable[..., None] | None = None) -> None:
        """Lay a paid job aside, longer each time: its reads are made again, never its purchase."""
        pause = park_pause(self._parkings[job.id])
        self._parkings[job.id] += 1
        self.watcher.notice(f"{job.output_name}: {why}; again in {pause.seconds} s")
        now = self.clock.now()
        await self.table(lay or self.store.release, job, now=now, not_before=now + pause)
        self.parked = True

    async def _rest(self, job: Job) -> None:
        """Give a job back as it is; it may be taken up again at once."""
        await self.table(self.store.release, job, now=self.clock.now())

    async def _interruptibly(self, job: Job, doing: Coroutine[Any, Any, T]) -> T:
        self.interruptible.add(job.id)
        try:
            return await doing
        finally:
            self.interruptible.discard(job.id)

    def _looked(self, job: Job, status: RemoteStatus) -> None:
        """Note how far fal is, and pass on the model's lines that were not shown yet."""
        self.lane.read_through()
        scout = self.slots.window.scout
        self.slots.window.looked(
            job.id,
            status.phase,
            now=self.clock.monotonic(),
            at_work=status.inference_seconds,
        )
        if self.slots.window.scout not in {None, scout}:
            self.waiter.looks.again()
        if status.phase is not Phase.COMPLETED:
            self.slots.admit()
        elif not (self.streak.close_to_its_end or self.brake.suspects):
            self._leave_slot(job)
        for line in status.logs[self._lines_shown[job.id] :]:
            self.watcher.model_log(job, line)
        self._lines_shown[job.id] = max(self._lines_shown[job.id], len(status.logs))


def park_pause(n: int) -> timedelta:
    """Return how long a paid job is laid aside for the n-th time (from 0)."""
    # Bounded before the power is taken: a float has no room for that of 1,024.
    return timedelta(seconds=min(PARK_CAP_SECONDS, PARK_BASE_SECONDS * 2.0 ** min(n, 32)))


def _at_fal(job: Job) -> str:
    return f" request={job.request.request_id}" if job.request else ""


def _note_error(task: "asyncio.Task[Job]") -> None:
    """See an error that nobody waits for any more: the trouble of the table is told once."""
    if not task.cancelled() and task.exception() is not None:
        log.debug("nobody waited: %s", task.exception())
