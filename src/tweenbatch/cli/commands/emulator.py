"""``tweenbatch emulator``: fal's API on this machine, for tests and rehearsals."""

import importlib.util
import sys
from pathlib import Path

import click

from tweenbatch.cli.options import LocalPath

_NEEDED_TO_SERVE = ("aiohttp", "cryptography")
_NEEDED_TO_RENDER = ("cv2", "numpy")
_MISSING = (
    'the emulator needs {names}, which {verb} not installed: pip install "tweenbatch[rehearsal]"'
)


@click.command("emulator")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8911, show_default=True, help="0: any free."
)
@click.option(
    "--slots", type=click.IntRange(1), default=10, show_default=True, help="Requests at once."
)
@click.option(
    "--seconds",
    type=click.FloatRange(0),
    default=2.0,
    show_default=True,
    help="How long a request takes; drawing may take longer.",
)
@click.option(
    "--render/--no-render",
    default=True,
    show_default=True,
    help="Draw a preview from the frames, or return the same tiny clip every time.",
)
@click.option(
    "--state",
    type=LocalPath(path_type=Path, file_okay=False),
    help="A folder that keeps all state for the next start; otherwise nothing is kept.",
)
@click.option("--width", type=click.IntRange(64), default=854, show_default=True)
@click.option("--height", type=click.IntRange(64), default=480, show_default=True)
@click.option("--fps", type=click.IntRange(1, 120), default=24, show_default=True)
@click.option(
    "--history-lag",
    type=click.FloatRange(0),
    default=0.0,
    help="Seconds until an ended request is listed in the history.",
)
@click.option("--exit-with-stdin", is_flag=True, hidden=True)
def command(
    *,
    host: str,
    port: int,
    slots: int,
    seconds: float,
    render: bool,
    state: Path | None,
    width: int,
    height: int,
    fps: int,
    history_lag: float,
    exit_with_stdin: bool,
) -> None:
    """Serve fal's API on this machine: queue, files, history, prices, and scripted faults.

    Every host of fal has a path named after it; webhooks go to this machine only. GET /ledger shows
    what was accepted, billed and downloaded; POST /faults sets the faults. Any key is accepted.
    """
    needed = _NEEDED_TO_SERVE + (_NEEDED_TO_RENDER if render else ())
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        names, verb = " and ".join(missing), "is" if len(missing) == 1 else "are"
        click.echo(f"tweenbatch: {_MISSING.format(names=names, verb=verb)}", err=True)
        sys.exit(2)
    from tweenbatch.emulator.serving import PortTaken, serve
    from tweenbatch.emulator.settings import Settings

    settings = Settings(
        slots=slots,
        seconds=seconds,
        render=render,
        width=width,
        height=height,
        fps=fps,
        history_lag_seconds=history_lag,
    )
    try:
        serve(settings, host=host, port=port, state=state, with_stdin=exit_with_stdin)
    except PortTaken as error:
        click.echo(f"tweenbatch: {error}", err=True)
        sys.exit(2)
