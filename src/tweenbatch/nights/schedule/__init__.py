"""The text of units that start a job file every night: systemd, cron, Kubernetes or launchd.

It installs nothing. All units give a stopped run time to finish its submissions and downloads.
"""

from tweenbatch.nights.schedule.request import Schedule, Units
from tweenbatch.nights.schedule.units import Scheduler, units

__all__ = ["Schedule", "Scheduler", "Units", "units"]
