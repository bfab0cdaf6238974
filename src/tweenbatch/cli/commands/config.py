"""``tweenbatch config``: a job file's effective settings, with environment and options applied."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from tweenbatch.cli.commands import run
from tweenbatch.nights.jobfile import SUFFIX, key_of
from tweenbatch.printable import printable_line
from tweenbatch.store.engine import display, parse_url

NOT_OF_A_JOB = frozenset({"as_json", "rehearse", "trust_table", "new_table"})
"""Options that only make sense for one call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A value and its source."""

    key: str
    value: Any
    source: str


@click.group("config", short_help="Show a job file's settings.")
def command() -> None:
    """Show the settings of job files."""


@command.command(
    short_help="Show every value and its source.",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("jobfile", type=click.Path(path_type=Path))
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON on stdout.")
def show(*, jobfile: Path, options: tuple[str, ...], as_json: bool) -> None:
    """Show the settings that `run JOBFILE [OPTIONS]` would use; submits and writes nothing."""
    if jobfile.suffix.lower() != SUFFIX:
        raise click.UsageError(f"{jobfile} isn't a job file; expected a name that ends in {SUFFIX}")
    context = run.command.make_context("run", [str(jobfile), *options])
    settings = list(_settings(context, jobfile))
    if as_json:
        click.echo(json.dumps({each.key: [_plain(each.value), each.source] for each in settings}))
        return
    widths = [
        max(len(text) for text in column) for column in zip(*map(_cells, settings), strict=True)
    ]
    for each in settings:
        cells = (cell.ljust(width) for cell, width in zip(_cells(each), widths, strict=True))
        click.echo(printable_line("  ".join(cells).rstrip()))


def _settings(context: click.Context, jobfile: Path) -> Iterator[Setting]:
    for parameter in context.command.params:
        name = parameter.name
        if name is None or name in NOT_OF_A_JOB or name not in context.params:
            continue
        value = context.params[name]
        if name == "db":
            value = display(parse_url(value))
        elif name == "concurrency":
            value = value or "auto"
        yield Setting(
            key=key_of(name),
            value=value,
            source=str(jobfile) if name == "manifests" else _source(context, parameter, jobfile),
        )


def _source(context: click.Context, parameter: click.Parameter, jobfile: Path) -> str:
    match context.get_parameter_source(str(parameter.name)):
        case ParameterSource.COMMANDLINE:
            return parameter.opts[0]
        case ParameterSource.ENVIRONMENT:
            return str(parameter.envvar)
        case ParameterSource.DEFAULT_MAP:
            return str(jobfile)
        case _:
            return "default"


def _cells(setting: Setting) -> tuple[str, str, str]:
    value = _plain(setting.value)
    shown = "–" if value in (None, []) else value
    if isinstance(shown, list):
        shown = ", ".join(shown)
    return setting.key, json.dumps(shown) if isinstance(shown, bool) else str(shown), setting.source


def _plain(value: Any) -> Any:
    """Return the value in a form that JSON can hold."""
    match value:
        case tuple():
            return [str(each) for each in value]
        case None | bool() | int() | str():
            return value
        case datetime():
            return value.astimezone().isoformat(timespec="minutes")
        case timedelta():
            return f"{value.total_seconds():.0f}s"
        case _:
            return str(value)
