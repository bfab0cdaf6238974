"""Deliver each run's digest once, to a folder and to notification targets, even if the run died.

A run whose digest could not be sent stays unnotified in the table; the next start sends it.
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
    """The folder and targets for digests; ``say`` is called with each failure."""

    folder: Path | None
    targets: Sequence[Target]
    say: Callable[[str], None]
    rehearsal: bool = False

    @property
    def is_wanted(self) -> bool:
        """Return whether a folder or a target is configured."""
        return self.folder is not None or bool(self.targets)

    def deliver_pending(self, store: Store, job: str | None, *, now: datetime) -> None:
        """Deliver the digests of a job's unnotified finished runs; without a job, of the last run.

        With no target configured, runs are still marked as notified, so that enabling
        notifications later does not replay old runs.
        """
        for run in store.runs.latest(limit=1) if job is None else store.runs.unnotified(job):
            self.deliver_run(run, store, now=now)

    def deliver_run(self, run: Run, store: Store, *, now: datetime) -> None:
        """Deliver a finished run's digest, if wanted, and mark the run as notified."""
        if not self.is_wanted or self.send(
            Digest.of_run(run, store.runs.activity(run), rehearsal=self.rehearsal)
        ):
            store.runs.mark_notified(run.id, now=now)

    def send(self, content: Digest) -> bool:
        """Write a digest to the folder and send it; return whether both succeeded."""
        problems = self._write(content)
        message = Message(
            title=content.title, text="\n".join(digest.lines(content)), shape=digest.shape(content)
        )
        problems += notify.send(message, self.targets)
        for problem in problems:
            self.say(f"the digest: {problem}; the next run tries again")
        return not problems

    def _write(self, new: Digest) -> list[str]:
        if self.folder is None:
            return []
        path = self.folder / f"{new.night.isoformat()}.json"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            runs = [each for each in _written(path) if new.run is None or not _is_same(each, new)]
            content = {"night": new.night.isoformat(), "runs": [*runs, digest.shape(new)]}
            atomic.write(path, f"{json.dumps(content, indent=2)}\n".encode())
        except OSError as error:
            return [f"{path} can't be written ({error.strerror or error})"]
        return []


def _written(path: Path) -> list[dict[str, Any]]:
    """Return the digests already written for that night."""
    try:
        with atomic.opened(path) as file:
            runs = json.load(file)["runs"]
        return [each for each in runs if isinstance(each, dict)]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return []


def _is_same(written: dict[str, Any], new: Digest) -> bool:
    run = written.get("run")
    return (
        written.get("job") == new.job
        and isinstance(run, dict)
        and new.run is not None
        and run.get("id") == new.run.id
    )
