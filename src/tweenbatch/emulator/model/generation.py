"""Process a request as the model does: check the input, take time, draw the clip or fail."""

import asyncio
import base64
import binascii
import logging
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from tweenbatch.emulator.addresses import file_name
from tweenbatch.emulator.api import validation
from tweenbatch.emulator.api.exchange import note_fault, pause
from tweenbatch.emulator.faults.script import Script, Subject
from tweenbatch.emulator.faults.vocabulary import At, Call, Charge, Fail
from tweenbatch.emulator.model import catalog
from tweenbatch.emulator.model.clip import tiny_clip
from tweenbatch.emulator.model.rendering import (
    Drawing,
    FrameNotAnImage,
    PixelFrame,
    RenderedClip,
    Studio,
)
from tweenbatch.emulator.settings import Settings
from tweenbatch.emulator.state.files import Storage, StoredFile
from tweenbatch.emulator.state.ledger import Ledger
from tweenbatch.emulator.state.requests import FalRequest, RequestOutcome

_log = logging.getLogger(__name__)

_SHARES = (12, 47, 83)


class Generator:
    """Processes one request per call; the queue limits the number of concurrent calls."""

    def __init__(
        self,
        *,
        settings: Settings,
        storage: Storage,
        script: Script,
        ledger: Ledger,
        new_path: Callable[[str], str],
    ) -> None:
        self._settings = settings
        self._storage = storage
        self._script = script
        self._ledger = ledger
        self._new_path = new_path
        self._studio = Studio()
        self._tiny: RenderedClip | None = None
        self._checked: dict[tuple[str, str], dict[str, Any] | None] = {}

    def prepare(self) -> None:
        """Make the tiny clip, if previews are off."""
        if not self._settings.render:
            data = tiny_clip()
            self._tiny = RenderedClip(sha256=self._storage.keep(data), size=len(data))

    def close(self) -> None:
        """End the workers."""
        self._studio.close()

    async def work(self, request: FalRequest) -> RequestOutcome:
        """Process a request and return its outcome."""
        plan = self._script.plan(
            Call.GENERATION,
            Subject(
                account=request.account,
                request_id=request.request_id,
                endpoint_id=request.endpoint_id,
                prompt=request.prompt,
            ),
        )
        facts = {"call": "generation", "request_id": request.request_id}
        await pause(plan, At.ARRIVAL, self._ledger, facts)
        endpoint = catalog.ENDPOINTS.get(request.endpoint_id)
        if endpoint is None:
            path = request.endpoint_id.removeprefix(request.app)
            text = f"Path {path or '/'} not found"
            return RequestOutcome(http_status=404, body={"detail": text}, error=text)
        problems = self._check_input(endpoint, request.payload)
        if problems:
            return _model_failure(422, problems)
        fault = plan.action.fault if plan.action else None
        failure = fault if isinstance(fault, Fail) else None
        async with asyncio.TaskGroup() as group:
            drawing = None if failure else group.create_task(self._draw(endpoint, request))
            await self._take_time(request)
        await pause(plan, At.REPLY, self._ledger, facts)
        if failure is not None:
            note_fault(self._ledger, failure, facts)
            return _scripted_failure(failure, request.price_usd)
        assert drawing is not None
        clip = drawing.result()
        if isinstance(clip, RequestOutcome):
            return clip
        request.log(self._ledger.now(), "Done")
        file = self._storage.name(
            StoredFile(
                path=self._new_path("output.mp4"),
                sha256=clip.sha256,
                size=clip.size,
                content_type="video/mp4",
                request_id=request.request_id,
            )
        )
        billed_usd = request.price_usd
        if isinstance(fault, Charge):
            note_fault(self._ledger, fault, facts)
            billed_usd *= fault.times_usual
        return RequestOutcome(billed_usd=billed_usd, video_path=file.path)

    async def _take_time(self, request: FalRequest) -> None:
        request.log(self._ledger.now(), "Loading frames")
        done = 0
        for share in _SHARES:
            await asyncio.sleep(self._settings.seconds * (share - done) / 100)
            request.log(self._ledger.now(), f"Generating {share} %")
            request.changed()
            done = share
        await asyncio.sleep(self._settings.seconds * (100 - done) / 100)

    def _check_input(self, endpoint: catalog.ServedEndpoint, payload: Any) -> list[dict[str, Any]]:
        problems = validation.check_fields(endpoint, payload)
        if problems:
            return problems
        for name in (endpoint.start_field, endpoint.end_field):
            url = payload.get(name)
            if url is None:
                continue
            problem = self._check_frame(name, url)
            if problem is not None:
                problems.append(problem)
        return problems

    def _check_frame(self, name: str, url: str) -> dict[str, Any] | None:
        if url.startswith("data:"):
            data = _data_url(url)
            return (
                validation.missing_file(name, url[:80])
                if data is None
                else validation.check_image(name, url[:80], data)
            )
        path = file_name(url)
        if path is None:
            return None if url.startswith("https://") else validation.missing_file(name, url)
        file = self._storage.find(path)
        if file is None or self._storage.expired(path):
            return validation.missing_file(name, url)
        key = (name, file.sha256)
        if key not in self._checked:
            data = self._storage.blob(file.sha256).read_bytes()
            self._checked[key] = validation.check_image(name, url, data)
        problem = self._checked[key]
        return None if problem is None else {**problem, "input": url}

    def _frame(self, field: str, url: str) -> PixelFrame:
        if url.startswith("data:"):
            data = _data_url(url)
            assert data is not None, "checked before"
            blob = self._storage.blob(self._storage.keep(data))
            return PixelFrame(field=field, url=url[:80], blob=blob)
        file = self._storage.find(file_name(url))
        blob_of_file = None if file is None else self._storage.blob(file.sha256)
        return PixelFrame(field=field, url=url, blob=blob_of_file)

    async def _draw(
        self, endpoint: catalog.ServedEndpoint, request: FalRequest
    ) -> RenderedClip | RequestOutcome:
        if self._tiny is not None:
            return self._tiny
        end = request.payload.get(endpoint.end_field)
        drawing = Drawing(
            start=self._frame(endpoint.start_field, request.payload[endpoint.start_field]),
            end=None if end is None else self._frame(endpoint.end_field, end),
            seconds=endpoint.seconds(request.payload),
            width=self._settings.width,
            height=self._settings.height,
            fps=self._settings.fps,
            folder=self._storage.folder,
        )
        task = asyncio.ensure_future(self._studio.draw(drawing))
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()
        error = task.exception()
        if error is None:
            return task.result()
        if isinstance(error, FrameNotAnImage):
            return _model_failure(422, [validation.unreadable(*error.args)])
        _log.error("drawing failed request=%s", request.request_id, exc_info=error)
        text = f"The preview could not be drawn: {type(error).__name__}: {error}"
        return _model_failure(
            500, [validation.problem(["body"], "internal_server_error", text)], retryable=False
        )


def _data_url(url: str) -> bytes | None:
    head, comma, body = url.partition(",")
    if not comma or not head.endswith(";base64"):
        return None
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error:
        return None


def _model_failure(
    status: int, problems: list[dict[str, Any]], *, retryable: bool | None = None
) -> RequestOutcome:
    return RequestOutcome(
        http_status=status,
        body={"detail": problems},
        error=problems[0]["msg"],
        error_type=problems[0]["type"],
        retryable=retryable,
    )


_INFRASTRUCTURE = ("request_timeout", "startup_timeout", "runner_", "internal_error", "client_")


def _scripted_failure(fault: Fail, price_usd: Decimal) -> RequestOutcome:
    shape = fault.shape or ("infrastructure" if fault.type.startswith(_INFRASTRUCTURE) else "model")
    body: dict[str, Any] = (
        {"detail": fault.message, "error_type": fault.type}
        if shape == "infrastructure"
        else {"detail": [validation.problem(["body", "prompt"], fault.type, fault.message)]}
    )
    return RequestOutcome(
        http_status=fault.status,
        body=body,
        error=fault.message,
        error_type=fault.type,
        announced=fault.announced,
        retryable=fault.retryable,
        billed_usd=price_usd if fault.billed else Decimal(0),
    )
