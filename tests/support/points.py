"""The named points at which a run is killed, and how to see that it is there.

Nothing sleeps: fal's stand-in tells what has happened, and a run that ends tells it by itself.
"""

import select
import sqlite3
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from support.command import until
from support.fal import WAIT_SECONDS, Server
from support.forked import Run

TABLE = "tweenbatch.db"
PARTS = "*.mp4.part"

ANY_MOMENT = "any moment"
BEFORE_ALL = "before the intent"


def comes(
    fal: Server,
    run: Run,
    event: str,
    *,
    since: int,
    count: int = 1,
    within_seconds: float | None = None,
) -> bool:
    """Wait for events; False where the run ended before, or they did not come within the time.

    Without a time it is an error that they do not come.
    """
    place = urllib.parse.urlsplit(fal.url)
    timeout = WAIT_SECONDS if within_seconds is None else within_seconds
    wanted = {"event": event, "count": count, "since": since, "timeout": timeout}
    with closing(HTTPConnection(place.netloc, timeout=WAIT_SECONDS + 10)) as connection:
        connection.request("GET", f"/events?{urllib.parse.urlencode(wanted)}")
        ready, _, _ = select.select([connection.sock, run], [], [], WAIT_SECONDS + 10)
        assert ready, f"neither {event} nor an end"
        if connection.sock not in ready:
            return False
        answer = connection.getresponse()
        came = answer.status == 200
        assert came or within_seconds is not None, answer.read()
        return came


def ended(run: Run) -> bool:
    return bool(select.select([run], [], [], 0)[0])


def states(table: Path) -> Counter[str]:
    """Count the jobs by state; none where the table must first be mended by the next run."""
    try:
        return Counter(dict(look(table, "SELECT state, COUNT(*) FROM jobs GROUP BY state")))
    except sqlite3.OperationalError:
        return Counter()


def look(table: Path, query: str) -> list[Any]:
    """Ask the table something without mending or changing it."""
    with closing(sqlite3.connect(f"{table.as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()


@contextmanager
def locked(table: Path) -> Iterator[None]:
    """Let nobody else write to the table."""
    with closing(sqlite3.connect(table, isolation_level=None, timeout=60)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.rollback()


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Where a run is killed: the faults that bring it there and the event that says so.

    ``then`` brings it a step further, with ``locked`` while it can't write to its table.
    """

    faults: tuple[dict[str, Any], ...] = ()
    event: str = "held"
    then: Callable[[Server, Run, Path], object] = lambda _fal, _run, _folder: None
    locked: bool = False
    needs: frozenset[str] = frozenset({"pending"})
    """States of which one job must be there for a run to come here; "frames": a frame must
    still be uploaded."""


def _held(on: str, at: str = "arrival", **more: Any) -> dict[str, Any]:
    return {"on": on, "do": "hold", "at": at, "id": "held", **more}


def _let_reply_out(fal: Server, run: Run, _folder: Path) -> None:
    before = fal.totals()["last_event"]
    fal.release("held")
    comes(fal, run, "reply_sent", since=before)


def _wait_for_id(_fal: Server, run: Run, folder: Path) -> None:
    until(lambda: ended(run) or states(folder / TABLE)["submitted"] > 0)


def _let_clip_in(fal: Server, run: Run, _folder: Path) -> None:
    until(lambda: ended(run) or bool(_written_by(run)))
    coming = _written_by(run)
    fal.release("held")
    # A part goes when its clip has its name, which may have been there before.
    until(lambda: ended(run) or not all(part.exists() for part in coming))


def _written_by(run: Run) -> list[Path]:
    """Return the parts that a run holds open: others are of a run that was killed."""
    parts = []
    for descriptor in Path(f"/proc/{run.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since it was listed
            path = descriptor.readlink()
            if path.match(PARTS):
                parts.append(path)
    return parts


_AT_FAL = frozenset({"pending", "submitted"})
_COMING_HOME = frozenset({"pending", "submitted", "ready"})

POINTS = {
    BEFORE_ALL: Point(faults=(_held("upload"),), needs=frozenset({"frames"})),
    "intent recorded, never accepted": Point(
        faults=(_held("submit"), {"on": "submit", "do": "reset", "at": "arrival"})
    ),
    "intent recorded, accepted later": Point(faults=(_held("submit"),)),
    "accepted, reply held": Point(faults=(_held("submit", "reply"),)),
    "reply half sent": Point(faults=({"on": "submit", "do": "half"},), event="reply_lost"),
    "reply sent, id not recorded": Point(
        faults=(_held("submit", "reply"),), then=_let_reply_out, locked=True
    ),
    "id recorded": Point(faults=(_held("generation"),), event="reply_sent", then=_wait_for_id),
    "while it polls": Point(faults=(_held("generation"),), event="status_read", needs=_AT_FAL),
    "result read": Point(faults=(_held("result", "reply"),), needs=_AT_FAL),
    "middle of a download": Point(faults=(_held("download", after_bytes=100),), needs=_COMING_HOME),
    "clip in place, not recorded": Point(
        faults=(_held("download", after_bytes=100),),
        then=_let_clip_in,
        locked=True,
        needs=_COMING_HOME,
    ),
    ANY_MOMENT: Point(event="", needs=_COMING_HOME),
}
