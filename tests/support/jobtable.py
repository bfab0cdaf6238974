"""Jobs in a real table, and one short way to each state."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from tweenbatch.manifest.spool import Spool
from tweenbatch.records import (
    Artifact,
    Failure,
    Frame,
    Imported,
    Intent,
    Job,
    JobSpec,
    Outcome,
    RemoteVideo,
    Request,
)
from tweenbatch.records.manifest import Columns, JobKind, Manifest, Row
from tweenbatch.states import Event, ImpossibleTransition, State
from tweenbatch.store import Store

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PRICE = Decimal("0.56")


def row(number: int = 2, **changes: object) -> Row:
    """A row whose content follows from its number unless told otherwise."""
    facts: dict[str, object] = {
        "prompt": f"prompt {number}",
        "start": Frame(source=f"/frames/{number}.png", sha256=f"{number:064x}"),
        "end": None,
        "take": 1,
    }
    spec = {name: changes.pop(name, fact) for name, fact in facts.items()}
    facts = {
        "name": f"clip {number}",
        "price_usd": PRICE,
        "start_image": f"{number}.png",
        "end_image": "",
    } | changes
    facts["extra_json"] = json.dumps(facts.pop("extra", {}))
    asked = JobSpec(endpoint="kling", parameters={"duration": "5"}, **spec)  # type: ignore[arg-type]
    return row_for(asked, number=number, **facts)  # type: ignore[arg-type]


def row_for(spec: JobSpec, *, price_usd: Decimal = PRICE, **facts: Any) -> Row:
    """A row that asks for this job."""
    return Row(
        key=spec.key,
        kind=JobKind(endpoint=spec.endpoint, parameters=spec.parameters, price_usd=price_usd),
        take=spec.take,
        prompt=spec.prompt,
        start_source=spec.start.source,
        start_sha256=spec.start.sha256,
        end_source=spec.end.source if spec.end else None,
        end_sha256=spec.end.sha256 if spec.end else None,
        **facts,
    )


def changed(old: Row, **changes: Any) -> Row:
    """The row with other facts, or one that asks for another content."""
    of_spec = {each.name for each in fields(JobSpec)} & changes.keys()
    spec = replace(old.spec, **{name: changes.pop(name) for name in of_spec})
    own = ("number", "name", "start_image", "end_image", "priority", "tags", "extra_json", "output")
    facts = {name: getattr(old, name) for name in own}
    return row_for(spec, **{"price_usd": old.kind.price_usd, **facts, **changes})


def manifest(*rows: Row, path: str = "/jobs/manifest.csv") -> Manifest:
    return Manifest(path=Path(path), sha256="f" * 64, rows=spooled(rows))


def spooled(rows: Sequence[Row]) -> Spool:
    """The rows as a reader puts them away."""
    spool = Spool()
    spool.extend(columns_of(rows))
    return spool


def columns_of(rows: Sequence[Row]) -> Columns:
    """The rows, column by column."""
    return {name: [getattr(row, name) for row in rows] for name in Row._fields}


@dataclass(kw_only=True)
class Table:
    """A store, a run, and the hour."""

    store: Store
    run_id: int
    now: datetime = NOON
    requests: Iterator[int] = field(default_factory=lambda: iter(range(1, 10_000)))

    def later(self, seconds: float) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now

    def another_run(self) -> "Table":
        """The same table in the hands of another run."""
        run_id = self.store.runs.begin(
            host="there", pid=2, version="1", now=self.now, max_cost_usd=None
        )
        return replace(self, run_id=run_id)

    def load(self, *rows: Row, path: str = "/jobs/manifest.csv") -> Imported:
        return self.store.manifests.put(manifest(*rows, path=path), now=self.now)

    def claim(self, *states: State, limit: int = 100) -> list[Job]:
        wanted = states or (State.PENDING,)
        return self.store.jobs.claim(self.run_id, wanted, limit=limit, now=self.now)

    def claim_one(self, *states: State) -> Job:
        (job,) = self.claim(*states, limit=1)
        return job

    def begin(self, job: Job, price_usd: Decimal = PRICE) -> Job:
        intent = Intent(
            arguments={"prompt": job.spec.prompt},
            price_usd=price_usd,
            key_fingerprint="key",
            host="queue.fal.run",
        )
        return self.store.jobs.begin_attempt(job, intent, run_id=self.run_id, now=self.now)

    def outcome(self, event: Event) -> Outcome:
        """An outcome with the facts that its event needs."""
        outcome = Outcome(event=event)
        match event:
            case Event.ACCEPTED | Event.REOPENED:
                number = next(self.requests)
                at = "https://queue.fal.run/requests"
                request = Request(
                    request_id=f"request-{number}",
                    status_url=f"{at}/{number}/status",
                    response_url=f"{at}/{number}",
                    cancel_url=f"{at}/{number}/cancel",
                )
                return replace(outcome, request=request)
            case Event.GENERATED:
                video = RemoteVideo(url="https://v3.fal.media/clip.mp4", bytes=7, content_type=None)
                return replace(outcome, video=video)
            case Event.FETCHED:
                return replace(outcome, artifact=CLIP)
            case Event.GAVE_UP | Event.RETRY:
                return replace(outcome, failure=Failure(type="broken", message="It broke."))
            case _:
                return outcome

    def step(self, job: Job, event: Event, outcome: Outcome | None = None) -> Job:
        if event is Event.SUBMIT_STARTED:
            return self.begin(job)
        if event is Event.MISSED:
            if not self.store.jobs.miss([job.id], now=self.now):
                raise ImpossibleTransition("nothing of it is paid for and not here")
            return self.claim_one(State.READY)
        if event is Event.REOPENED:
            return self.store.jobs.settle(job, outcome or self.outcome(event), now=self.now)
        return self.store.jobs.transition(
            job, outcome or self.outcome(event), run_id=self.run_id, now=self.now
        )

    def walk(self, *events: Event, job: Job | None = None) -> Job:
        """Take a job along these events, claiming it anew wherever it was given back."""
        moving = job or self.claim_one()
        for place, event in enumerate(events):
            if place and moving.state in {State.PENDING, State.UNCERTAIN}:
                moving = self.claim_one(moving.state)
            moving = self.step(moving, event)
        return moving

    def put_in(self, state: State) -> Job:
        """Bring the one waiting job to that state, leased to us where it can be."""
        job = self.walk(*PATHS[state])
        return self.claim_one(State.UNCERTAIN) if job.state is State.UNCERTAIN else job


CLIP = Artifact(
    path=Path("/videos/clip.mp4"),
    url="https://v3.fal.media/clip.mp4",
    bytes=7,
    sha256="c" * 64,
    seconds=5.0,
    width=1280,
    height=720,
)

SENT = (Event.SUBMIT_STARTED,)
SUBMITTED = (*SENT, Event.ACCEPTED)
READY = (*SUBMITTED, Event.GENERATED)
PATHS: dict[State, tuple[Event, ...]] = {
    State.PENDING: (),
    State.SUBMITTING: SENT,
    State.UNCERTAIN: (*SENT, Event.OUTCOME_UNKNOWN),
    State.SUBMITTED: SUBMITTED,
    State.READY: READY,
    State.SUCCEEDED: (*READY, Event.FETCHED),
    State.FAILED: (*SUBMITTED, Event.GAVE_UP),
    State.CANCELLED: (Event.CANCELLED,),
}
