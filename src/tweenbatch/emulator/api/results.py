"""Build the answer with a request's result, for the queue, ``fal.run`` and webhooks."""

from typing import Any

from tweenbatch.emulator.addresses import Host
from tweenbatch.emulator.api.exchange import Answer, json_answer, refusal
from tweenbatch.emulator.model import catalog
from tweenbatch.emulator.site import Site, request_id_header
from tweenbatch.emulator.state.files import StoredFile
from tweenbatch.emulator.state.requests import FalRequest


def replayed(site: Site, fal_request: FalRequest) -> Answer:
    """Return the answer to a read of the result."""
    outcome = fal_request.outcome
    if outcome is None:
        return refusal(400, "Request is still in progress")
    headers = request_id_header(fal_request)
    if outcome.error_type is not None:
        headers["X-Fal-Error-Type"] = outcome.error_type
    if outcome.retryable is not None:
        headers["X-Fal-Retryable"] = "true" if outcome.retryable else "false"
    if outcome.timeout_type is not None:
        headers["X-Fal-Request-Timeout-Type"] = outcome.timeout_type
    endpoint = catalog.ENDPOINTS.get(fal_request.endpoint_id)
    if outcome.billed_usd and endpoint is not None:
        payload = fal_request.payload if isinstance(fal_request.payload, dict) else {}
        units = outcome.billed_usd / endpoint.unit_usd(payload)
        headers["X-Fal-Billable-Units"] = f"{units.normalize():f}"
    return json_answer(output(site, fal_request), outcome.http_status, headers)


def output(site: Site, fal_request: FalRequest) -> dict[str, Any]:
    """Return the model's output: its error, or a clip with a valid URL."""
    assert fal_request.outcome is not None, "it has ended"
    if fal_request.outcome.body is not None:
        return fal_request.outcome.body
    storage = site.storage
    file = storage.find(fal_request.video_path)
    assert file is not None, "a finished clip has a file"
    if storage.expired(file.path) is not None:
        file = storage.name(
            StoredFile(
                path=site.names.path("output.mp4"),
                sha256=file.sha256,
                size=file.size,
                content_type=file.content_type,
                request_id=file.request_id,
            )
        )
        fal_request.video_path = file.path
    return {
        "video": {
            "file_size": file.size,
            "file_name": "output.mp4",
            "content_type": file.content_type,
            "url": site.address(Host.CDN_B, file.path),
        }
    }
