"""The request for a plan or a run: manifests, how to read them, and the settings."""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import TypedDict

from tweenbatch import manifest
from tweenbatch.errors import ManifestError, UsageError
from tweenbatch.frames.cache import FrameCache, FramesWatcher
from tweenbatch.frames.fit import Fit, Way
from tweenbatch.manifest import Naming, Reading
from tweenbatch.manifest import problems_file as problems
from tweenbatch.models import DEFAULT, find
from tweenbatch.nights.inbox import Inbox
from tweenbatch.paths import FITTED
from tweenbatch.printable import printable_line
from tweenbatch.records import EarlierFailures
from tweenbatch.records.manifest import Manifest
from tweenbatch.settings import RunSettings
from tweenbatch.store import Store

log = logging.getLogger(__name__)

Say = Callable[[str], None]
"""Shows one line to the user."""


MOST_ATTEMPTS = 5
"""Jobs that were submitted this often are not retried by ``retry_failed``."""


class ReadOptions(TypedDict, total=False):
    """How manifests are read; see ``tweenbatch plan --help``."""

    inbox: str | PathLike[str] | None
    model: str
    frames: Sequence[str | PathLike[str]]
    allow_open_ended: bool
    set: Mapping[str, str]
    """Values for empty or missing cells, by column."""
    keep: Sequence[str]
    name: str | None
    takes: int
    retry_failed: Collection[str]
    retry_most: int
    strict: bool
    check_urls: bool
    fit: str | None
    """``"pad"`` or ``"crop"``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadManifests:
    """The manifests that were read, and the frames inspected for them."""

    manifests: list[Manifest]
    frames: FrameCache
    rejected: tuple[str, ...] = ()
    """Names of invalid manifests, which were moved out of the inbox."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestRequest:
    """The manifests to read, and how to read them."""

    paths: tuple[Path, ...] = ()
    inbox: Inbox | None = None
    reading: Reading = field(default_factory=Reading)
    old_failures: EarlierFailures | None = None
    """The failures of earlier runs to try again; None: no failures."""
    fit: Way | None = None
    """How to fit frames; None: not at all."""

    @property
    def is_empty(self) -> bool:
        """Tell whether neither manifests nor an inbox are named."""
        return not self.paths and self.inbox is None

    def with_arrivals(self, warn: Say) -> "ManifestRequest":
        """Return this request with the complete manifests of the inbox added.

        Raises ``UsageError`` if the inbox can't be read.
        """
        if self.inbox is None:
            return self
        try:
            arrived, changing = self.inbox.arrived()
        except OSError as error:
            raise UsageError(
                f"the inbox {self.inbox.folder} can't be read ({error.strerror or error})"
            ) from error
        for path in changing:
            warn(f"{path}: still being written; the next run reads it")
        return replace(self, paths=(*self.paths, *arrived))

    def read(
        self,
        output: Path,
        store: Store | None,
        *,
        writes: bool,
        frames_watcher: FramesWatcher | None = None,
    ) -> ReadManifests:
        """Read the manifests; raise ``ManifestError`` and write the problems beside each file.

        Fitted copies of frames are kept below ``output``, but only if ``writes``. ``store`` may
        remember frames and manifests from earlier runs.
        """
        fit = None
        if self.fit is not None:
            fit = Fit(way=self.fit, folder=output.absolute() / FITTED, writes=writes)
        memory = FrameCache(watcher=frames_watcher)
        if store is not None:
            memory = FrameCache(recall=store.cache.remembered_frames, watcher=frames_watcher)
        latest = store.manifests.last_import() if store else None
        reading = replace(self.reading, fit=fit, memory=memory, latest=latest)
        try:
            read = manifest.read_all(self.paths, reading)
        except ManifestError as error:
            problems.write(error)
            raise
        problems.forget(each.path for each in read)
        return ReadManifests(manifests=read, frames=memory)

    def read_for_run(
        self,
        output: Path,
        store: Store | None,
        *,
        warn: Say,
        frames_watcher: FramesWatcher | None = None,
    ) -> ReadManifests:
        """Read like ``read``, but move invalid manifests out of the inbox and continue.

        Raises ``ManifestError`` for any other invalid manifest.
        """
        try:
            return self.read(output, store, writes=True, frames_watcher=frames_watcher)
        except ManifestError as error:
            inbox = self.inbox
            errors = {each.path: each for each in (error, *error.others)}
            bad = {path for path in errors if inbox and inbox.holds(path)}
            if inbox is None or not bad:
                raise
            for path in sorted(bad):
                warn(str(ManifestError(path, errors[path].problems)))
                try:
                    target = inbox.reject(path)
                except OSError as trouble:
                    warn(f"{path.name} can't be moved ({trouble.strerror or trouble})")
                    continue
                if target != path:
                    warn(f"moved to {target}")
        good = tuple(path for path in self.paths if path not in bad)
        read = replace(self, paths=good).read_for_run(
            output, store, warn=warn, frames_watcher=frames_watcher
        )
        # A file name may not be valid text, but the table needs text.
        names = (printable_line(path.name) for path in sorted(bad))
        return replace(read, rejected=(*names, *read.rejected))


def manifest_request(
    manifests: Iterable[Path], options: ReadOptions, *, moves: bool
) -> ManifestRequest:
    """Return the request for manifests, from options by their names.

    With ``moves``, manifests leave the inbox once they are done or rejected. Raises ``UsageError``
    for a model or a template that can't be.
    """
    inbox, name, fit = options.get("inbox"), options.get("name"), options.get("fit")
    errors = frozenset(options.get("retry_failed", ()))
    most = options.get("retry_most", MOST_ATTEMPTS)
    return ManifestRequest(
        paths=tuple(manifests),
        inbox=None if inbox is None else Inbox(Path(inbox), moves=moves),
        old_failures=EarlierFailures(errors=errors, most_attempts=most) if errors else None,
        fit=Way(fit) if fit else None,
        reading=Reading(
            endpoint=find(options.get("model", DEFAULT.id)),
            frames=tuple(Path(each) for each in options.get("frames", ())),
            allow_open_ended=options.get("allow_open_ended", False),
            keep=tuple(options.get("keep", ())),
            defaults=options.get("set", {}),
            takes=options.get("takes", 1),
            naming=Naming.parse(name) if name else None,
            strict=options.get("strict", False),
            check_urls=options.get("check_urls", False),
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """The request for a run."""

    manifests: ManifestRequest = field(default_factory=ManifestRequest)
    settings: RunSettings = field(default_factory=RunSettings)
    given: frozenset[str] = frozenset()
    """Names of settings that the user gave; the settings of the last run do not replace them."""
