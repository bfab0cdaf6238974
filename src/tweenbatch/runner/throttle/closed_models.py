"""Models that fal refuses to this account while it accepts others: only their jobs wait.

It does not know submissions or gates.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from http import HTTPStatus

MAY_BE_THE_MODELS = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})
"""fal's answers if a model is closed to an account, or was removed (unverified)."""


@dataclass(slots=True)
class ClosedModels:
    """Models that accepted or refused submissions of this run."""

    _accepted: set[str] = field(default_factory=set)
    _closed: dict[str, str] = field(default_factory=dict)
    _doubted: bool = False
    """A model was refused and fal has accepted nothing since: the account may be the cause."""

    @property
    def names(self) -> Collection[str]:
        """Return the models whose jobs this run no longer submits."""
        return self._closed.keys()

    @property
    def reason(self) -> str | None:
        """Return why the jobs of closed models wait."""
        return "; ".join(self._closed.values()) or None

    def accepted(self, model: str) -> None:
        """Note that fal accepted a submission to a model."""
        self._accepted.add(model)
        self._doubted = False

    def refused(self, model: str, why: str, *, http_status: int | None) -> bool:
        """Tell whether a refusal closes only this model; False: it may concern the account."""
        if http_status not in MAY_BE_THE_MODELS:
            return False
        if model in self._closed:
            return True
        others = sorted(self._accepted - self._closed.keys() - {model})
        if self._doubted or not others:
            return False
        self._doubted = True
        self._closed[model] = (
            f"{why}. fal accepts {', '.join(others)} with this key, so only {model} seems to be "
            "closed to the account. Its rows wait and the others continue. Ask fal to open the "
            "model, then run again"
        )
        return True
