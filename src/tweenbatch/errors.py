"""Everything that can go wrong, as one tree.

TweenbatchError
├── UsageError             what was asked for can't be done as asked; nothing was spent
│   ├── JobFileError       a job file has problems, each with its key
│   ├── ManifestError      the manifest has problems, each with its row and column
│   ├── MissingKey         no key for fal was found
│   ├── PriceRisen         fal asks more than was known, and nobody agreed to that
│   ├── TableTooNew        the job table was written by a newer program
│   ├── TableUnusable      the job table can't be opened
│   │   └── TableMissing   there is none yet
│   └── OutputUnusable     there is no room for clips, or no right to write them
├── KeyRefused             the key may not do what a run needs; nothing was spent
├── TableOlder             the job table lacks what was paid for since it was copied, or lost
├── TableBusy              another run owns the job table
├── TableFailed            the job table failed in the middle of a run
├── LeaseLost              a write came too late: the job has moved on without us
├── BudgetReached          the next submission would pass a limit of money
├── FalError               what fal, or the way to it, answered
│   ├── NotSent            proven: the submission was not accepted; it may be sent again
│   ├── OutcomeUnknown     the submission may have been accepted; it must never be sent again
│   ├── Refused            fal said no to this submission
│   ├── AccountRefused     fal said no to the account or the key: every submission would fail
│   ├── Unreachable        a read got no answer; it may be repeated
│   ├── Answered           a read got an HTTP error as its answer
│   ├── Unreadable         the end of a request, or its result, can't be had for now
│   └── Unintelligible     an answer came that has not the form fal documents
├── UnreadableFrame        a start or end frame is no image that a model accepts
├── FrameChanged           a frame's bytes are not those that were planned
└── VideoError             a finished clip could not be brought home
    ├── BrokenVideo        the file is not a whole mp4
    ├── UrlExpired         the address of the clip is no longer valid
    ├── DownloadFailed     the transfer did not come to its end; it may be repeated
    ├── CheckUnavailable   this machine can't check any clip
    └── DiskTrouble        the disk does not take the clip
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tweenbatch.printable import printable_line


class TweenbatchError(Exception):
    """Root of every error that this program raises on purpose."""


class UsageError(TweenbatchError):
    """What was asked for can't be done as asked; nothing was spent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with a manifest.

    ``row`` is the number that a spreadsheet shows (the header is row 1), ``line`` the
    line of the file; both are None for a problem of the whole file. ``kind`` is a word that
    problems alike share, whatever their rows and values.
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
        said = _shortened(self.message)
        return printable_line(f"{', '.join(where)}: {said}" if where else said)


def _shortened(text: str) -> str:
    """Return a message without the middle of the long text out of a file that it repeats."""
    if len(text) <= MOST_CHARS_SHOWN:
        return text
    return f"{text[: MOST_CHARS_SHOWN - 200]} … {text[-200:]}"


MOST_CHARS_SHOWN = 1_000
"""Of one problem; all of it is in the list of problems."""

MOST_OF_A_KIND = 20
"""Of problems alike so many are shown; the others are counted."""


class ManifestError(UsageError):
    """The manifest has problems, each with its row and column.

    ``others`` are the errors of further manifests of the same call, ``listed`` the file in which
    all problems of this one are written down, if there is such a file; ``unlisted`` says why not.
    ``has_columns`` tells whether the file has a column of a manifest, and so is meant to be one.
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
        """Return the first problems of each kind, a line each, and how many more there are."""
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
            lines.append(f"  they are not written down: {printable_line(self.unlisted)}")
        return "\n".join([*lines, *map(str, self.others)])


class JobFileError(UsageError):
    """A job file has problems, each with its key."""

    def __init__(self, path: Path, problems: Sequence[str]) -> None:
        count = f"{len(problems)} problem{'s' if len(problems) != 1 else ''}"
        lines = [f"{path}: {count}; nothing was done", *(f"  {each}" for each in problems)]
        super().__init__("\n".join(map(printable_line, lines)))


class MissingKey(UsageError):
    """No key for fal was found."""


class PriceRisen(UsageError):
    """fal asks more than was known, and nobody agreed to that."""


class TableTooNew(UsageError):
    """The job table was written by a newer program."""


class TableUnusable(UsageError):
    """The job table can't be opened."""


