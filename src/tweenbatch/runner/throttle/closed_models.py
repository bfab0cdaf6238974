"""Models that fal refuses to this account while it takes others: theirs are the only jobs to wait.

It counts what it is told; it knows nothing of submissions and lanes.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from http import HTTPStatus

MAY_BE_THE_MODELS = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})
"""What fal answers where a model is closed to an account, or is not there any more (unverified)."""


@dataclass(slots=True)
class ClosedModels:
    """What was accepted, and refused, of the submissions of a run."""

    _accepted: set[str] = field(default_factory=set)
    _closed: dict[str, str] = field(default_factory=dict)
    _doubted: bool = False
    """A model was refused, and fal has taken nothing since: it may be the account after all."""

    @property
    def names(self) -> Collection[str]:
        """Return the models whose jobs are not to be submitted in this run."""
        return self._closed.keys()

    @property
    def reason(self) -> str | None:
        """Why some jobs wait, for all such models."""
        return "; ".join(self._closed.values()) or None

    def took(self, model: str) -> None:
        """Note that fal accepted a submission to a model."""
        self._accepted.add(model)
        self._doubted = False

    def refused(self, model: str, why: str, *, http_status: int | None) -> bool:
        """Tell whether a refusal closes the model alone; False: it may concern all."""
        if http_status not in MAY_BE_THE_MODELS:
            return False
        if model in self._closed:
            return True
        others = sorted(self._accepted - self._closed.keys() - {model})
        if self._doubted or not others:
            return False
        self._doubted = True
        self._closed[model] = (
            f"{why}. It takes {', '.join(others)} from this key: {model} alone seems to be "
            "closed to the account. Its rows wait, and the others go on. Have the model opened, "
            "then run again"
        )
        return True
