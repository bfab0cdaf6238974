"""Make the units that start a job file every night, for each kind of scheduler."""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType

from tweenbatch.nights.schedule import cron, kubernetes, launchd, systemd
from tweenbatch.nights.schedule.request import Schedule, Units

_UNWRITABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
"""Characters that may end a line, or are not allowed in UTF-8, YAML or XML."""


class Scheduler(StrEnum):
    """The program that starts a job file every night."""

    SYSTEMD = "systemd"
    CRON = "cron"
    KUBERNETES = "kubernetes"
    LAUNCHD = "launchd"


_MAKERS: Mapping[Scheduler, Callable[[Schedule], Units]] = MappingProxyType(
    {
        Scheduler.SYSTEMD: systemd.timer,
        Scheduler.CRON: cron.crontab,
        Scheduler.LAUNCHD: launchd.agent,
        Scheduler.KUBERNETES: kubernetes.cronjob,
    }
)


def units(kind: Scheduler, schedule: Schedule) -> Units:
    """Return the scheduler's units; raise ``ValueError`` for a path that they can't contain."""
    for text in (*schedule.run_command, str(schedule.folder), str(schedule.env_file)):
        if _UNWRITABLE.search(text):
            raise ValueError(f"{text!r} has a character that a schedule can't contain; rename it")
    return _MAKERS[kind](schedule)
