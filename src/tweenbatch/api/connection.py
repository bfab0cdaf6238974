"""Where a run's requests go: to fal or, in a rehearsal, to the emulator."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from tweenbatch.fal import Fal
from tweenbatch.paths import rehearsal_only
from tweenbatch.settings import RunSettings

REHEARSAL_KEY = "rehearsal"


def connection(settings: RunSettings, stack: ExitStack) -> Callable[[], Fal]:
    """Return what connects; a rehearsal's emulator runs for as long as the stack is open."""
    if not settings.rehearse:
        return partial(Fal.connect, connect_to=settings.connect_to)
    from tweenbatch.emulator.process import emulator

    state = rehearsal_only(settings.output.parent / "emulator")
    url = stack.enter_context(emulator(state=state))
    return partial(Fal.connect, connect_to=url, key=REHEARSAL_KEY)
