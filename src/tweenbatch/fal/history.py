"""Request and validate one page of fal's list of past requests.

Source: fal's platform API, ``/v1/models/requests/by-endpoint``. The list shows ended requests, the
latest first, and it lags.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx

from tweenbatch.errors import Unintelligible
from tweenbatch.fal.addresses import API
from tweenbatch.fal.errors import json_of
from tweenbatch.fal.submission_answer import is_request_id
from tweenbatch.records import PastRequest

URL = f"https://{API}/v1/models/requests/by-endpoint"
PAGE_ITEMS = 100


def page_url(
    endpoint: str, *, since: datetime, cursor: str | None, limit: int = PAGE_ITEMS
) -> httpx.URL:
    """Return the URL of a page of the requests sent since then."""
    query = {
        "endpoint_id": endpoint,
        "start": since.astimezone(UTC).isoformat(timespec="seconds"),
        "expand": "payloads",
        "limit": str(limit),
    }
    return httpx.URL(URL, params=query if cursor is None else {**query, "cursor": cursor})


def page(answer: Any) -> tuple[list[PastRequest], str | None]:
    """Return the requests of a page and the cursor of the next one, None on the last.

    Invalid items are left out. The endpoint of an item is not checked: fal may name it by an
    alias. Raises ``Unintelligible`` if the answer isn't a page, or announces more without a
    cursor.
    """
    if not isinstance(answer, dict) or not isinstance(answer.get("items"), list):
        raise Unintelligible("fal's list of past requests isn't a list")
    requests = [item for each in answer["items"] if (item := _item(each)) is not None]
    cursor = answer.get("next_cursor")
    more = isinstance(cursor, str) and bool(cursor)
    if answer.get("has_more") is True and not more:
        raise Unintelligible("fal's list of past requests breaks off")
    return requests, cursor if more and answer.get("has_more") is not False else None


def _item(item: Any) -> PastRequest | None:
    if not isinstance(item, Mapping) or not is_request_id(item.get("request_id")):
        return None
    sent_at = _instant(item.get("sent_at"))
    if sent_at is None or not isinstance(item.get("endpoint_id", ""), str):
        return None
    status = item.get("status_code")
    return PastRequest(
        request_id=item["request_id"],
        sent_at=sent_at,
        ended_at=_instant(item.get("ended_at")),
        http_status=status if type(status) is int and status in range(100, 600) else None,
        input=_payload(item.get("json_input")),
        output=_payload(item.get("json_output")),
    )


def _payload(value: Any) -> Any:
    """Return a payload as a JSON value, also if fal sends it as text."""
    return json_of(value.encode("utf-8", "replace")) if isinstance(value, str) else value


def _instant(text: Any) -> datetime | None:
    try:
        instant = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
