"""Settings of an emulator: slots, durations, clip size, as one frozen value."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of the emulated account and its model.

    ``seconds`` is the service time of a request (drawing may take longer), ``slots`` the number of
    requests that an account runs at once. Without ``render`` every clip is the same tiny file. The
    history shows an ended request after ``history_lag_seconds``. Idle connections are closed after
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
