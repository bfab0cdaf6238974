"""Batch runner for first-frame/last-frame video generation: every clip paid once.

From Python: ``plan``, ``run``, ``status`` and ``results``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tweenbatch.version import __version__

if TYPE_CHECKING:
    from tweenbatch.api.programs import plan, results, run, status

__all__ = ["__version__", "plan", "results", "run", "status"]


def __getattr__(name: str) -> Any:
    """Load the functions on first use, so that ``--help`` stays fast."""
    if name in __all__:
        return getattr(import_module("tweenbatch.api.programs"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
