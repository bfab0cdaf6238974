"""Read job files: TOML files with the manifests and options of ``tweenbatch run``.

Each key stands for an option and takes the same values. Paths are relative to the job file. This
module knows the options' names, but not how a command reads them.
"""

import glob
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, time
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from tweenbatch.errors import JobFileError, UsageError
from tweenbatch.frames.fit import Way
from tweenbatch.logs import Form
from tweenbatch.manifest import MAX_TAKES, Naming
from tweenbatch.models import find
from tweenbatch.paths import known_table, local, sqlite_db, sqlite_path
from tweenbatch.records import Night
from tweenbatch.settings import (
    AtOnce,
    Budget,
    duration,
    duration_or_zero,
    expectation,
    number_or_auto,
    window,
)
from tweenbatch.suggestions import did_you_mean, similar

SUFFIX = ".toml"

NOTHING_TO_RUN = (
    'manifests: missing; name at least one, e.g. manifests = ["manifest.csv"], or an inbox'
)

OPTIONS: Mapping[str, str] = MappingProxyType(
    {
        "set": "defaults",
        "budget.run": "max_cost",
        "budget.day": "max_cost_per_day",
        "budget.month": "max_cost_per_month",
        "retries.errors": "retry_failed",
        "retries.most": "retry_most",
        "window.not_before": "not_before",
        "window.stop_at": "stop_at",
        "window.grace": "grace",
        "window.max_duration": "max_duration",
    }
)
"""The parameters of ``run`` whose names differ from their keys."""


def _as(parse: Callable[[str], Any]) -> AfterValidator:
    """Return a validator that keeps the text and raises the option's own error message."""

    def check(text: str) -> str:
        try:
            parse(text)
        except UsageError as error:
            raise ValueError(str(error)) from error
        return text

    return AfterValidator(check)


LocalPath = Annotated[str, _as(local)]


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("expected a time zone such as Europe/Berlin") from error


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BudgetSection(_Section):
    """Limits in US dollars."""

    run: Budget | None = None
    day: Budget | None = None
    month: Budget | None = None


class RetriesSection(_Section):
    """The failures of earlier runs to retry."""

    errors: list[str] = []
    most: Annotated[int, Field(ge=1)] | None = None


class WindowSection(_Section):
    """When submissions may go."""

    timezone: Annotated[str, _as(_zone)] | None = None
    not_before: time | None = None
    stop_at: time | None = None
    grace: Annotated[str, _as(duration_or_zero)] | None = None
    max_duration: Annotated[str, _as(duration)] | None = None

    @property
    def zone(self) -> ZoneInfo | None:
        """Return the zone of all local times; None is this machine's own."""
        return None if self.timezone is None else ZoneInfo(self.timezone)


class JobFile(_Section):
    """The content of a job file."""

    manifests: list[str] = []
    inbox: LocalPath | None = None
    model: Annotated[str, _as(find)] | None = None
    output: LocalPath | None = None
    db: Annotated[str, _as(known_table)] | None = None
    name: Annotated[str, _as(Naming.parse)] | None = None
    takes: Annotated[int, Field(ge=1, le=MAX_TAKES)] | None = None
    set: dict[str, str | int | Decimal | bool] = {}
    keep: list[str] = []
    frames: list[str] = []
    allow_open_ended: bool | None = None
    strict: bool | None = None
    check_urls: bool | None = None
    fit: Way | None = None
    concurrency: Annotated[str, BeforeValidator(str), _as(number_or_auto)] | None = None
    max_in_flight: AtOnce | None = None
    limit: Annotated[int, Field(ge=0)] | None = None
    canary: Annotated[int, Field(ge=1)] | None = None
    settle: Annotated[str, _as(duration_or_zero)] | None = None
    absent_after: Annotated[str, _as(duration)] | None = None
    same_failures: Annotated[int, Field(ge=1)] | None = None
    keep_going: bool | None = None
    logs: bool | None = None
    log_file: LocalPath | None = None
    log_format: Form | None = None
    log_level: Literal["debug", "info", "warning", "error"] | None = None
    digests: LocalPath | None = None
    notify: list[str] = []
    yes: bool | None = None
    accept_price: bool | None = None
    budget: BudgetSection = BudgetSection()
    retries: RetriesSection = RetriesSection()
    window: WindowSection = WindowSection()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedJobFile:
    """A job file whose values are ready for a command."""

    path: Path
    manifests: tuple[Path, ...]
    options: Mapping[str, Any]
    """The option values in the file, by the names of the command's parameters."""
    zone: str | None
    """The time zone of all local times; None is this machine's own."""
    night: Night
    """The file's name, and the local date in the file's time zone."""


