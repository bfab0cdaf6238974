"""What fal's error answers mean, and that no foreign exception is left without a meaning."""

import json
from datetime import UTC, datetime

import fal_client
import fal_client.auth
import fal_client.client
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tweenbatch import errors
from tweenbatch.errors import Answered, TweenbatchError
from tweenbatch.fal.errors import (
    clean,
    failure_of,
    failure_of_status,
    map_exception,
    retry_after_seconds,
    untyped_failure_of,
)
from tweenbatch.records import Billed, Failure, Phase, RemoteStatus

NOW = datetime(2026, 3, 1, 4, 15, tzinfo=UTC)


def answered(status: int, body: object, **headers: str) -> Answered:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answered(http_status=status, headers=named, body=data)


def model_error(kind: str, message: str = "Words.", **more: object) -> dict[str, object]:
    return {"detail": [{"loc": ["body", "prompt"], "msg": message, "type": kind, **more}]}


def test_a_models_own_error_names_its_field_type_and_limits() -> None:
    body = {
        "detail": [
            {
                "loc": ["body", "start_image_url"],
                "msg": "image too small",
                "type": "image_too_small",
                "ctx": {"min_width": 300, "min_height": 300, "nested": {}},
                "input": "https://v3.fal.media/secret-frame.png",
            }
        ]
    }
    failure = failure_of(answered(422, body))
    assert failure == Failure(
        type="image_too_small",
        message="start_image_url: image too small (min_width 300, min_height 300)",
        http_status=422,
        billed=Billed.UNKNOWN,
    )


@pytest.mark.parametrize(
    ("body", "headers", "kind", "message"),
    [
        (
            {"detail": "It broke.", "error_type": "internal_error"},
            {},
            "internal_error",
            "It broke.",
        ),
        (
            {"detail": "It broke."},
            {"X_Fal_Error_Type": "internal_error"},
            "internal_error",
            "It broke.",
        ),
        ({"detail": {"type": "one_of", "msg": "No."}}, {}, "one_of", "No."),
        ({"detail": {"type": "one_of"}}, {}, "one_of", "one_of"),
        ({"detail": [], "error_type": "missing"}, {}, "missing", "missing"),
        ({"detail": ["a", "b"], "error_type": "missing"}, {}, "missing", "a; b"),
        ({"detail": None, "error_type": "missing"}, {}, "missing", "null"),
        (b"<html>", {"x_fal_error_type": "runner_crashed"}, "runner_crashed", "<html>"),
        (b"", {"x_fal_error_type": "runner_crashed"}, "runner_crashed", "runner_crashed"),
        (model_error("a" * 300), {}, "a" * 99 + "…", "prompt: Words."),
    ],
)
def test_every_form_of_an_error_is_read(
    body: object, headers: dict[str, str], kind: str, message: str
) -> None:
    failure = failure_of(answered(500, body, **headers))
    assert failure is not None
    assert (failure.type, failure.message) == (kind, message)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>502 nginx</html>", b"null", b"[]", b"7", b"{}", b"[" * 100_000,
        {"detail": "Request is still in progress"}, {"detail": "Internal server error"},
        {"detail": []}, {"detail": [{"msg": "untyped"}]}, {"detail": [{"type": 7}]},
        {"error_type": "internal_error"}, {"detail": "", "error_type": ""},
    ],
)  # fmt: skip
@pytest.mark.parametrize("status", [400, 422, 500, 502])
def test_an_answer_without_a_type_says_nothing_of_the_generation(status: int, body: object) -> None:
    assert failure_of(answered(status, body)) is None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"detail": "No faces."}, "No faces."),
        ({"detail": ["a", "b"]}, "a; b"),
        ({"detail": [{"loc": ["body", "prompt"], "msg": "untyped"}]}, "prompt: untyped"),
        ({"error": "No faces."}, "No faces."),
        ({"error": {"message": "No faces."}}, "No faces."),
        ({"message": "No faces."}, "No faces."),
        ({"detail": None, "error": "No faces."}, "No faces."),
        ({"other": 7}, '{"other": 7}'),
        (["a", "b"], "a; b"),
        (b"Unprocessable \x1b[31mEntity", "Unprocessable [31mEntity"),
        (b"<html><h1>No  faces</h1></html>", "No faces"),
        (b"", "HTTP 422"),
    ],
)
def test_an_answer_without_a_type_is_shown_in_its_own_words(body: object, words: str) -> None:
    failure = untyped_failure_of(answered(422, body))
    assert failure == Failure(type="unknown_error", message=words, http_status=422)


@pytest.mark.parametrize("status", [401, 402, 403, 404, 408, 409, 410, 425, 429])
def test_an_answer_about_the_key_or_the_address_says_nothing_of_the_generation(
    status: int,
) -> None:
    body = {"detail": "No.", "error_type": "authentication_error"}
    assert failure_of(answered(status, body)) is None
    assert untyped_failure_of(answered(status, body)) is None


@pytest.mark.parametrize(
    ("status", "billed"),
    [
        (422, Billed.UNKNOWN),
        (400, Billed.UNKNOWN),
        (499, Billed.UNKNOWN),
        (500, Billed.NO),
        (504, Billed.NO),
    ],
)
def test_what_the_service_broke_is_not_billed(status: int, billed: Billed) -> None:
    failure = failure_of(answered(status, model_error("x")))
    assert failure is not None
    assert failure.billed is billed


