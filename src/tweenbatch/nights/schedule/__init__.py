"""What starts a job file every night: units for systemd, cron, Kubernetes and launchd, as text.

They say what this program does when it is asked to stop: the first signal winds a run up, which
takes as long as what is being sent or fetched. Nothing is installed here.
"""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType

from tweenbatch.nights.schedule import kubernetes, shells, systemd
from tweenbatch.nights.schedule.request import Schedule, Units

__all__ = ["Kind", "Schedule", "Units", "units"]

_UNWRITABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
"""What ends a line somewhere, or is no text in UTF-8, YAML or XML."""


class Kind(StrEnum):
    """Who starts it."""

    SYSTEMD = "systemd"
    CRON = "cron"
    KUBERNETES = "kubernetes"
    LAUNCHD = "launchd"


_MAKERS: Mapping[Kind, Callable[[Schedule], Units]] = MappingProxyType(
    {
        Kind.SYSTEMD: systemd.timer,
        Kind.CRON: shells.crontab,
        Kind.LAUNCHD: shells.agent,
        Kind.KUBERNETES: kubernetes.cronjob,
    }
)


def units(kind: Kind, schedule: Schedule) -> Units:
    """Return what starts it; raise ``ValueError`` for a path that can't be written there."""
    for text in (*schedule.runs, str(schedule.folder), str(schedule.env_file)):
        if _UNWRITABLE.search(text):
            raise ValueError(f"{text!r} has a character that no schedule can hold")
    return _MAKERS[kind](schedule)
