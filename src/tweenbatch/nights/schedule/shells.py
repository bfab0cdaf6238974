"""What starts a shell: lines for a crontab, and an agent of macOS."""

import plistlib
import shlex

from tweenbatch.nights.schedule.request import STOP_SECONDS, TOLD_ITSELF, Schedule, Units


def crontab(schedule: Schedule) -> Units:
    """Return lines for the crontab of a person."""
    for text in (*schedule.runs, str(schedule.folder), str(schedule.env_file)):
        if "\\" in text:
            raise ValueError(f"no two kinds of cron read the backslash in {text} alike")
    night = f"{_in_shell(schedule)}; {_if_it_died(schedule)}".replace("%", r"\%")
    zone = f"CRON_TZ={schedule.zone}\n" if schedule.zone else ""
    return Units(
        files={
            f"{schedule.name}.cron": f"""\
# tweenbatch: {schedule.jobfile.name}, every night. A second start goes on with the same night, so
# that the line for @reboot, which catches a missed one up, does no harm.
{zone}{schedule.at.minute} {schedule.at.hour} * * * {night}
@reboot {night}
"""
        },
        install=(f"(crontab -l; cat {schedule.name}.cron) | crontab -",),
        warning="CRON_TZ is known to cronie; Debian's cron goes by this machine's clock and starts "
        f"at {schedule.at:%H:%M} by that"
        if schedule.zone
        else None,
    )


def agent(schedule: Schedule) -> Units:
    """Return an agent for the launchd of a person."""
    label = schedule.name
    night = f"{passing_a_stop_on(_in_shell(schedule))}; {_if_it_died(schedule)}"
    content = {
        "Label": label,
        "ProgramArguments": ["/bin/sh", "-c", night],
        "WorkingDirectory": str(schedule.folder),
        # By the machine's own clock; a night that a Mac slept through is started when it wakes.
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
        warning=f"launchd knows no time zones: it starts at {schedule.at:%H:%M} by this machine's "
        f"clock, not by that of {schedule.zone}"
        if schedule.zone
        else None,
    )


def passing_a_stop_on(command: str) -> str:
    """Return a command for a shell to which alone a stop comes; it ends as the command does."""
    return f"{command} & run=$!; trap 'kill $run; wait $run; exit $?' TERM; wait $run"


def _in_shell(schedule: Schedule) -> str:
    """Return the night as a shell has it: the folder, the key, the call."""
    env = shlex.quote(str(schedule.env_file))
    return (
        f"cd {shlex.quote(str(schedule.folder))} || exit; "
        f"if [ -r {env} ]; then set -a; . {env}; set +a; fi; {shlex.join(schedule.runs)}"
    )


def _if_it_died(schedule: Schedule) -> str:
    told = "|".join(map(str, TOLD_ITSELF))
    return f"case $? in {told}) ;; *) {shlex.join(schedule.tells)} ;; esac"
