"""One fal and one job table in virtual time: what a gate that needs hours is played in.

The judge is fal's own ledger. Nothing of the product is replaced but its clock and its loop.
"""

import atexit
import random
import shutil
import socket
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from support.command import KEY
from support.jobtable import row_for, spooled
from support.virtual import VirtualClock
from tweenbatch.clips.checker import Checker
from tweenbatch.emulator.server import Emulator
from tweenbatch.emulator.settings import Settings
from tweenbatch.fal import Fal
from tweenbatch.models import KLING_O1
from tweenbatch.records import Frame, Job, JobSpec
from tweenbatch.records.manifest import Manifest, Row
from tweenbatch.records.result import RunResult
from tweenbatch.runner import session
from tweenbatch.runner.inputs import Consent, Parts
from tweenbatch.runner.price_watch import AS_KNOWN, PriceAgreement
from tweenbatch.settings import RunSettings
from tweenbatch.stages.dead_frames import CheckUrls, DeadFrames
from tweenbatch.states import State
from tweenbatch.store import Store

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass(slots=True)
class Diary:
    """Records the notices of a run, for the message of a test that fails."""

    clock: VirtualClock
    notices: list[str] = field(default_factory=list)

    def moved(self, _job: Job, _before: State) -> None:
        pass

    def model_log(self, _job: Job, _line: str) -> None:
        pass

    def notice(self, message: str) -> None:
        self.notices.append(f"{self.clock.now():%d %H:%M:%S} {message}")


@dataclass(slots=True, kw_only=True)
class World:
    """``clock`` is the runner's and ``fal_clock`` is fal's; they share only their seconds."""

    folder: Path
    seed: int
    store: Store
    port: int
    clock: VirtualClock
    fal_clock: VirtualClock
    fal_settings: Settings
    diary: Diary
    fal: Emulator | None = None
    _faults: list[dict[str, Any]] = field(default_factory=list)
    _starts: int = 0
    _dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)

    async def open_fal(self) -> None:
        """Let fal answer, at the same address and with all that it knew before."""
        self._starts += 1
        self.fal = Emulator(
            self.fal_settings,
            port=self.port,
            state=self.folder / "fal",
            clock=self.fal_clock,
            seed=self.seed * 1000 + self._starts,
        )
        await self.fal.start()
        self.fal.script(self._faults)

    async def close_fal(self) -> None:
        """Refuse every connection, and break off those that there are."""
        assert self.fal is not None
        await self.fal.stop()
        self.fal = None

    async def until(self, event: str, *, count: int = 1, **match: Any) -> None:
        """Wait until fal's ledger has so many events of that name, at most a virtual hour."""
        assert self.fal is not None, "fal is not there"
        await self.fal.wait_for(event, count=count, timeout=3600.0, **match)

    def script(self, *faults: dict[str, Any]) -> None:
        """Replace the faults in force, also for a fal that is not there at the moment."""
        self._faults = list(faults)
        if self.fal is not None:
            self.fal.script(self._faults)

    def load(self, count: int, **frames: Frame | None) -> None:
        """Put so many rows into the table, with addresses as frames unless told otherwise."""
        rows = tuple(_row(number, **frames) for number in range(1, count + 1))
        manifest = Manifest(path=self.folder / "manifest.csv", sha256="f" * 64, rows=spooled(rows))
        self.store.manifests.put(manifest, now=self.clock.now())

    async def run(
        self,
        *,
        connect_to: str | None = None,
        agreement: PriceAgreement = AS_KNOWN,
        checks: Checker | None = None,
        ask: CheckUrls | None = None,
        **settings: Any,
    ) -> RunResult:
        """Run until nothing is left to do, as ``tweenbatch run`` would with these options."""
        url = connect_to or f"http://127.0.0.1:{self.port}"
        return await session.run(
            RunSettings(output=self.folder / "videos", **settings),
            store=self.store,
            fal=lambda: Fal.connect(connect_to=url, key=KEY),
            watcher=self.diary,
            clock=self.clock,
            consent=Consent(prices=agreement),
            parts=Parts(
                checker=checks or checker(),
                dead_frames=DeadFrames(check=ask or all_answer),
                rng=self._dice,
            ),
        )

    @property
    def url(self) -> str:
        """Where the job table is."""
        return f"sqlite:///{self.folder / 'tweenbatch.db'}"

    def restore(self, copy: Path) -> None:
        """Replace the job table by a copy of an earlier one."""
        self.store.close()
        for left in self.folder.glob("tweenbatch.db*"):
            left.unlink()
        shutil.copy(copy, self.folder / "tweenbatch.db")
        self.store = Store.open(self.url, create=False)

    def states(self) -> dict[str, int]:
        """How many jobs stand where, without the zeros."""
        return {state.value: count for state, count in self.store.views.counts().items() if count}

    def ledger(self) -> dict[str, Any]:
        """What fal accepted, billed and delivered."""
        assert self.fal is not None, "fal is not there"
        return self.fal.ledger()

    def failures(self) -> Counter[int]:
        """How many jobs were bought again, by how often, after a generation that failed."""
        ids = range(1, sum(self.store.views.counts().values()) + 1)
        return Counter(job.tries for job in self.store.jobs.get(ids))


