"""What a clip costs: by the second or by the clip, alike for all or by the value of a parameter.

Amounts are US dollars. A price is never too low: what a row leaves open counts at the dearest.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum

_MICRO = Decimal("0.000001")
_SECONDS = re.compile(r"([0-9]{1,4})s?")


class Unit(StrEnum):
    """What is charged for."""

    SECOND = "second"
    CLIP = "clip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Longer:
    """A clip whose parameter ``by`` is above ``above`` costs ``times`` as much."""

    by: str
    above: Decimal
    times: Decimal

    def factor(self, parameters: Mapping[str, str]) -> Decimal:
        """Return what the price is multiplied by; a row that leaves the length open pays most."""
        value = parameters.get(self.by)
        return self.times if value is None or Decimal(value) > self.above else Decimal(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """``usd`` for each unit or, where a parameter decides, ``rates`` by the value of ``by``."""

    unit: Unit
    usd: Decimal | None = None
    by: str = ""
    rates: Mapping[str, Decimal] = field(default_factory=dict)
    longer: Longer | None = None

    @property
    def dearest_usd(self) -> Decimal:
        """The most that a unit can cost, in US dollars."""
        usd = max(self.rates.values()) if self.usd is None else self.usd
        return usd if self.longer is None else usd * self.longer.times

    def clip_usd(self, parameters: Mapping[str, str]) -> Decimal:
        """Return what one clip with these parameters costs, to a millionth of a dollar.

        A parameter that decides and is not given counts at its dearest value. Raises
        ``ValueError`` for a duration that is no number of seconds.
        """
        rate = self.unit_usd(parameters)
        price = rate * seconds(parameters) if self.unit is Unit.SECOND else rate
        if self.longer is not None:
            price *= self.longer.factor(parameters)
        return in_micro_dollars(price)

    def unit_usd(self, parameters: Mapping[str, str]) -> Decimal:
        """Return what one unit costs with these parameters, whatever the length of the clip."""
        if self.usd is not None:
            return self.usd
        return self.rates.get(parameters.get(self.by, ""), max(self.rates.values()))


def in_micro_dollars(usd: Decimal) -> Decimal:
    """Return an amount as a table keeps it, never less than fal takes."""
    return usd if usd == round(usd, 6) else usd.quantize(_MICRO, ROUND_CEILING)


def seconds(parameters: Mapping[str, str]) -> int:
    """Return the length of the clip that these parameters ask for."""
    return length(parameters["duration"])


def length(duration: str) -> int:
    """Return the seconds that ``5`` or ``5s`` means; raise ``ValueError``."""
    found = _SECONDS.fullmatch(duration)
    if found is None or not int(found[1]):
        raise ValueError(f"'{duration}' is no number of seconds")
    return int(found[1])


_UNITS: Mapping[str, tuple[Unit, int]] = {
    **dict.fromkeys(("second", "sec"), (Unit.SECOND, 1)),
    **dict.fromkeys(("minute", "min"), (Unit.SECOND, 60)),
    **dict.fromkeys(("clip", "video", "generation", "request"), (Unit.CLIP, 1)),
}
"""fal's words for what it charges for, in the singular, and how many of our units they hold."""


def listed_price(unit: str, usd: Decimal) -> Price | None:
    """Return what ``usd`` for each ``unit``, in fal's words, comes to; None: no price by our units.

    Case, white space and the plural make no difference ("Seconds", "per video").
    """
    word = unit.strip().lower().removeprefix("per ").strip()
    ours, held = _UNITS.get(word) or _UNITS.get(word.removesuffix("s")) or (None, 1)
    if ours is None:
        return None
    each = usd / held
    if each != round(each, 9):
        each = each.quantize(Decimal("0.000000001"), ROUND_CEILING)
    return Price(unit=ours, usd=each)
