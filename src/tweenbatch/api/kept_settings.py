"""The settings that a table keeps from its last run, for a run that resumes it."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from tweenbatch import paths
from tweenbatch.api.requests import Say
from tweenbatch.records import canonical_json
from tweenbatch.settings import RunSettings
from tweenbatch.store import Store

LIMITS: Mapping[str, Callable[[str], Any]] = {
    "max_cost": Decimal,
    "max_cost_per_day": Decimal,
    "max_cost_per_month": Decimal,
    "concurrency": int,
    "max_in_flight": int,
}
"""The limits that a run without manifests takes from the run it resumes."""


def resumed(
    settings: RunSettings,
    store: Store,
    manifests: Collection[Path],
    given: Collection[str],
    say: Say,
) -> RunSettings:
    """Return the settings, completed from the last run of the table; a given option wins.

    The output folder is taken from the last run of these manifests, or of all unfinished work if
    none is named. Limits are taken only in the latter case.
    """
    kept = list(_kept(settings.db, store, manifests))
    if not kept:
        return settings
    update: dict[str, Any] = {}
    folders = list(dict.fromkeys(each["output"] for each in kept if each["output"]))
    if folders:
        update |= _output(settings, folders, given, say)
    if not manifests:
        update |= _limits(kept, settings, given, say)
    return settings.model_copy(update=update)


def keep(store: Store, settings: RunSettings, manifest_ids: Collection[int] | None) -> None:
    """Store the settings for the next run."""
    values = {name: getattr(settings, name) for name in LIMITS}
    kept = {name: None if value is None else str(value) for name, value in values.items()}
    kept["output"] = _relative_to_table(settings.db, settings.output)
    store.manifests.keep_run_settings(manifest_ids, canonical_json(kept))


def _kept(db: str, store: Store, manifests: Collection[Path]) -> Iterator[dict[str, Any]]:
    for text in store.manifests.run_settings(manifests or None):
        try:
            read = json.loads(text)
            limits = {
                name: None if read[name] is None else parse(read[name])
                for name, parse in LIMITS.items()
            }
            output = _folder(db) / read["output"]
        except (ValueError, TypeError, KeyError, ArithmeticError):
            continue  # written by another version
        inside = not Path(read["output"]).is_absolute()
        yield {**limits, "output": output if inside or output.is_dir() else None}


def _output(
    settings: RunSettings, folders: Sequence[Path], given: Collection[str], say: Say
) -> dict[str, Any]:
    kept = folders[0]
    if settings.output == kept:
        return {}
    shown = paths.short(kept)
    if "output" in given:
        say(f"The clips of the last run are in {shown}; this run uses the folder of --output.")
        return {}
    more = f" (earlier clips are also in {paths.short(folders[1])})" if len(folders) > 1 else ""
    say(f"Output folder: {shown}, as in the last run{more}; --output chooses another one.")
    return {"output": kept}


def _limits(
    kept: Sequence[Mapping[str, Any]], settings: RunSettings, given: Collection[str], say: Say
) -> dict[str, Any]:
    update = {}
    for name in LIMITS:
        values = [each[name] for each in kept if each[name] is not None]
        if values and name not in given and min(values) != getattr(settings, name):
            update[name] = min(values)
    if update:
        options = (f"--{name.replace('_', '-')} {value}" for name, value in update.items())
        say(f"As in the last run: {' '.join(options)}; give an option to change it.")
    return update


def _folder(db: str) -> Path:
    path = paths.sqlite_path(db)
    return Path("/") if path is None else path.resolve().parent


def _relative_to_table(db: str, output: Path) -> str:
    """Return a folder, relative if it is below the table's: the two may be moved together."""
    output, folder = output.resolve(), _folder(db)
    inside = paths.sqlite_path(db) is not None and output.is_relative_to(folder)
    return str(output.relative_to(folder) if inside else output)
