"""``tweenbatch pairs``: make a manifest from a series of key frames."""

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from tweenbatch.cli import streams
from tweenbatch.errors import UsageError
from tweenbatch.manifest import pairs
from tweenbatch.models import DEFAULT, find
from tweenbatch.printable import printable_line


@click.command(short_help="Make a manifest from key frames.")
@click.argument("frames", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    "target",
    metavar="FILE",
    required=True,
    help="The manifest to write, a .csv file; - for stdout.",
)
@click.option("--force", is_flag=True, help="Overwrite an existing manifest.")
@click.option("--keep-order", is_flag=True, help="Take the frames in the order given.")
@click.option("--loop", is_flag=True, help="Add a clip from the last frame to the first.")
@click.option(
    "--prompt",
    metavar="TEXT",
    default=pairs.DEFAULT_PROMPT,
    show_default=True,
    help="The prompt of each clip; {start} and {end} are the names of the frames, {n} and {total} "
    "count the clips.",
)
@click.option(
    "--duration", metavar="SECONDS", default="5", show_default=True, help="The clips' length."
)
@click.option("--sequence", metavar="NAME", help="The sequence's name; by default the file's.")
def command(
    *, frames: tuple[str, ...], target: str, force: bool, keep_order: bool, **options: Any
) -> None:
    """Make a manifest with a clip from each of FRAMES to the next.

    FRAMES are images, folders of images, and patterns such as "frames/*.png". They are sorted in
    natural order: frame2 comes before frame10.
    """
    path = Path("-" if target == "-" else target)
    if target != "-" and path.suffix.lower() != ".csv":
        raise UsageError(f"-o {target}: expected a name that ends in .csv, or -")
    if options["sequence"] is None:
        options["sequence"] = path.stem if target != "-" else ""
    images = pairs.key_frames(frames, keep_order=keep_order)
    rows = pairs.make(
        images, pairs.PairsRequest(**options), folder=path.parent, endpoint=find(DEFAULT.id)
    )
    if target == "-":
        pairs.write(rows, streams.visible(sys.stdout) if sys.stdout.isatty() else sys.stdout)
    else:
        pairs.write_file(rows, path, force=force)
        count = f"{len(rows)} row{'' if len(rows) == 1 else 's'}"
        click.echo(printable_line(f"{count} written to {target}"), err=True)
    elsewhere = pairs.outside(images, path)
    if elsewhere:
        folders = " ".join(f"--frames {shlex.quote(str(folder))}" for folder in elsewhere)
        click.echo(
            printable_line(f"plan and run accept these frames only with {folders}"), err=True
        )
