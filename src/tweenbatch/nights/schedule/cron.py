"""The lines of a crontab for a job file."""

from tweenbatch.nights.schedule.request import Schedule, Units
from tweenbatch.nights.schedule.shell_command import digest_unless_sent, night_in_shell


def crontab(schedule: Schedule) -> Units:
    """Return lines for a user's crontab."""
    for text in (*schedule.run_command, str(schedule.folder), str(schedule.env_file)):
        if "\\" in text:
            raise ValueError(f"kinds of cron differ in reading the backslash in {text}; rename it")
    night = f"{night_in_shell(schedule)}; {digest_unless_sent(schedule)}".replace("%", r"\%")
    zone = f"CRON_TZ={schedule.zone}\n" if schedule.zone else ""
    return Units(
        files={
            f"{schedule.name}.cron": f"""\
# tweenbatch: {schedule.jobfile.name}, every night. The @reboot line catches up a missed night; a
# second start only continues the same night.
{zone}{schedule.at.minute} {schedule.at.hour} * * * {night}
@reboot {night}
"""
        },
        install=(f"(crontab -l; cat {schedule.name}.cron) | crontab -",),
        warning="only cronie supports CRON_TZ; Debian's cron ignores it and starts at "
        f"{schedule.at:%H:%M} by this machine's clock"
        if schedule.zone
        else None,
    )
