"""Manifests on the command line: the options that say how they are read, and the reading."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from tweenbatch import manifest
from tweenbatch.manifest import Reading
from tweenbatch.records import Manifest

F = TypeVar("F", bound=Callable[..., Any])


def manifest_options(command: F) -> F:
    """Add what says how manifests are read, and which of their rows are let through."""
    for option in (
        click.option(
            "--frames",
            metavar="DIR",
            multiple=True,
            type=click.Path(path_type=Path, exists=True, file_okay=False),
            envvar="TWEENBATCH_FRAMES",
            show_envvar=True,
            help="Let frames below this folder through, wherever it is; may be repeated. Frames "
            "are uploaded to public addresses.",
        ),
        click.option(
            "--allow-open-ended", is_flag=True, help="Let rows without an end frame through."
        ),
    ):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The manifests that were asked for, and how they are to be read."""

    paths: tuple[Path, ...]
    reading: Reading

    @classmethod
    def taken_from(cls, options: dict[str, Any]) -> "Asked":
        """Take out of a command's options what ``manifest_options`` put there."""
        return cls(
            paths=options.pop("manifests"),
            reading=Reading(
                frames=options.pop("frames"),
                allow_open_ended=options.pop("allow_open_ended"),
            ),
        )

    def read(self) -> list[Manifest]:
        """Return the manifests; raise ``ManifestError``."""
        return [manifest.read(path, self.reading) for path in self.paths]