@asynccontextmanager
async def world(
    folder: Path,
    *,
    rows: int,
    seed: int = 0,
    start: datetime = NOON,
    fal_skew: float = 0.0,
    fal_settings: Settings | None = None,
) -> AsyncIterator[World]:
    """Open a world; unless told otherwise its fal makes a clip in ten seconds, ten at a time.

    ``fal_skew`` is how many seconds fal's clock is ahead of the runner's.
    """
    (folder / "videos").mkdir()
    table = folder / "tweenbatch.db"
    table.write_bytes(_blank_table())
    clock = VirtualClock(start)
    # Bound and not listening: refuses connections, and keeps the port from everybody else.
    with socket.socket() as place:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind(("127.0.0.1", 0))
        made = World(
            folder=folder,
            seed=seed,
            store=Store.open(f"sqlite:///{table}", create=False),
            port=place.getsockname()[1],
            clock=clock,
            fal_clock=VirtualClock(start, skew=fal_skew),
            fal_settings=fal_settings or Settings(seconds=10.0),
            diary=Diary(clock),
        )
        try:
            made.load(rows)
            await made.open_fal()
            yield made
        except BaseException as error:
            error.add_note("\n".join(("the run said:", *made.diary.notices[-20:])))
            raise
        finally:
            if made.fal is not None:
                await made.close_fal()
            made.store.close()


async def all_answer(_urls: Collection[str], _max_bytes: int) -> Mapping[str, str]:
    """An internet in which each frame's address answers."""
    return {}


def _row(number: int, **frames: Frame | None) -> Row:
    names = ("start", "end")
    own = {name: Frame(source=f"https://example.com/{number}-{name}.png") for name in names}
    asked: dict[str, Any] = {**own, **frames}
    start, end = asked["start"], asked["end"]
    parameters = {"duration": "5"}
    return row_for(
        JobSpec(
            endpoint=KLING_O1.id,
            prompt=f"prompt {number}",
            **asked,
            parameters=parameters,
        ),
        number=number + 1,
        name=f"clip {number}",
        price_usd=KLING_O1.price_usd(parameters),
        start_image=start.source,
        end_image=end.source if end else "",
    )


@cache
def checker() -> Checker:
    """The process that decodes the clips of all worlds of this one."""
    made = Checker()
    atexit.register(made.close)
    return made


@cache
def _blank_table() -> bytes:
    """A table without content: copying it is quicker than migrating one for each world."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder, "tweenbatch.db")
        Store.open(f"sqlite:///{table}").close()
        return table.read_bytes()