@pytest.mark.parametrize("name", ["X-Fal-Retryable", "x-fal-needs-retry"])
@pytest.mark.parametrize(
    ("value", "retryable"),
    [
        ("true", True),
        ("1", True),
        ("True", True),
        ("false", False),
        ("0", False),
        ("maybe", None),
        ("", None),
    ],
)
def test_the_retryable_header_is_read_in_both_spellings(
    name: str, value: str, *, retryable: bool | None
) -> None:
    answer = Answered(
        http_status=500, headers={name: value}, body=json.dumps(model_error("x")).encode()
    )
    failure = failure_of(answer)
    assert failure is not None
    assert failure.retryable is retryable


def test_a_status_announces_a_failure_only_at_its_end() -> None:
    assert failure_of_status(RemoteStatus(phase=Phase.COMPLETED)) is None
    assert failure_of_status(RemoteStatus(phase=Phase.RUNNING, error="x")) is None
    failure = failure_of_status(
        RemoteStatus(phase=Phase.COMPLETED, error="It broke.", error_type="runner_crashed")
    )
    assert failure == Failure(type="runner_crashed", message="It broke.", billed=Billed.NO)
    untyped = failure_of_status(RemoteStatus(phase=Phase.COMPLETED, error="It broke."))
    assert untyped == Failure(type="unknown_error", message="It broke.", billed=Billed.UNKNOWN)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[2Jb", "a[2Jb"),
        ("a\r\n\tb", "a b"),
        ("a\x9b31mb", "a31mb"),
        ("\u202eevil\u2069", "evil"),
        ("\ud800x", "x"),
        ("Schnee ❄️ 雪", "Schnee ❄️ 雪"),
        ("x" * 600, "x" * 499 + "…"),
    ],
)
def test_text_from_outside_is_one_harmless_line(text: str, shown: str) -> None:
    assert clean(text) == shown


@given(st.text())
def test_cleaned_text_can_always_be_printed(text: str) -> None:
    shown = clean(text)
    assert len(shown) <= 500
    assert shown.isprintable() or all(ord(c) > 0x9F for c in shown if not c.isprintable())
    shown.encode("utf-8")


@given(st.binary(), st.integers(400, 599))
def test_any_error_body_is_read_without_an_error(body: bytes, status: int) -> None:
    answer = Answered(http_status=status, headers={}, body=body)
    failure_of(answer)
    untyped_failure_of(answer)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values, json_values)
def test_any_detail_is_read_without_an_error(detail: object, kind: object) -> None:
    failure_of(answered(422, {"detail": detail, "error_type": kind}))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "0"}, 0.0),
        ({"retry-after": "12"}, 12.0),
        ({"retry-after": "9" * 400}, 600.0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "Sun, 01 Mar 2026 04:15:30 GMT"}, 30.0),
        ({"retry-after": "Sun, 01 Mar 2026 04:14:00 GMT"}, 0.0),
        ({"retry-after": "Sun, 01 Mar 2027 04:14:00 GMT"}, 600.0),
        (
            {
                "retry-after": "Sun, 01 Mar 2026 09:00:30 GMT",
                "date": "Sun, 01 Mar 2026 09:00:00 GMT",
            },
            30.0,
        ),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after_seconds(headers, now=NOW) == seconds


def public_exceptions() -> list[type[Exception]]:
    found = {
        value
        for module in (httpx, fal_client, fal_client.client, fal_client.auth)
        for name, value in vars(module).items()
        if not name.startswith("_") and isinstance(value, type) and issubclass(value, Exception)
    }
    return sorted(found, key=lambda kind: (kind.__name__, kind.__module__))


def example(kind: type[Exception]) -> Exception:
    request = httpx.Request("GET", "https://queue.fal.run/x")
    response = httpx.Response(503, content=b"body", request=request)
    if issubclass(kind, httpx.HTTPStatusError):
        return kind("words", request=request, response=response)
    if issubclass(kind, fal_client.FalClientHTTPError):
        return kind("words", 503, {}, response)
    if issubclass(kind, fal_client.FalClientTimeoutError):
        return kind(3.0)
    if kind in (
        httpx.StreamConsumed,
        httpx.StreamClosed,
        httpx.ResponseNotRead,
        httpx.RequestNotRead,
    ):
        return kind()
    return kind("words")


@pytest.mark.parametrize("kind", public_exceptions(), ids=lambda kind: kind.__name__)
def test_every_public_exception_of_the_libraries_has_one_of_ours(kind: type[Exception]) -> None:
    ours = map_exception(example(kind))
    assert isinstance(ours, TweenbatchError)
    assert type(ours) not in (TweenbatchError, errors.FalError)
    assert ours.__cause__ is None


def test_the_walk_over_the_libraries_finds_their_exceptions() -> None:
    names = {kind.__name__ for kind in public_exceptions()}
    assert {"ConnectError", "ReadTimeout", "FalClientHTTPError", "MissingCredentialsError"} <= names


@pytest.mark.parametrize("kind", [ValueError, KeyError, TypeError, AttributeError, RecursionError])
def test_an_answer_of_another_shape_is_unintelligible(kind: type[Exception]) -> None:
    assert isinstance(map_exception(kind("words")), errors.Unintelligible)


def test_our_own_errors_stay_what_they_are() -> None:
    ours = errors.Unreachable("words")
    assert map_exception(ours) is ours
    assert type(map_exception(ZeroDivisionError("a mistake of ours"))) is errors.FalError
