"""The complete vocabulary of faults: what goes wrong, on which call, how often.

A fault is one JSON object. ``on`` names the call, ``do`` the effect; the other fields narrow it:

===================  ======================================================================
field                meaning
===================  ======================================================================
``id``               a name for events and ``POST /release``; generated if missing
``on``               submit (also through fal.run), status, result, cancel, token, initiate
                     (the address for an upload), upload (each call that sends bytes, and the
                     one that ends an upload in parts), download, history, pricing, or
                     generation (the model's own work, not an HTTP call)
``request_id``       only this request
``endpoint_id``      only requests to this endpoint
``prompt_contains``  only requests whose prompt contains this text
``nth``              only the n-th matching call (a number or a list, from 1)
``from_nth``         only from the n-th matching call on
``times``            at most this many times
``for_seconds``      only for this long after it first fired: a passing fault
``per_request``      ``nth``, ``from_nth``, ``times`` and ``for_seconds`` count for each request
                     separately (for each prompt, if there is no request yet)
``probability``      fire with this probability; drawn from ``seed``, the prompt and the number
                     of the call with this prompt, so that a script hits the same jobs each time
===================  ======================================================================

``at`` (reply, reset, close, hang, hold, delay) is ``arrival``, before the call has any effect (a
submission is not accepted), or ``reply``, after its effect and before its answer (it was accepted,
and will be billed). ``half``, ``drip`` and ``change`` alter the true answer. ``mix_up`` sends the
answer of another request, ``charge`` bills another amount than the price of the clip. ``deny`` is a
key without a permission, or with ``endpoint_id`` an account without that model.

Pauses (``hold``, ``delay``) add up; of the other matching faults, the first in the script is
played. ``lag``, ``omit`` and ``alias`` apply to items of the history.
"""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    model_validator,
)

Seconds = Annotated[float, Field(ge=0)]
Bytes = Annotated[int, Field(ge=0)]
HttpStatus = Annotated[int, Field(ge=200, le=599)]


class Call(StrEnum):
    """The calls of a client, and the model's own work."""

    SUBMIT = "submit"
    STATUS = "status"
    RESULT = "result"
    CANCEL = "cancel"
    TOKEN = "token"  # noqa: S105 - the name of a call
    INITIATE = "initiate"
    UPLOAD = "upload"
    DOWNLOAD = "download"
    HISTORY = "history"
    PRICING = "pricing"
    GENERATION = "generation"


class At(StrEnum):
    """The two sides of a call's effect."""

    ARRIVAL = "arrival"
    REPLY = "reply"


class Framing(StrEnum):
    """How a truncated download ends."""

    LENGTH = "length"
    """The right Content-Length, then the connection closes too early."""
    SHORT_LENGTH = "short_length"
    """A Content-Length that is smaller than the file: the client can't see the fault."""
    CHUNKED = "chunked"
    """No Content-Length, and a proper last chunk: the client can't see the fault."""
    CLOSE = "close"
    """No Content-Length: the end of the connection is the end of the body."""
    RESET = "reset"
    """The right Content-Length, then a reset."""


class RangeAnswer(StrEnum):
    """Wrong answers to a range request."""

    IGNORED = "ignored"
    """200 and the whole file."""
    WRONG = "wrong"
    """206 with the bytes and the Content-Range of another position."""


class BaseFault(BaseModel):
    """The fields of every fault: its name, its call, and when it fires."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = ""
    on: Call
    request_id: str | None = None
    endpoint_id: str | None = None
    prompt_contains: str | None = None
    nth: PositiveInt | tuple[PositiveInt, ...] | None = None
    from_nth: PositiveInt | None = None
    times: PositiveInt | None = None
    for_seconds: Seconds | None = None
    per_request: bool = False
    probability: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: int = 0

    @model_validator(mode="after")
    def _fits_the_call(self) -> Self:
        effect = str(getattr(self, "do"))  # noqa: B009 - declared by each kind
        if effect not in _EFFECTS[self.on]:
            raise ValueError(
                f"'do': '{effect}' can't happen on '{self.on}'; "
                f"possible are {', '.join(sorted(_EFFECTS[self.on]))}"
            )
        return self

    @property
    def side(self) -> "At":
        """Return whether the fault acts before or after the call's effect."""
        return getattr(self, "at", At.REPLY)

    @property
    def point(self) -> str:
        """Return the named point at which the fault acts, such as ``submit.arrival``."""
        return f"{self.on}.{self.side}"


class ReplyFault(BaseFault):
    """Send this answer instead, with the usual body of its status unless one is given."""

    do: Literal["reply"]
    at: At = At.ARRIVAL
    status: HttpStatus
    headers: Mapping[str, str] = {}
    body: Any = None


class Reset(BaseFault):
    """Reset the connection (RST) without an answer."""

    do: Literal["reset"]
    at: At = At.ARRIVAL


class Close(BaseFault):
    """Close the connection (FIN) without an answer."""

    do: Literal["close"]
    at: At = At.ARRIVAL


class Hang(BaseFault):
    """Never answer; keep the connection until the client gives up."""

    do: Literal["hang"]
    at: At = At.ARRIVAL


class Half(BaseFault):
    """Send the headers and half of the true answer, then close."""

    do: Literal["half"]


class Drip(BaseFault):
    """Send the true answer in small pieces, one each ``seconds``."""

    do: Literal["drip"]
    bytes: PositiveInt = 1
    seconds: Seconds = 1.0


class Change(BaseFault):
    """Edit the true answer: ``set`` and ``drop`` take dotted paths, ``status`` the HTTP code.

    ``headers`` are added. A number in a path is a list index: ``items.0.status_code``.
    """

    do: Literal["change"]
    set: Mapping[str, Any] = {}
    drop: tuple[str, ...] = ()
    headers: Mapping[str, str] = {}
    status: HttpStatus | None = None


