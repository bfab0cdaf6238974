"""The log of runs, as text or JSON, with each line's run, job and request, and without secrets.

A separate thread writes the file, so that a full or slow disk costs log lines, not clips.
"""

import json
import logging
import os
import queue
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from enum import StrEnum
from io import TextIOWrapper
from logging.handlers import QueueHandler, QueueListener, RotatingFileHandler
from pathlib import Path

from tweenbatch.errors import TweenbatchError, UsageError
from tweenbatch.files import atomic
from tweenbatch.printable import printable_line

log = logging.getLogger(__name__)

ROOT = "tweenbatch"
FILE_BYTES = 10_000_000
FILES_KEPT = 5

KEYS = ("FAL_KEY", "FAL_KEY_ID", "FAL_KEY_SECRET")
SHORTEST_SECRET = 6
"""A shorter text isn't a secret; hiding it would remove words from sentences."""

_QUERY = re.compile(r"(https?://[^\s?\"']+)\?[^\s\"']+")
_FACT = re.compile(r"\s*\b(job|request)=([\w-]+)")

_run: ContextVar[int | None] = ContextVar("run", default=None)
_job: ContextVar[int | None] = ContextVar("job", default=None)
_request: ContextVar[str | None] = ContextVar("request", default=None)


class Form(StrEnum):
    """The format of log lines."""

    TEXT = "text"
    JSON = "json"


ALREADY_SHOWN = {"already_shown": True}
"""The ``extra`` of a record that a person has already seen on the screen."""


def of_run(run_id: int) -> None:
    """Mark the lines of this task, and of tasks it starts, with a run."""
    _run.set(run_id)


def of_job(job_id: int, request_id: str | None) -> None:
    """Mark the lines of this task with a job and a request."""
    _job.set(job_id)
    _request.set(request_id)


class _Context(logging.Filter):
    """Adds run, job and request to a record in the task that logs it, which alone knows them."""

    def filter(self, record: logging.LogRecord) -> bool:
        facts = dict(_FACT.findall(record.getMessage()))
        job = _job.get()
        record.run = _run.get()
        record.job = int(facts["job"]) if facts.get("job", "").isdecimal() else job
        record.request = facts.get("request", _request.get())
        return True


class _Formatter(logging.Formatter):
    """Formats a record as one line, without the key and without the signatures of addresses."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        self._form = form
        whole = [os.environ.get(name, "") for name in KEYS]
        parts = {part for text in whole for part in (text, *text.split(":"))}
        self._secrets = sorted((p for p in parts if len(p) >= SHORTEST_SECRET), key=len)[::-1]

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        # Job and request have their own fields.
        message = self._clean(_FACT.sub("", record.getMessage()))
        trace = self._clean(self.formatException(record.exc_info)) if record.exc_info else None
        about = {name: getattr(record, name, None) for name in ("run", "job", "request")}
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        if self._form is Form.JSON:
            line = {
                "time": time,
                "level": record.levelname.lower(),
                "logger": record.name,
                "message": message,
                **about,
            }
            return json.dumps({**line, "error": trace} if trace else line, ensure_ascii=False)
        facts = " ".join(f"{name}={'-' if fact is None else fact}" for name, fact in about.items())
        lines = [f"{time} {record.levelname:<7} {facts} {message}", *([trace] if trace else [])]
        return "\n".join(map(printable_line, lines))

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return _QUERY.sub(r"\1?…", text)


class _Rotating(RotatingFileHandler):
    """A log file readable only by its owner; the first failed write is reported, later ones not."""

    _gave_up = False

    def _open(self) -> TextIOWrapper:
        flags = os.O_WRONLY | os.O_APPEND
        file = atomic.open_regular(Path(self.baseFilename), flags, create=True)
        return os.fdopen(file, "a", encoding="utf-8")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's names
        """Report only the first failure."""
        if not self._gave_up:
            self._gave_up = True
            error = sys.exc_info()[1]
            sys.stderr.write(f"the log {self.baseFilename} can't be written ({error})\n")


def stderr_is_json() -> bool:
    """Return whether every line on stderr must be JSON."""
    return any(
        isinstance(each.formatter, _Formatter) and isinstance(each, logging.StreamHandler)
        for each in logging.getLogger().handlers
    )


@contextmanager
def written(form: Form, *, file: Path | None, level: str | None) -> Iterator[None]:
    """Write the log to a file or, for JSON without a file, to stderr, until the context ends.

    ``level`` None means ``info``. Raises ``UsageError``.
    """
    logger = logging.getLogger(ROOT)
    threshold = logging.getLevelNamesMapping()[level.upper()] if level else logging.INFO
    before = logger.level
    if file is not None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            target = _Rotating(file, maxBytes=FILE_BYTES, backupCount=FILES_KEPT, encoding="utf-8")
        except OSError as error:
            raise UsageError(
                f"--log-file {file}: can't be written ({error.strerror or error}); "
                "--log-format json without a file writes to stderr"
            ) from error
        target.setFormatter(_Formatter(form))
        lines: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
        handler: logging.Handler = _Queue(lines)
        listener = QueueListener(lines, target)
        listener.start()
        handler.setLevel(threshold)
        logger.setLevel(min(threshold, before or threshold))
        handler.addFilter(_Context())
        logger.addHandler(handler)
        try:
            with _errors_logged():
                yield
        finally:
            logger.removeHandler(handler)
            logger.setLevel(before)
            listener.stop()
            with suppress(OSError):
                target.close()
        return
    if form is Form.JSON:
        (stderr,) = logging.getLogger().handlers[:1]
        stderr.setFormatter(_Formatter(form))
        stderr.setLevel(threshold)
        stderr.filters[:] = [_Context()]
        logger.setLevel(threshold)
    with _errors_logged():
        yield


@contextmanager
def _errors_logged() -> Iterator[None]:
    try:
        yield
    except TweenbatchError as error:
        log.error("%s", error, extra=ALREADY_SHOWN)  # noqa: TRY400 - an expected error needs no traceback
        raise


class _Queue(QueueHandler):
    """Passes records on unformatted: the listener's formatter makes the lines."""

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Return the record with its message rendered now, because its arguments may change."""
        record.message = record.getMessage()
        record.msg, record.args = record.message, None
        return record
