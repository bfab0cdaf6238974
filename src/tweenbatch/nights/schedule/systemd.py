"""The systemd units: a service, a service that sends a dead run's digest, and a timer."""

import re
from pathlib import Path

from tweenbatch.nights.schedule.request import (
    BENIGN_EXITS,
    DIGEST_SENT,
    STOP_SECONDS,
    Schedule,
    Units,
)


def timer(schedule: Schedule) -> Units:
    """Return units for a user's systemd."""
    name, zone = schedule.name, f" {schedule.zone}" if schedule.zone else ""
    if re.search(r"""["'$\\]""", schedule.program[0]):
        raise ValueError(
            f"systemd can't start {schedule.program[0]}: its path has a quote, a backslash or a $; "
            "install this program elsewhere"
        )
    # Both services use the same folder and key. A trailing slash makes systemd keep a space at the
    # end of a path.
    folder_and_key = (
        f"WorkingDirectory={_specifiers(str(schedule.folder))}/\n"
        f"EnvironmentFile=-{_specifiers(_pattern(schedule.env_file))}\n"
    )
    about = _specifiers(schedule.jobfile.name)
    sent = "|".join(map(str, DIGEST_SENT))
    return Units(
        files={
            f"{name}.service": f"""\
[Unit]
Description=tweenbatch: {about}
OnFailure={name}-failed.service

[Service]
Type=oneshot
{folder_and_key}ExecStart={_words(schedule.run_command)}
# The run's own limits end it.
TimeoutStartSec=infinity
# After the first signal the run finishes its submissions and downloads.
KillSignal=SIGINT
KillMode=mixed
TimeoutStopSec={STOP_SECONDS}
# A limit, another run using the table and a stop by a person are not failures.
SuccessExitStatus={" ".join(map(str, BENIGN_EXITS))}
""",
            f"{name}-failed.service": f"""\
[Unit]
Description=tweenbatch: send the digest of a run of {about} that died

[Service]
Type=oneshot
# Skip if the run already sent its digest. systemd before 251 can't check and may send it twice.
ExecCondition=/bin/sh -c 'case "$$MONITOR_EXIT_STATUS" in {sent}) exit 1 ;; esac'
{folder_and_key}ExecStart={_words(schedule.digest_command)}
""",
            f"{name}.timer": f"""\
[Unit]
Description=tweenbatch: {about}, every night

[Timer]
OnCalendar=*-*-* {schedule.at:%H:%M}:00{zone}
# A missed night is caught up.
Persistent=true

[Install]
WantedBy=timers.target
""",
        },
        install=(
            "mkdir -p ~/.config/systemd/user",
            f"cp {name}.service {name}-failed.service {name}.timer ~/.config/systemd/user/",
            f"systemctl --user daemon-reload && systemctl --user enable --now {name}.timer",
            "loginctl enable-linger  # it runs while nobody is logged in",
        ),
    )


def _specifiers(text: str) -> str:
    return text.replace("%", "%%")


def _pattern(path: Path) -> str:
    """Return a glob pattern that matches only this file."""
    return re.sub(r"([\\*?\[\]{}])", r"\\\1", str(path))


def _words(words: tuple[str, ...]) -> str:
    """Return a command line quoted for systemd."""

    def quoted(word: str) -> str:
        text = _specifiers(word).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
        return text if re.fullmatch(r"[\w./:@=+%$-]+", text) else f'"{text}"'

    return " ".join(map(quoted, words))
