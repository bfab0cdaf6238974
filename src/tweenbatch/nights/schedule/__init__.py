"""What starts a job file every night: systemd, cron, Kubernetes or launchd, as text to install.

It installs nothing. All units know how a run stops: the first signal lets it finish what it sends
or downloads.
"""

from tweenbatch.nights.schedule.request import Schedule, Units
from tweenbatch.nights.schedule.units import Scheduler, units

__all__ = ["Schedule", "Scheduler", "Units", "units"]
