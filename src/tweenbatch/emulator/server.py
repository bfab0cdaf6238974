"""The emulator as one object: start it, stop it, read its ledger and script faults in process."""

import asyncio
import random
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from email.utils import format_datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tweenbatch.clock import Clock, SystemClock
from tweenbatch.emulator.addresses import Host
from tweenbatch.emulator.api.admission import admission
from tweenbatch.emulator.api.control import ControlApi
from tweenbatch.emulator.api.download import DownloadApi
from tweenbatch.emulator.api.platform import PlatformApi
from tweenbatch.emulator.api.queue import QueueApi
from tweenbatch.emulator.api.storage import StorageApi
from tweenbatch.emulator.api.submit import SubmitApi
from tweenbatch.emulator.api.upload import UploadApi
from tweenbatch.emulator.api.webhooks import Webhooks
from tweenbatch.emulator.faults.parsing import parse
from tweenbatch.emulator.faults.script import Script
from tweenbatch.emulator.model.generation import Generator
from tweenbatch.emulator.settings import Settings
from tweenbatch.emulator.site import Names, Site
from tweenbatch.emulator.state.files import Storage
from tweenbatch.emulator.state.journal import Journal
from tweenbatch.emulator.state.ledger import Ledger
from tweenbatch.emulator.state.queue import Queue
from tweenbatch.emulator.state.requests import FalRequest
from tweenbatch.emulator.state.restoring import restore, resume
from tweenbatch.emulator.state.statement import statement
from tweenbatch.errors import UsageError

MAX_BODY_BYTES = 128 * 1024 * 1024
JOURNAL = "journal.jsonl"
SHUTDOWN_SECONDS = 0.2
"""How long calls in progress may take to end when the server stops."""


class Emulator:
    """A fal-compatible loopback server; use it as an asynchronous context manager.

    ``state`` is a folder from which a later emulator can continue; without it nothing is kept.
    With a ``seed``, request ids and file names are the same in each run.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        state: Path | None = None,
        clock: Clock | None = None,
        seed: int | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if state is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="tweenbatch-emulator-")
            state = Path(self._temporary.name)
        self._state = state
        settings = settings or Settings()
        ledger = Ledger(clock or SystemClock())
        script = Script()
        journal = Journal(state / JOURNAL)
        storage = Storage(state / "files", journal)
        names = Names() if seed is None else Names(chance=random.Random(seed))  # noqa: S311
        self._generator = Generator(
            settings=settings, storage=storage, script=script, ledger=ledger, new_path=names.path
        )
        queue = Queue(
            slots=settings.slots, work=self._generator.work, ledger=ledger, journal=journal
        )
        self._site = Site(
            settings=settings,
            ledger=ledger,
            script=script,
            storage=storage,
            queue=queue,
            journal=journal,
            names=names,
        )
        self._webhooks = Webhooks(self._site)
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Return the base URL, ``http://127.0.0.1:PORT``."""
        return self._site.url

    async def start(self) -> None:
        """Restore the state folder and listen."""
        site = self._site
        try:
            unfinished = self._restore()
        except OSError as error:
            path = error.filename or self._state
            raise UsageError(f"can't use {path}: {error.strerror}") from error
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise UsageError(
                f"{self._state / JOURNAL} isn't an emulator's journal; use another folder"
            ) from error
        app = web.Application(
            client_max_size=MAX_BODY_BYTES,
            middlewares=[_ignore_gone_clients, admission(self._host)],
        )
        app.on_response_prepare.append(self._date)
        app.add_routes(SubmitApi(site, self._webhooks).routes())
        app.add_routes(self._webhooks.routes())
        for api in (ControlApi, QueueApi, DownloadApi, StorageApi, UploadApi, PlatformApi):
            app.add_routes(api(site).routes())
        app.router.add_route("*", "/{path:.*}", _unknown)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            shutdown_timeout=SHUTDOWN_SECONDS,
            keepalive_timeout=site.settings.keepalive_seconds,
        )
        await self._runner.setup()
        listener = web.TCPSite(self._runner, self._host, self._port)
        await listener.start()
        port = self._runner.addresses[0][1]
        site.url = f"http://{self._host}:{port}"
        resume(site, unfinished)
        for each in unfinished:
            self._webhooks.watch(each)

    def _restore(self) -> list[FalRequest]:
        """Restore the state folder; return the unfinished requests."""
        # Private: it holds prompts, and URLs with which anybody can read the files.
        self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._site.storage.prepare()
        unfinished = restore(self._site)
        self._site.journal.open()
        self._generator.prepare()
        return unfinished

    async def _date(self, _request: web.Request, response: web.StreamResponse) -> None:
        """Date an answer by the emulator's clock instead of this machine's."""
        response.headers["Date"] = format_datetime(self._site.ledger.now(), usegmt=True)

    async def stop(self) -> None:
        """Stop listening; keep the state folder."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        await self._webhooks.stop()
        await self._site.queue.stop()
        await asyncio.to_thread(self._generator.close)
        self._site.journal.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    def ledger(self, *, totals_only: bool = False) -> dict[str, Any]:
        """Return the ledger, as ``GET /ledger`` does."""
        return statement(self._site, totals_only=totals_only)

    @property
    def last_event(self) -> int:
        """Return the number of the latest event, for use as ``since``."""
        return self._site.ledger.last

    def events(self, since: int = 0) -> list[dict[str, Any]]:
        """Return the events after this number."""
        return list(self._site.ledger.since(since))

    async def wait_for(
        self,
        event: str = "",
        *,
        count: int = 1,
        since: int = 0,
        timeout: float = 30.0,  # noqa: ASYNC109 - the error message names the events
        **match: Any,
    ) -> list[dict[str, Any]]:
        """Return the first ``count`` events after ``since`` with these fields.

        Raises:
            TimeoutError: if they do not happen in time.
        """
        return await self._site.ledger.wait_for(
            event, count=count, since=since, timeout=timeout, match=match
        )

    def script(self, faults: Sequence[dict[str, Any]]) -> list[str]:
        """Replace the faults in force; return their names.

        Raises:
            BadFault: if a fault does not follow the vocabulary.
        """
        return self._site.script.set(parse(list(faults)))

    def add_fault(self, **fault: Any) -> str:
        """Add one fault to those in force; return its name."""
        return self._site.script.add(parse(fault))[0]

    def faults(self) -> list[dict[str, Any]]:
        """Return the faults in force with their counts."""
        return self._site.script.shown()

    def clear(self, fault_id: str | None = None) -> int:
        """Remove one fault or all; return how many."""
        return self._site.script.clear(fault_id)

    def release(self, name: str | None = None) -> int:
        """Let go who is held, by fault or by point; all without a name."""
        return self._site.script.release(name)


@web.middleware
async def _ignore_gone_clients(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except ConnectionError:
        return web.Response()


async def _unknown(request: web.Request) -> web.StreamResponse:
    hosts = ", ".join(host.value for host in Host)
    return web.json_response(
        {"detail": f"{request.method} {request.path} isn't served here; hosts are {hosts}"},
        status=404,
    )