class TableMissing(TableUnusable):
    """There is no job table yet."""


class OutputUnusable(UsageError):
    """There is no room for clips, or no right to write them."""


class KeyRefused(TweenbatchError):
    """The key may not do what a run needs, or fal does not know it; nothing was spent."""


class TableOlder(TweenbatchError):
    """The job table lacks what was paid for since it was copied, or lost."""


class TableBusy(TweenbatchError):
    """Another run owns the job table."""


class TableFailed(TweenbatchError):
    """The job table failed in the middle of a run."""


class LeaseLost(TweenbatchError):
    """A write came too late: the job has moved on without us."""


class BudgetReached(TweenbatchError):
    """The next submission would pass a limit of money.

    ``option`` is the limit's name; ``until`` when it opens again by itself, if it does.
    """

    def __init__(self, message: str, *, option: str, until: datetime | None = None) -> None:
        super().__init__(message)
        self.option = option
        self.until = until


class FalError(TweenbatchError):
    """What fal, or the way to it, answered."""


class NotSent(FalError):
    """Proven: the submission was not accepted; it may be sent again.

    ``retry_after_seconds`` is what fal asked for, if it did. ``reached`` tells whether fal
    itself spoke (429) or was never reached.
    """

    def __init__(
        self, message: str, *, retry_after_seconds: float | None = None, reached: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        self.reached = reached


class OutcomeUnknown(FalError):
    """The submission may have been accepted; it must never be sent again.

    ``body`` holds the start of what came back, if anything did. ``stops`` tells that something
    other than fal seems to answer: every submission would end so.
    """

    def __init__(
        self, message: str, *, http_status: int | None = None, body: str = "", stops: bool = False
    ) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.body = body
        self.stops = stops


class Refused(FalError):
    """fal said no to this submission."""

    def __init__(self, message: str, *, http_status: int, error_type: str) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.error_type = error_type


class AccountRefused(FalError):
    """fal said no to the account or the key: every submission would fail."""

    def __init__(self, message: str, *, http_status: int) -> None:
        super().__init__(message)
        self.http_status = http_status


class Unreachable(FalError):
    """A read got no answer; it may be repeated."""


class Answered(FalError):
    """A read got an HTTP error as its answer; ``said`` are the words in it."""

    def __init__(
        self, *, http_status: int, headers: Mapping[str, str], body: bytes, said: str = ""
    ) -> None:
        super().__init__(f"HTTP {http_status}: {said}" if said else f"HTTP {http_status}")
        self.http_status = http_status
        self.headers = headers
        self.body = body


class Unreadable(FalError):
    """The end of a request, or its result, can't be had for now."""


class Unintelligible(FalError):
    """An answer came that has not the form fal documents."""


class AnotherRequest(Unintelligible):
    """An answer names another request than the one that was asked about."""


class UnreadableFrame(TweenbatchError):
    """A start or end frame is no image that a model accepts."""


class FrameChanged(TweenbatchError):
    """A frame's bytes are not those that were planned."""


class VideoError(TweenbatchError):
    """A finished clip could not be brought home."""


class BrokenVideo(VideoError):
    """The file is not a whole mp4."""


class UrlExpired(VideoError):
    """The address of the clip is no longer valid."""


class DownloadFailed(VideoError):
    """The transfer did not come to its end; it may be repeated."""


class CheckUnavailable(VideoError):
    """This machine can't check any clip."""


class DiskTrouble(VideoError):
    """The disk does not take the clip."""