def read(path: Path, *, now: datetime) -> LoadedJobFile:
    """Read a job file; raise ``JobFileError`` with all its problems."""
    try:
        content = tomllib.loads(path.read_bytes().decode(), parse_float=Decimal)
        job = JobFile.model_validate(content)
    except OSError as error:
        raise JobFileError(path, [f"can't be read: {error.strerror or error}"]) from error
    except UnicodeDecodeError as error:
        problem = f"isn't valid UTF-8 (byte {error.start + 1}); save it as UTF-8"
        raise JobFileError(path, [problem]) from error
    except tomllib.TOMLDecodeError as error:
        raise JobFileError(path, [f"isn't valid TOML: {error}"]) from error
    except ValidationError as error:
        missing = [] if content.get("manifests") or content.get("inbox") else [NOTHING_TO_RUN]
        raise JobFileError(path, missing + [_problem(each) for each in error.errors()]) from error
    if not (job.manifests or job.inbox):
        raise JobFileError(path, [NOTHING_TO_RUN])
    folder, zone = path.parent, job.window.zone
    missing = [each for each in job.frames if not (folder / each).is_dir()]
    if missing:
        raise JobFileError(
            path, [f"frames: there is no folder {folder / each}" for each in missing]
        )
    return LoadedJobFile(
        path=path,
        manifests=tuple(_below(folder, each) for each in job.manifests),
        options=MappingProxyType(_options(job, folder, now, zone)),
        zone=job.window.timezone,
        night=Night(job=path.stem, date=now.astimezone(zone).date()),
    )


def key_of(option: str) -> str:
    """Return the key for a parameter of ``run``."""
    return next((key for key, name in OPTIONS.items() if name == option), option)


def _options(job: JobFile, folder: Path, now: datetime, zone: ZoneInfo | None) -> dict[str, Any]:
    """Return the values set in the file, in the form of the command's own options."""
    values = {
        f"{prefix}{key}": value
        for prefix, section in (
            ("", job),
            ("budget.", job.budget),
            ("retries.", job.retries),
            ("window.", job.window),
        )
        for key, value in section
        if key in section.model_fields_set and not isinstance(value, _Section)
    }
    values.pop("manifests", None)
    values.pop("window.timezone", None)
    opens, closes = window(job.window.not_before, job.window.stop_at, now=now, zone=zone)
    conversions: dict[str, Callable[[Any], Any]] = {
        "db": lambda db: _db_below(folder, db),
        "output": lambda output: (folder / output).resolve(),
        "frames": lambda frames: tuple(folder / each for each in frames),
        "set": lambda pairs: tuple(f"{column}={value}" for column, value in pairs.items()),
        "keep": tuple,
        "inbox": lambda inbox: _below(folder, inbox),
        "retries.errors": tuple,
        "log_file": lambda log_file: (folder / log_file).resolve(),
        "log_format": str,
        "digests": lambda digests: (folder / digests).resolve(),
        "notify": tuple,
        "fit": str,
        "window.not_before": lambda _: opens,
        "window.stop_at": lambda _: closes,
    }
    return {
        OPTIONS.get(key, key): conversions[key](value) if key in conversions else value
        for key, value in values.items()
        if value is not None
    }


def _below(folder: Path, name: str) -> Path:
    """Return the path of ``name`` in the folder; only ``name`` may be a glob pattern."""
    pattern = glob.has_magic(name) and not (folder / name).exists()
    base = glob.escape(str(folder)) if pattern else folder
    # Normalised as a person would type it: the table identifies a manifest by its path.
    return Path(os.path.normpath(Path(base, name)))


def _db_below(folder: Path, db: str) -> str:
    path = sqlite_path(db)
    return db if path is None else sqlite_db((folder / path).resolve())


def _problem(error: Any) -> str:
    """Return one of pydantic's errors as: the key, its value, the expected value."""
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{key}: there is no such key{_suggestion(key)}"
    # The URL of a table may contain a password.
    value = "…" if key == "db" else _shown(error["input"])
    return f"{key} = {value}: {expectation(error)}"


def _suggestion(key: str) -> str:
    keys = _keys()
    # The option's own name, or the right name in the wrong section.
    end = key.rpartition(".")[2]
    by_end = [each for each in keys if end in (each.rpartition(".")[2], OPTIONS.get(each))]
    meant = dict.fromkeys((*by_end, *similar(key, keys, most=2)))
    return did_you_mean(list(meant)) or f"; the keys are {', '.join(keys)}"


def _keys() -> list[str]:
    sections: dict[str, type[BaseModel]] = {
        "budget": BudgetSection,
        "retries": RetriesSection,
        "window": WindowSection,
    }
    top = [key for key in JobFile.model_fields if key not in sections]
    inner = [f"{name}.{key}" for name, each in sections.items() for key in each.model_fields]
    return [*top, *inner]


def _shown(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)
