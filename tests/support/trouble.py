"""What may go wrong at fal, drawn by dice: a few faults of every call, at one time.

Nothing here lasts: each fault strikes some of the calls, or for some seconds.
"""

import random
from collections.abc import Collection, Iterator
from typing import Any

Fault = dict[str, Any]

HTML = {"headers": {"Content-Type": "text/html"}, "body": "<html>hello</html>"}
MODEL = {"detail": [{"loc": ["body", "prompt"], "msg": "No.", "type": "content_policy_violation"}]}
TYPED = {"detail": "It broke.", "error_type": "internal_error"}
FOREIGN = {
    "prices": [
        {
            "endpoint_id": "fal-ai/kling-video/o1/image-to-video",
            "unit_price": 5,
            "unit": "videos",
            "currency": "EUR",
        }
    ]
}

_LOST: tuple[Fault, ...] = (
    *({"do": do, "at": at} for do in ("reset", "close") for at in ("arrival", "reply")),
    {"do": "half"},
)
"""The call is broken off before its effect, or after it."""


def _replies(*statuses: int, **more: Any) -> Iterator[Fault]:
    for status in statuses:
        yield {"do": "reply", "status": status, **more}


KINDS: dict[str, tuple[Fault, ...]] = {
    "submit": (
        *_LOST,
        *_replies(301, 302, 303, 307, 308, 408, 409, 425, 500, 502, 503, 504, at="reply"),
        *_replies(503, at="arrival"),
        *_replies(200, at="reply", **HTML),
        *_replies(429, headers={"Retry-After": "1"}),
        *_replies(401),
        {"do": "lock"},
        {"do": "deny"},
        {"do": "change", "drop": ["request_id"]},
        {"do": "change", "set": {"request_id": "../../etc/x"}},
        {"do": "delay", "at": "reply", "seconds": 0.5},
    ),
    "status": (
        *_LOST,
        *_replies(404, 429, 500, 502, 503),
        *_replies(200, **HTML),
        {"do": "change", "set": {"status": "PAUSED"}},
        {"do": "change", "drop": ["logs"]},
        {"do": "change", "set": {"status": "IN_QUEUE", "queue_position": 3}, "status": 202},
    ),
    "result": (
        *_LOST,
        *_replies(400, 422, body=MODEL),
        *_replies(500, 503, body=TYPED),
        *_replies(303, 404, 408, 410, 429, 500, 502, 504),
        *_replies(200, **HTML),
        *_replies(200, body={}),
        {"do": "mix_up"},
        {"do": "mix_up", "named": "asked"},
        {"do": "change", "set": {"video.file_size": 7}},
        {"do": "change", "set": {"video.url": "https://v3.fal.media/files/nobody/none.mp4"}},
        {"do": "change", "drop": ["video"]},
    ),
    "token": (*_LOST, *_replies(403, 500, 503)),
    "upload": (*_LOST, *_replies(500, 502, 503), {"do": "vanish"}),
    "download": (
        *({"do": do, "at": at} for do in ("reset", "close") for at in ("arrival", "reply")),
        *_replies(401, 403, 404, 410, 500, 503),
        *_replies(200, **HTML),
        *(
            {"do": "truncate", "after_bytes": 700, "framing": framing}
            for framing in ("length", "short_length", "chunked", "close", "reset")
        ),
        {"do": "blank"},
        {"do": "endless", "extra_bytes": 5000},
        {"do": "expire"},
        {"do": "expire", "status": 404},
        {"do": "restrict"},
        {"do": "restrict", "status": 404},
        {"do": "range"},
        {"do": "range", "answer": "wrong"},
    ),
    "history": (
        *_LOST,
        *_replies(403, 404, 500, 504),
        *_replies(200, **HTML),
        {"do": "change", "drop": ["items"]},
        {"do": "change", "set": {"items": [], "has_more": False}},
        {"do": "lag", "seconds": 600.0},
        {"do": "lag", "seconds": 36_000.0},
        {"do": "alias", "name": "fal-ai/kling-video/o1/pro/image-to-video"},
    ),
    "pricing": (*_replies(403, 500), {"do": "reply", "status": 200, "body": FOREIGN}),
    "generation": (
        {"do": "fail", "status": 500, "type": "internal_error"},
        {"do": "fail", "status": 503, "type": "runner_crashed", "announced": False},
        {"do": "fail", "status": 422, "type": "file_download_error"},
        {"do": "fail", "status": 422, "type": "content_policy_violation", "billed": True},
        {"do": "delay", "seconds": 2.0},
    ),
}
"""Faults by the call that they strike."""

_OF_ITEMS = {"lag", "omit", "alias"}
_FOR_GOOD = {"expire", "restrict", "lock"}


def drawn(dice: random.Random, *, without: Collection[str] = ()) -> list[Fault]:
    """Return up to six faults of calls that are not among ``without``."""
    calls = [call for call in KINDS if call not in without]
    return [_often(dice.choice(calls), dice) for _ in range(dice.randint(0, 6))]


def _often(call: str, dice: random.Random) -> Fault:
    kind = dice.choice(KINDS[call])
    fault = {"on": call, "seed": dice.randrange(1_000_000), **kind}
    if kind["do"] not in _FOR_GOOD:
        fault["probability"] = dice.choice([0.1, 0.3, 0.6, 1.0])
    if kind["do"] in _OF_ITEMS:
        return fault
    # What strikes always passes soon.
    if fault.get("probability") == 1.0 and dice.random() < 0.5:
        return {**fault, "for_seconds": dice.choice([0.5, 1.5])}
    return {**fault, "times": dice.randint(1, 5)}
