"""What a clip costs: by the second or by the clip, alike for all or by the value of a parameter.

Amounts are US dollars.
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
class Price:
    """``usd`` for each unit or, where a parameter decides, ``rates`` by the value of ``by``."""

    unit: Unit
    usd: Decimal | None = None
    by: str = ""
    rates: Mapping[str, Decimal] = field(default_factory=dict)

    def clip_usd(self, parameters: Mapping[str, str]) -> Decimal:
        """Return what one clip with these parameters costs, to a millionth of a dollar.

        Raises ``ValueError`` for a duration that is no number of seconds.
        """
        rate = self.rates[parameters[self.by]] if self.usd is None else self.usd
        price = rate * seconds(parameters) if self.unit is Unit.SECOND else rate
        # A table keeps no less, and is never to show less than fal takes.
        return price if price == round(price, 6) else price.quantize(_MICRO, ROUND_CEILING)


def seconds(parameters: Mapping[str, str]) -> int:
    """Return the length of the clip that these parameters ask for."""
    return length(parameters["duration"])


def length(duration: str) -> int:
    """Return the seconds that ``5`` or ``5s`` means; raise ``ValueError``."""
    found = _SECONDS.fullmatch(duration)
    if found is None or not int(found[1]):
        raise ValueError(f"'{duration}' is no number of seconds")
    return int(found[1])
