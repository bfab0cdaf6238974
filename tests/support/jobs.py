"""Jobs as values, without a table."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tweenbatch.models import KLING_O1
from tweenbatch.records import Frame, Job, JobSpec
from tweenbatch.states import State

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def job(number: int = 1, **facts: Any) -> Job:
    """A submitted job whose content follows from its number unless told otherwise."""
    frame = Frame(source="https://example.com/a.png")
    usual: dict[str, Any] = {
        "id": number,
        "key": f"{number:064x}",
        "spec": JobSpec(
            endpoint=KLING_O1.id,
            prompt=f"prompt {number}",
            start=frame,
            end=frame,
            parameters={"duration": "5"},
        ),
        "state": State.SUBMITTED,
        "output_name": f"clip-{number}",
        "price_usd": Decimal("0.56"),
        "attempt": 1,
        "tries": 0,
        "fence": 1,
        "not_before": None,
        "arguments": {"prompt": f"prompt {number}"},
        "request": None,
        "accepted_at": None,
        "video": None,
    }
    return Job(**{**usual, **facts})
