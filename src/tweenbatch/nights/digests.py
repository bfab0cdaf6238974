"""The morning after: each run's digest is written down and sent, once, and also of one that died.

What could not be sent stays untold in the table, and the next start sends it.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tweenbatch.files import atomic
from tweenbatch.nights import notify
from tweenbatch.nights.notify import Message, Target
from tweenbatch.records import Run
from tweenbatch.report import digest
from tweenbatch.report.digest import Digest
from tweenbatch.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestDelivery:
    """Where digests go; ``say`` hears what could not be done."""

    folder: Path | None
    targets: Sequence[Target]
    say: Callable[[str], None]
    rehearsal: bool = False

    @property
    def is_wanted(self) -> bool:
        """Tell whether anybody wants to hear of the run."""
        return self.folder is not None or bool(self.targets)

    def deliver_pending(self, store: Store, job: str | None, *, now: datetime) -> None:
        """Tell of the job's runs that are over and of which nobody was told; or of the last run.

        Where nobody wants to hear of them that is noted as well: whoever wants to from some day on
        is not told of all that went before.
        """
        for run in store.runs.latest(limit=1) if job is None else store.runs.unnotified(job):
            self.deliver_run(run, store, now=now)

    def deliver_run(self, run: Run, store: Store, *, now: datetime) -> None:
        """Tell of a run that is over, if anybody wants to hear of it, and note that."""
        if not self.is_wanted or self.tell(
            Digest.of_run(run, store.runs.activity(run), rehearsal=self.rehearsal)
        ):
            store.runs.mark_notified(run.id, now=now)

    def tell(self, told: Digest) -> bool:
        """Write a digest down and send it; return whether all of that could be done."""
        trouble = self._write(told)
        message = Message(
            title=told.title, text="\n".join(digest.lines(told)), shape=digest.shape(told)
        )
        trouble += notify.send(message, self.targets)
        for each in trouble:
            self.say(f"the digest: {each}; the next run tries again")
        return not trouble

    def _write(self, told: Digest) -> list[str]:
        if self.folder is None:
            return []
        path = self.folder / f"{told.night.isoformat()}.json"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            runs = [each for each in _written(path) if told.run is None or not _is_of(each, told)]
            content = {"night": told.night.isoformat(), "runs": [*runs, digest.shape(told)]}
            atomic.write(path, f"{json.dumps(content, indent=2)}\n".encode())
        except OSError as error:
            return [f"{path} can't be written ({error.strerror or error})"]
        return []


def _written(path: Path) -> list[dict[str, Any]]:
    """Return what was written of the same night before."""
    try:
        with atomic.opened(path) as file:
            runs = json.load(file)["runs"]
        return [each for each in runs if isinstance(each, dict)]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return []


def _is_of(written: dict[str, Any], told: Digest) -> bool:
    of = written.get("run")
    return (
        written.get("job") == told.job
        and isinstance(of, dict)
        and told.run is not None
        and of.get("id") == told.run.id
    )
