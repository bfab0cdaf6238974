"""What a table keeps of its last run: the output folder and limits, for a run that resumes it."""

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
"""What a run without manifests keeps of the run that it resumes, beside the output folder."""


def resumed(
    settings: RunSettings,
    store: Store,
    manifests: Collection[Path],
    given: Collection[str],
    say: Say,
) -> RunSettings:
    """Return the settings with what the table keeps of the last run; a given option wins.

    The output folder is kept for the named manifests, or for all unfinished work if none is named;
    limits are kept only for the latter.
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
    """Store what the next run resumes with."""
    facts = {name: getattr(settings, name) for name in LIMITS}
    written = {name: None if value is None else str(value) for name, value in facts.items()}
    written["output"] = _seen_from_table(settings.db, settings.output)
    store.manifests.keep_run_settings(manifest_ids, canonical_json(written))


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
            continue  # written by another release
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
        say(f"Clips of the last run are in {shown}; those of this run go where --output says.")
        return {}
    more = f" (others of this work are in {paths.short(folders[1])})" if len(folders) > 1 else ""
    say(f"Clips go to {shown}, as in the last run{more}; --output chooses another folder.")
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
        say(f"As in the last run: {' '.join(options)}; name an option to change it.")
    return update


def _folder(db: str) -> Path:
    path = paths.sqlite_path(db)
    return Path("/") if path is None else path.resolve().parent


def _seen_from_table(db: str, output: Path) -> str:
    """Return a folder below the table's relative to it: the two may be moved together."""
    output, folder = output.resolve(), _folder(db)
    inside = paths.sqlite_path(db) is not None and output.is_relative_to(folder)
    return str(output.relative_to(folder) if inside else output)
