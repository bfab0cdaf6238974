"""Lines for a crontab."""

from tweenbatch.nights.schedule.request import Schedule, Units
from tweenbatch.nights.schedule.shell_command import digest_unless_sent, night_in_shell


def crontab(schedule: Schedule) -> Units:
    """Return lines for the crontab of a person."""
    for text in (*schedule.runs, str(schedule.folder), str(schedule.env_file)):
        if "\\" in text:
            raise ValueError(f"no two kinds of cron read the backslash in {text} alike")
    night = f"{night_in_shell(schedule)}; {digest_unless_sent(schedule)}".replace("%", r"\%")
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
