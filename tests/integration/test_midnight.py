"""A run that passes midnight: the day's limit opens again by itself."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from support import manifests
from support.command import KEY
from support.fal import Server
from support.zones import local_zone
from tweenbatch import manifest
from tweenbatch.clock import SystemClock
from tweenbatch.fal import Fal
from tweenbatch.manifest import Reading
from tweenbatch.records import Job
from tweenbatch.run import session
from tweenbatch.settings import RunSettings
from tweenbatch.states import State
from tweenbatch.store import Store

LATE = datetime(2026, 3, 28, 22, 59, 30, tzinfo=UTC)
"""Half a minute before midnight in Berlin."""


class Evening(SystemClock):
    """A clock that stands still, and goes on behind midnight when it is told to."""

    def __init__(self) -> None:
        self.at = LATE

    def now(self) -> datetime:
        return self.at


class Silent:
    def moved(self, job: Job, before: State) -> None:
        pass

    def model_log(self, job: Job, line: str) -> None:
        pass

    def notice(self, message: str) -> None:
        pass


class AtTheLimit(logging.Handler):
    """When a submission is refused: let what is held go on, and the clock as far as it should."""

    def __init__(self, fal: Server, clock: Evening, *, passes: timedelta) -> None:
        super().__init__()
        self.fal, self.clock, self.passes = fal, clock, passes

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith("budget reached"):
            self.clock.at = LATE + self.passes
            self.fal.release()


@contextmanager
def at_the_limit(handler: AtTheLimit) -> Iterator[None]:
    logger = logging.getLogger("tweenbatch.run.worker")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield
    logger.setLevel(logging.NOTSET)
    logger.removeHandler(handler)


@pytest.fixture
def berlin() -> Iterator[None]:
    with local_zone("Europe/Berlin"):
        yield


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("passes", "code", "posts"),
    [(timedelta(minutes=1), 0, 2), (timedelta(seconds=29), 3, 1)],
    ids=["midnight", "not quite midnight"],
)
def test_a_new_day_lets_a_run_that_still_collects_submit_again(
    tmp_path: Path, fal: Server, passes: timedelta, code: int, posts: int
) -> None:
    fal.script({"on": "generation", "do": "hold"})
    source = manifests.project(tmp_path, 2)
    store = Store.open("sqlite:///:memory:")
    read = manifest.read(source, Reading())
    store.import_manifest(read, now=LATE)
    clock = Evening()
    settings = RunSettings(output=tmp_path / "videos", max_cost_per_day=Decimal("0.56"))
    session.check_output(settings.output)
    with at_the_limit(AtTheLimit(fal, clock, passes=passes)):
        result = asyncio.run(
            session.run(
                settings,
                store=store,
                fal=partial(Fal.connect, connect_to=fal.url, key=KEY),
                watcher=Silent(),
                manifests=None,
                on_stop=lambda: None,
                clock=clock,
            )
        )
    store.close()
    assert (result.exit_code, fal.ledger()["posts"]) == (code, posts)
    assert result.ended.limit == ("--max-cost-per-day" if code else None)
