"""The program's exceptions, as one tree.

TweenbatchError
├── UsageError             the request is not possible as given; nothing was spent
│   ├── JobFileError       a job file has problems, each with its key
│   ├── ManifestError      a manifest has problems, each with its row and column
│   ├── MissingKey         no fal key was found
│   ├── PriceRisen         fal's price is above the known one, and no person agreed to it
│   ├── TableTooNew        the job table was written by a newer version
│   ├── TableUnusable      the job table can't be opened
│   │   └── TableMissing   the job table does not exist yet
│   └── OutputUnusable     the output folder is full or not writable
├── KeyRefused             fal refuses the key, or it lacks a permission; nothing was spent
├── TableOlder             the job table lacks payments made since it was copied or lost
├── TableBusy              another run owns the job table
├── TableFailed            the job table failed in the middle of a run
├── LeaseLost              a write came too late: the job has changed meanwhile
├── BudgetReached          the next submission would exceed a spending limit
├── FalError               an error from fal, or from the network to it
│   ├── NotSent            proven: the submission was not accepted; it may be sent again
│   ├── OutcomeUnknown     the submission may have been accepted; it must never be sent again
│   ├── Refused            fal refused this submission
│   ├── AccountRefused     fal refused the account or the key: every submission would fail
│   ├── Unreachable        a read got no answer; it may be repeated
│   ├── Answered           a read was answered with an HTTP error
│   ├── Unreadable         a request's end, or its result, is not available for now
│   └── Unintelligible     an answer does not have the form that fal documents
│       └── AnotherRequest an answer names a request other than the one asked for
├── UnreadableFrame        a start or end frame isn't an image that the model accepts
├── FrameChanged           a frame's bytes have changed since the plan
└── VideoError             a finished clip could not be downloaded
    ├── BrokenVideo        the file isn't a complete mp4
    ├── UrlExpired         the address of the clip is no longer valid
    ├── DownloadFailed     the download was cut off; it may be repeated
    ├── CheckUnavailable   this machine can't check any clip
    └── DiskTrouble        the clip can't be written to the disk
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tweenbatch.printable import printable_line


class TweenbatchError(Exception):
    """Base class of every error that this program raises on purpose."""


class UsageError(TweenbatchError):
    """The request is not possible as given; nothing was spent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem of a manifest.

    ``row`` is the number that a spreadsheet shows (the header is row 1), ``line`` the line of the
    file; both are None for a problem of the whole file. ``kind`` groups similar problems, whatever
    their rows and values.
    """

    message: str
    kind: str = ""
    row: int | None = None
    line: int | None = None
    column: str | None = None

    def __str__(self) -> str:
        """Return ``row 3 (line 5), column 'duration': message``."""
        where = []
        if self.row is not None:
            where.append(
                f"row {self.row}"
                if self.line in (None, self.row)
                else f"row {self.row} (line {self.line})"
            )
        if self.column is not None:
            where.append(f"column '{_shortened(self.column)}'")
        message = _shortened(self.message)
        return printable_line(f"{', '.join(where)}: {message}" if where else message)


def _shortened(text: str) -> str:
    """Cut the middle out of a message that quotes a long text."""
    if len(text) <= MOST_CHARS_SHOWN:
        return text
    return f"{text[: MOST_CHARS_SHOWN - 200]} … {text[-200:]}"


MOST_CHARS_SHOWN = 1_000
"""The longest message shown for a problem; the list of problems holds all of it."""

MOST_OF_A_KIND = 20
"""The number of problems shown for each kind; the others are counted."""


class ManifestError(UsageError):
    """A manifest has problems, each with its row and column.

    ``others`` are the errors of further manifests of the same call. ``listed`` is the file that
    lists all problems of this manifest, or None; then ``unlisted`` gives the reason.
    ``has_columns`` is true if the file has a column of a manifest, and so was intended as one.
    """

    def __init__(
        self,
        path: Path,
        problems: Sequence[Problem],
        others: Sequence["ManifestError"] = (),
        *,
        has_columns: bool = False,
    ) -> None:
        super().__init__(path, problems)
        self.has_columns = has_columns
        self.path = path
        self.problems = tuple(problems)
        self.others = tuple(others)
        self.listed: Path | None = None
        self.unlisted = ""

    def __str__(self) -> str:
        """Return the first problems of each kind, a line each, and the number of the others."""
        count = f"{len(self.problems)} problem{'s' if len(self.problems) != 1 else ''}"
        lines = [f"{printable_line(str(self.path))}: {count}; nothing was imported"]
        kinds: dict[str, list[Problem]] = {}
        for problem in self.problems:
            kinds.setdefault(problem.kind or problem.column or "", []).append(problem)
        for alike in kinds.values():
            lines += [f"  {problem}" for problem in alike[:MOST_OF_A_KIND]]
            if len(alike) > MOST_OF_A_KIND:
                lines.append(f"  … and {len(alike) - MOST_OF_A_KIND:,} more like these")
        if self.listed is not None:
            lines.append(f"  all of them are in {printable_line(str(self.listed))}")
        elif self.unlisted:
            lines.append(f"  the list of all problems is missing: {printable_line(self.unlisted)}")
        return "\n".join([*lines, *map(str, self.others)])


class JobFileError(UsageError):
    """A job file has problems, each with its key."""

    def __init__(self, path: Path, problems: Sequence[str]) -> None:
        count = f"{len(problems)} problem{'s' if len(problems) != 1 else ''}"
        lines = [f"{path}: {count}; nothing was done", *(f"  {each}" for each in problems)]
        super().__init__("\n".join(map(printable_line, lines)))


class MissingKey(UsageError):
    """No fal key was found."""


class PriceRisen(UsageError):
    """fal's price is above the known one, and no person agreed to it."""