class MixUp(BaseFault):
    """Answer with the status or result of the account's other request that ended last.

    ``named`` chooses the id in ``x-fal-request-id``: that of the ``other`` request, or of the
    ``asked`` one, so that only the clip's URL reveals the fault. Without another request, the
    answer is the true one.
    """

    do: Literal["mix_up"]
    named: Literal["other", "asked"] = "other"


class Delay(BaseFault):
    """Wait, then continue."""

    do: Literal["delay"]
    at: At = At.ARRIVAL
    seconds: Seconds


class Hold(BaseFault):
    """Wait until released; in a download, ``after_bytes`` holds it part-way."""

    do: Literal["hold"]
    at: At = At.ARRIVAL
    after_bytes: Bytes | None = None

    @property
    def point(self) -> str:
        """Return the named point; a download held part-way is at ``download.middle``."""
        return f"{self.on}.{'middle' if self.after_bytes is not None else self.at}"


class Lock(BaseFault):
    """Lock the account from this submission on; reads are still answered."""

    do: Literal["lock"]
    at: Literal[At.ARRIVAL] = At.ARRIVAL
    message: str = (
        "User is locked. Reason: Exhausted balance. "
        "Top up your balance at fal.ai/dashboard/billing."
    )


class Deny(BaseFault):
    """Refuse as the service does if the key or the account lacks the permission."""

    do: Literal["deny"]
    at: Literal[At.ARRIVAL] = At.ARRIVAL
    message: str = "You do not have permission to access this resource."


class Vanish(BaseFault):
    """Accept an upload and answer as usual, but have no file when the model needs it."""

    do: Literal["vanish"]


class Fail(BaseFault):
    """The model fails: COMPLETED, and the result answers with this error.

    ``shape`` is ``model`` (``detail`` is a list) or ``infrastructure`` (``detail`` is text, next to
    an ``error_type``); by default it follows ``type``. ``announced`` adds the error to the status.
    ``billed`` charges for the failed generation.
    """

    do: Literal["fail"]
    status: Annotated[int, Field(ge=400, le=599)] = 422
    type: str = "content_policy_violation"
    message: str = "The model could not make this clip."
    shape: Literal["model", "infrastructure"] | None = None
    retryable: bool | None = None
    announced: bool = True
    billed: bool = False


class Charge(BaseFault):
    """The model makes the clip and charges ``times_usual`` times its price."""

    do: Literal["charge"]
    times_usual: Annotated[Decimal, Field(ge=0, le=1000)] = Decimal(2)


class Truncate(BaseFault):
    """Send only the first ``after_bytes`` bytes of the file."""

    do: Literal["truncate"]
    after_bytes: Bytes
    framing: Framing = Framing.LENGTH


class Endless(BaseFault):
    """Send the file, then more bytes without end (or ``extra_bytes`` of them)."""

    do: Literal["endless"]
    extra_bytes: Bytes | None = None


class Blank(BaseFault):
    """Send zeros instead of the media data, from this share of it on; size and boxes are right."""

    do: Literal["blank"]
    from_share: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Expire(BaseFault):
    """Expire this URL permanently; the next read of the result returns a new one."""

    do: Literal["expire"]
    status: Literal[403, 404, 410] = 403


class Restrict(BaseFault):
    """Show the file to its owner alone: 403 (forbidden) or 404 (hidden) without the token."""

    do: Literal["restrict"]
    status: Literal[403, 404] = 403


class Range(BaseFault):
    """Answer range requests wrongly; other downloads are not affected."""

    do: Literal["range"]
    answer: RangeAnswer = RangeAnswer.IGNORED


class ListingFault(BaseFault):
    """A fault on items of the history, the same in each listing."""

    @model_validator(mode="after")
    def _counts_nothing(self) -> Self:
        for name in ("nth", "from_nth", "times", "for_seconds", "per_request"):
            if name in self.model_fields_set:
                raise ValueError(f"'{name}' has no meaning here: the fault applies to items")
        return self


class Lag(ListingFault):
    """Items appear in the history only ``seconds`` after their end."""

    do: Literal["lag"]
    seconds: Seconds


class Omit(ListingFault):
    """Items are missing from the history."""

    do: Literal["omit"]


class Alias(ListingFault):
    """Items name another endpoint than the one of the submission."""

    do: Literal["alias"]
    name: str


Fault = (
    ReplyFault
    | Reset
    | Close
    | Hang
    | Half
    | Drip
    | Change
    | MixUp
    | Delay
    | Hold
    | Lock
    | Deny
    | Vanish
    | Fail
    | Charge
    | Truncate
    | Endless
    | Blank
    | Expire
    | Restrict
    | Range
    | Lag
    | Omit
    | Alias
)

_ANY = frozenset({"reply", "reset", "close", "hang", "drip", "delay", "hold"})
_JSON = _ANY | {"half", "change", "deny"}
_EFFECTS: Mapping[Call, frozenset[str]] = {
    Call.SUBMIT: _JSON | {"lock"},
    Call.STATUS: _JSON | {"mix_up"},
    Call.RESULT: _JSON | {"mix_up"},
    Call.CANCEL: _JSON,
    Call.TOKEN: _JSON,
    Call.INITIATE: _JSON,
    Call.UPLOAD: _JSON | {"vanish"},
    Call.DOWNLOAD: _ANY | {"truncate", "endless", "blank", "expire", "restrict", "range"},
    Call.HISTORY: _JSON | {"lag", "omit", "alias"},
    Call.PRICING: _JSON,
    Call.GENERATION: frozenset({"fail", "charge", "delay", "hold"}),
}
