"""Endpoints as data: input fields, limits and prices.

It does not know manifests or the job table.
"""

from tweenbatch.models.catalogue import DEFAULT, ENDPOINTS, KLING_O1, USUAL_LIMITS, find
from tweenbatch.models.endpoint import Endpoint, ImageLimits
from tweenbatch.models.parameter import Parameter, ParameterKind
from tweenbatch.models.price import Longer, Price, Unit, in_micro_dollars, listed_price
from tweenbatch.models.prices import (
    AS_KNOWN,
    PriceDoubt,
    Prices,
    Rise,
    is_comparable,
    may_be_dearer,
)
from tweenbatch.models.remembered import remember

__all__ = [
    "AS_KNOWN",
    "DEFAULT",
    "ENDPOINTS",
    "KLING_O1",
    "USUAL_LIMITS",
    "Endpoint",
    "ImageLimits",
    "Longer",
    "Parameter",
    "ParameterKind",
    "Price",
    "PriceDoubt",
    "Prices",
    "Rise",
    "Unit",
    "find",
    "in_micro_dollars",
    "is_comparable",
    "listed_price",
    "may_be_dearer",
    "remember",
]
