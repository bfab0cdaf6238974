"""Column types for instants, money, enum words and foreign text, with their checks."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any, Generic, TypeVar

from sqlalchemy import BigInteger, DateTime, Dialect, String, Text, TypeDecorator

MICRO = 1_000_000
W = TypeVar("W", bound=StrEnum)


def in_micro(amount_usd: Decimal) -> int:
    """Return micro-dollars; raise ``ValueError`` for a finer amount."""
    micro = amount_usd * MICRO
    if micro != int(micro):
        raise ValueError(f"${amount_usd} can't be stored: the smallest amount is $0.000001")
    return int(micro)


@lru_cache
def _dollars(micro: int | Decimal | None) -> Decimal | None:
    """Return dollars, cached: thousands of rows share few amounts."""
    if micro is None:
        return None
    cents, rest = divmod(int(micro), MICRO // 100)
    if rest == 0:
        return Decimal(cents).scaleb(-2)
    return (Decimal(micro) / MICRO).normalize()


class Instant(TypeDecorator[datetime]):
    """An aware datetime, stored and returned in UTC; a naive one raises ``ValueError``."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Refuse naive instants; convert the others to UTC."""
        if value is None:
            return None
        if value.utcoffset() is None:
            raise ValueError(f"{value} has no time zone")
        return value.astimezone(UTC)

    def result_processor(
        self, dialect: Dialect, _coltype: object
    ) -> Callable[[Any], datetime | None]:
        """Return aware instants."""
        return _instant_of_text if dialect.name == "sqlite" else _in_utc


def _instant_of_text(text: str | None) -> datetime | None:
    """Return an instant of SQLite, which stores no time zone: it is always UTC."""
    return None if text is None else datetime.fromisoformat(f"{text}+00:00")


def _in_utc(value: datetime | None) -> datetime | None:
    return None if value is None else value.astimezone(UTC)


class Dollars(TypeDecorator[Decimal]):
    """US dollars, stored as integer micro-dollars; a finer amount raises ``ValueError``."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, _dialect: Dialect) -> int | None:
        """Return micro-dollars."""
        return None if value is None else in_micro(value)

    def result_processor(
        self, _dialect: Dialect, _coltype: object
    ) -> Callable[[Any], Decimal | None]:
        """Return dollars, to the cent or finer; PostgreSQL returns sums as Decimal."""
        return _dollars


class Word(TypeDecorator[W], Generic[W]):
    """A member of an enum, stored as its text."""

    impl = String
    cache_ok = True

    def __init__(self, words: type[W]) -> None:
        super().__init__()
        self.words = words

    def process_bind_param(self, value: W | None, _dialect: Dialect) -> str | None:
        """Return the member's text."""
        return None if value is None else self.words(value).value

    def result_processor(self, _dialect: Dialect, _coltype: object) -> Callable[[Any], W | None]:
        """Return members by a dictionary lookup, which is fast for millions of rows."""
        members: dict[Any, W | None] = {word.value: word for word in self.words}
        return {**members, None: None}.__getitem__


class ForeignText(TypeDecorator[str]):
    """Text from outside, made storable: PostgreSQL allows no NUL, UTF-8 no lone surrogate.

    Losing a character of an error message is better than losing the whole write.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, _dialect: Dialect) -> str | None:
        """Replace characters that a database can't store."""
        if value is None:
            return None
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
