"""Connects a run to fal or, in a rehearsal, to the emulator."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from tweenbatch.fal import Fal
from tweenbatch.paths import rehearsal_only
from tweenbatch.settings import RunSettings

REHEARSAL_KEY = "rehearsal"


def connection(settings: RunSettings, stack: ExitStack) -> Callable[[], Fal]:
    """Return a function that connects; a rehearsal's emulator runs until the stack closes."""
    if not settings.rehearse:
        return partial(Fal.connect, connect_to=settings.connect_to)
    from tweenbatch.emulator.process import emulator

    state = rehearsal_only(settings.output.parent / "emulator")
    url = stack.enter_context(emulator(state=state))
    return partial(Fal.connect, connect_to=url, key=REHEARSAL_KEY)
