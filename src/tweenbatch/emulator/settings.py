"""How an emulator behaves, as one frozen value."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the emulated account and its model behave.

    ``seconds`` is the service time of a request (drawing may take longer), ``slots`` how many an
    account runs at once. Without ``render`` every clip is the same tiny file. Ended requests are
    listed in the history after ``history_lag_seconds``; idle connections are closed after
    ``keepalive_seconds``.
    """

    slots: int = 10
    seconds: float = 0.0
    render: bool = False
    width: int = 854
    height: int = 480
    fps: int = 24
    history_lag_seconds: float = 0.0
    keepalive_seconds: float = 75.0
