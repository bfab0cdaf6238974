"""Serve the emulator as a program: print its URL, stop at Ctrl-C or with the parent process."""

import asyncio
import os
import signal
import sys
import threading
from pathlib import Path

from tweenbatch.emulator.addresses import Host
from tweenbatch.emulator.process import LISTENING
from tweenbatch.emulator.server import Emulator
from tweenbatch.emulator.settings import Settings
from tweenbatch.errors import UsageError
from tweenbatch.loopback import is_loopback

_EXAMPLES = """
  curl -H 'Authorization: Key any' -H 'Content-Type: application/json' \\
    -d '{{"prompt": "Snow melts.", "start_image_url": "https://example.com/a.png"}}' \\
    {url}/{queue}/fal-ai/kling-video/o1/image-to-video
  curl {url}/ledger
"""

_EXPOSED = (
    "warning: listening on {host}: other machines can read the prompts and files sent here, and "
    "script faults; use --host 127.0.0.1 to prevent this"
)


class PortTaken(Exception):
    """Another program listens on the requested port."""


def serve(
    settings: Settings, *, host: str, port: int, state: Path | None, with_stdin: bool
) -> None:
    """Serve until Ctrl-C or SIGTERM; ``with_stdin``: until standard input ends or SIGTERM.

    Raises:
        PortTaken: if the port is in use.
    """
    if with_stdin:
        # The terminal also sends Ctrl-C to the parent, which needs this server until it has ended.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(_serve(settings, host=host, port=port, state=state, with_stdin=with_stdin))


async def _serve(
    settings: Settings, *, host: str, port: int, state: Path | None, with_stdin: bool
) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    if with_stdin:
        threading.Thread(target=_watch_stdin, args=(loop, stop), daemon=True).start()
    else:
        loop.add_signal_handler(signal.SIGINT, stop.set)
    emulator = Emulator(settings, host=host, port=port, state=state)
    try:
        await emulator.start()
    except OSError as error:
        await emulator.stop()
        raise PortTaken(f"can't listen on {host}:{port}: {error.strerror}") from error
    except UsageError:
        await emulator.stop()
        raise
    try:
        print(f"{LISTENING}{emulator.url}", flush=True)  # noqa: T201 - the command's output
        if not is_loopback(host):
            print(_EXPOSED.format(host=host), file=sys.stderr)  # noqa: T201 - for a person
        if not with_stdin:
            examples = _EXAMPLES.format(url=emulator.url, queue=Host.QUEUE)
            print(examples, file=sys.stderr)  # noqa: T201 - for a person
        await stop.wait()
    finally:
        await emulator.stop()


def _watch_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    while os.read(0, 4096):
        pass
    loop.call_soon_threadsafe(stop.set)