class TableTooNew(UsageError):
    """The job table was written by a newer version."""


class TableUnusable(UsageError):
    """The job table can't be opened."""


class TableMissing(TableUnusable):
    """The job table does not exist yet."""


class OutputUnusable(UsageError):
    """The output folder is full or not writable."""


class KeyRefused(TweenbatchError):
    """fal refuses the key, or it lacks a permission that a run needs; nothing was spent."""


class TableOlder(TweenbatchError):
    """The job table lacks payments made since it was copied or lost."""


class TableBusy(TweenbatchError):
    """Another run owns the job table."""


class TableFailed(TweenbatchError):
    """The job table failed in the middle of a run."""


class LeaseLost(TweenbatchError):
    """A write came too late: the job has changed meanwhile."""


class BudgetReached(TweenbatchError):
    """The next submission would exceed a spending limit.

    ``option`` is the limit's name; ``until`` is the instant when it resets, if it does.
    """

    def __init__(self, message: str, *, option: str, until: datetime | None = None) -> None:
        super().__init__(message)
        self.option = option
        self.until = until


class FalError(TweenbatchError):
    """An error from fal, or from the network to it."""


class NotSent(FalError):
    """Proven: the submission was not accepted; it may be sent again.

    ``retry_after_seconds`` is the delay that fal asked for, if any. ``reached`` is true if fal
    answered (429), and false if it was never reached.
    """

    def __init__(
        self, message: str, *, retry_after_seconds: float | None = None, reached: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        self.reached = reached


class OutcomeUnknown(FalError):
    """The submission may have been accepted; it must never be sent again.

    ``body`` holds the start of the answer, if there was one. ``stops`` is true if something other
    than fal seems to answer, so that every submission would end like this.
    """

    def __init__(
        self, message: str, *, http_status: int | None = None, body: str = "", stops: bool = False
    ) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.body = body
        self.stops = stops


class Refused(FalError):
    """fal refused this submission."""

    def __init__(self, message: str, *, http_status: int, error_type: str) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.error_type = error_type


class AccountRefused(FalError):
    """fal refused the account or the key: every submission would fail."""

    def __init__(self, message: str, *, http_status: int) -> None:
        super().__init__(message)
        self.http_status = http_status


class Unreachable(FalError):
    """A read got no answer; it may be repeated."""


class Answered(FalError):
    """A read was answered with an HTTP error; ``said`` is its message."""

    def __init__(
        self, *, http_status: int, headers: Mapping[str, str], body: bytes, said: str = ""
    ) -> None:
        super().__init__(f"HTTP {http_status}: {said}" if said else f"HTTP {http_status}")
        self.http_status = http_status
        self.headers = headers
        self.body = body


class Unreadable(FalError):
    """A request's end, or its result, is not available for now."""


class Unintelligible(FalError):
    """An answer does not have the form that fal documents."""


class AnotherRequest(Unintelligible):
    """An answer names a request other than the one asked for."""


class UnreadableFrame(TweenbatchError):
    """A start or end frame isn't an image that the model accepts."""


class FrameChanged(TweenbatchError):
    """A frame's bytes have changed since the plan."""


class VideoError(TweenbatchError):
    """A finished clip could not be downloaded."""


class BrokenVideo(VideoError):
    """The file isn't a complete mp4."""


class UrlExpired(VideoError):
    """The address of the clip is no longer valid."""


class DownloadFailed(VideoError):
    """The download was cut off; it may be repeated."""


class CheckUnavailable(VideoError):
    """This machine can't check any clip."""


class DiskTrouble(VideoError):
    """The clip can't be written to the disk."""
