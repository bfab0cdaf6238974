"""The agent for launchd, the service manager of macOS."""

import plistlib

from tweenbatch.nights.schedule.request import STOP_SECONDS, Schedule, Units
from tweenbatch.nights.schedule.shell_command import (
    digest_unless_sent,
    night_in_shell,
    passing_a_stop_on,
)


def agent(schedule: Schedule) -> Units:
    """Return an agent for a user's launchd."""
    label = schedule.name
    night = f"{passing_a_stop_on(night_in_shell(schedule))}; {digest_unless_sent(schedule)}"
    content = {
        "Label": label,
        "ProgramArguments": ["/bin/sh", "-c", night],
        "WorkingDirectory": str(schedule.folder),
        # By the machine's clock; a Mac that was asleep starts the missed night when it wakes.
        "StartCalendarInterval": {"Hour": schedule.at.hour, "Minute": schedule.at.minute},
        "ExitTimeOut": STOP_SECONDS,
        "StandardOutPath": str(schedule.folder / f"{label}.log"),
        "StandardErrorPath": str(schedule.folder / f"{label}.log"),
    }
    return Units(
        files={f"{label}.plist": plistlib.dumps(content).decode()},
        install=(
            "mkdir -p ~/Library/LaunchAgents",
            f"cp {label}.plist ~/Library/LaunchAgents/",
            f"launchctl bootstrap gui/$(id -u) ~/Library/LaunchAgents/{label}.plist",
        ),
        warning=f"launchd ignores time zones: it starts at {schedule.at:%H:%M} by this machine's "
        f"clock, not in {schedule.zone}"
        if schedule.zone
        else None,
    )
