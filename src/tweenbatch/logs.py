"""The log: what happened to which job in which run, for a person or a program, and never a secret.

What is written down is never waited for: a thread of its own writes the file, and a disk that fills
costs lines, not clips.
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
"""Less is no secret, and would take words out of sentences."""

_QUERY = re.compile(r"(https?://[^\s?\"']+)\?[^\s\"']+")
_FACT = re.compile(r"\s*\b(job|request)=([\w-]+)")

_run: ContextVar[int | None] = ContextVar("run", default=None)
_job: ContextVar[int | None] = ContextVar("job", default=None)
_request: ContextVar[str | None] = ContextVar("request", default=None)


class Form(StrEnum):
    """How lines look."""

    TEXT = "text"
    JSON = "json"


TOLD = {"told": True}
"""Goes with a line, as ``extra``, that stands on the screen already, in a person's words."""


def of_run(run_id: int) -> None:
    """Let all lines of this task, and of those it starts, be of that run."""
    _run.set(run_id)


def of_job(job_id: int, request_id: str | None) -> None:
    """Let all lines of this task be of that job and request."""
    _job.set(job_id)
    _request.set(request_id)


class _Context(logging.Filter):
    """Notes what a line is about, where it is written: later nobody knows."""

    def filter(self, record: logging.LogRecord) -> bool:
        said = dict(_FACT.findall(record.getMessage()))
        job = _job.get()
        record.run = _run.get()
        record.job = int(said["job"]) if said.get("job", "").isdecimal() else job
        record.request = said.get("request", _request.get())
        return True


class _Formatter(logging.Formatter):
    """One line for each record, without the key and without what signs an address."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        self._form = form
        whole = [os.environ.get(name, "") for name in KEYS]
        parts = {part for text in whole for part in (text, *text.split(":"))}
        self._secrets = sorted((p for p in parts if len(p) >= SHORTEST_SECRET), key=len)[::-1]

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        # What a line is about stands in its own place.
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
    """A file that only its owner may read, and that is given up for good when it can't be had."""

    _gave_up = False

    def _open(self) -> TextIOWrapper:
        flags = os.O_WRONLY | os.O_APPEND
        file = atomic.open_regular(Path(self.baseFilename), flags, create=True)
        return os.fdopen(file, "a", encoding="utf-8")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's names
        """Say once what is lost."""
        if not self._gave_up:
            self._gave_up = True
            error = sys.exc_info()[1]
            sys.stderr.write(f"the log {self.baseFilename} can't be written ({error})\n")


def stderr_is_json() -> bool:
    """Tell whether all that goes to stderr has to be JSON."""
    return any(
        isinstance(each.formatter, _Formatter) and isinstance(each, logging.StreamHandler)
        for each in logging.getLogger().handlers
    )


@contextmanager
def written(form: Form, *, file: Path | None, level: str | None) -> Iterator[None]:
    """Write the log to a file, if one is named, else with JSON to stderr, as long as it lasts.

    ``level`` None is what the logger has by now, and at least ``info``. Raises ``UsageError``.
    """
    logger = logging.getLogger(ROOT)
    wanted = logging.getLevelNamesMapping()[level.upper()] if level else logging.INFO
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
        handler.setLevel(wanted)
        logger.setLevel(min(wanted, before or wanted))
        handler.addFilter(_Context())
        logger.addHandler(handler)
        try:
            with _errors_noted():
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
        stderr.setLevel(wanted)
        stderr.filters[:] = [_Context()]
        logger.setLevel(wanted)
    with _errors_noted():
        yield


@contextmanager
def _errors_noted() -> Iterator[None]:
    try:
        yield
    except TweenbatchError as error:
        log.error("%s", error, extra=TOLD)  # noqa: TRY400 - on purpose: it is no bug
        raise


class _Queue(QueueHandler):
    """Hands records on as they are: the formatter at the other end makes a line of each."""

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Return the record with its message made, for what it is made of may change."""
        record.message = record.getMessage()
        record.msg, record.args = record.message, None
        return record
