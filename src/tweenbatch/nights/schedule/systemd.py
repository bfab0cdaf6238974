"""A service, what tells of its failure, and a timer, as systemd reads them."""

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
    """Return units for the systemd of a person."""
    name, zone = schedule.name, f" {schedule.zone}" if schedule.zone else ""
    if re.search(r"""["'$\\]""", schedule.program[0]):
        raise ValueError(
            f"systemd starts nothing that has a quote, a backslash or a $ in its path, as "
            f"{schedule.program[0]} has; install this program elsewhere"
        )
    # Both in one folder, and with the same key. Where a path ends in a slash, systemd keeps what
    # is before it, also a blank.
    place = (
        f"WorkingDirectory={_specifiers(str(schedule.folder))}/\n"
        f"EnvironmentFile=-{_specifiers(_pattern(schedule.env_file))}\n"
    )
    about = _specifiers(schedule.jobfile.name)
    told = "|".join(map(str, DIGEST_SENT))
    return Units(
        files={
            f"{name}.service": f"""\
[Unit]
Description=tweenbatch: {about}
OnFailure={name}-failed.service

[Service]
Type=oneshot
{place}ExecStart={_words(schedule.runs)}
# A run takes as long as it takes; its own limits end it.
TimeoutStartSec=infinity
# The first signal winds it up: what is being sent or fetched is finished.
KillSignal=SIGINT
KillMode=mixed
TimeoutStopSec={STOP_SECONDS}
# Stopped by a limit, another run has the table, stopped by somebody: no failures.
SuccessExitStatus={" ".join(map(str, BENIGN_EXITS))}
""",
            f"{name}-failed.service": f"""\
[Unit]
Description=tweenbatch: tell of a run of {about} that died

[Service]
Type=oneshot
# Of what it could say itself the run has told; systemd before 251 does not know, and asks again.
ExecCondition=/bin/sh -c 'case "$$MONITOR_EXIT_STATUS" in {told}) exit 1 ;; esac'
{place}ExecStart={_words(schedule.tells)}
""",
            f"{name}.timer": f"""\
[Unit]
Description=tweenbatch: {about}, every night

[Timer]
OnCalendar=*-*-* {schedule.at:%H:%M}:00{zone}
# A night that was missed is caught up.
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
    """Return a pattern that stands for one file."""
    return re.sub(r"([\\*?\[\]{}])", r"\\\1", str(path))


def _words(words: tuple[str, ...]) -> str:
    """Return a command line as systemd reads it."""

    def quoted(word: str) -> str:
        text = _specifiers(word).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
        return text if re.fullmatch(r"[\w./:@=+%$-]+", text) else f'"{text}"'

    return " ".join(map(quoted, words))
