"""What starts a job file every night: units for systemd, cron, Kubernetes and launchd, as text.

They say what this program does when it is asked to stop: the first signal winds a run up, which
takes as long as what is being sent or fetched. Nothing is installed here.
"""

import json
import plistlib
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import time
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

STOP_SECONDS = 300
"""A submission ends within a minute; what is being fetched has the rest."""

LONGEST_NAME = 52
"""Of a CronJob."""

CATCH_UP_SECONDS = 12 * 3600
"""Kubernetes starts a night that was missed for so long."""

NO_FAILURE = (3, 75, 130)
"""Exit codes that need nobody: a limit, another run that has the table, a stop."""

TOLD_ITSELF = tuple(sorted({0, 2, 4, 5, *NO_FAILURE}))
"""With one of these a run has sent its digest itself; with any other it may have died.

With 1 it ends where jobs failed, and where Python broke off; who was told is not told again.
"""


_UNWRITABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
"""What ends a line somewhere, or is no text in UTF-8, YAML or XML."""


class Kind(StrEnum):
    """Who starts it."""

    SYSTEMD = "systemd"
    CRON = "cron"
    KUBERNETES = "kubernetes"
    LAUNCHD = "launchd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A job file and when to start it; paths are absolute, ``program`` is how it is called."""

    jobfile: Path
    folder: Path
    program: tuple[str, ...]
    env_file: Path
    at: time
    zone: str | None = None
    """None: the machine's own."""
    image: str = "tweenbatch:latest"

    @property
    def name(self) -> str:
        """The name of its units."""
        stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", self.jobfile.stem).strip("-.")
        return f"tweenbatch-{stem or 'job'}"[:LONGEST_NAME].rstrip("-.")

    @property
    def runs(self) -> tuple[str, ...]:
        """What is called."""
        return (*self.program, "run", str(self.jobfile))

    @property
    def tells(self) -> tuple[str, ...]:
        """What is called when it died."""
        return (*self.program, "digest", "--last", str(self.jobfile))


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """Files by their names, what installs them in their folder, and what they can't do."""

    files: Mapping[str, str]
    install: tuple[str, ...]
    warning: str | None = None


def units(kind: Kind, schedule: Schedule) -> Units:
    """Return what starts it; raise ``ValueError`` for a path that can't be written there."""
    for text in (*schedule.runs, str(schedule.folder), str(schedule.env_file)):
        if _UNWRITABLE.search(text):
            raise ValueError(f"{text!r} has a character that no schedule can hold")
    return _MAKERS[kind](schedule)


def _systemd(schedule: Schedule) -> Units:
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
SuccessExitStatus={" ".join(map(str, NO_FAILURE))}
""",
            f"{name}-failed.service": f"""\
[Unit]
Description=tweenbatch: tell of a run of {about} that died

[Service]
Type=oneshot
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


def _cron(schedule: Schedule) -> Units:
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


def _launchd(schedule: Schedule) -> Units:
    label = schedule.name
    # A stop comes to the shell alone, which passes it on.
    night = (
        f"{_in_shell(schedule)} & run=$!; trap 'kill $run; wait $run; exit $?' TERM; wait $run; "
        f"{_if_it_died(schedule)}"
    )
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


def _kubernetes(schedule: Schedule) -> Units:
    name = re.sub(r"[^a-z0-9-]+", "-", schedule.name.lower()).strip("-")
    if schedule.folder not in schedule.jobfile.parents:
        raise ValueError(
            f"{schedule.jobfile} is not below {schedule.folder}, which is all that a pod gets; "
            "call this from a folder that holds the whole project"
        )
    # A $ stands for a variable unless it is doubled.
    jobfile = schedule.jobfile.relative_to(schedule.folder).as_posix().replace("$", "$$")
    cron = f"{schedule.at.minute} {schedule.at.hour} * * *"
    zone = f"\n  timeZone: {json.dumps(schedule.zone)}" if schedule.zone else ""
    # A text in JSON is one in YAML.
    return Units(
        files={
            f"{name}.yaml": f"""\
# tweenbatch: every night. The volume holds this folder: manifests, job table and videos. A limit
# (exit code 3) and another run that has the table (75) show as failed here, and need nobody.
apiVersion: batch/v1
kind: CronJob
metadata:
  name: {name}
spec:
  schedule: "{cron}"{zone}
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: {CATCH_UP_SECONDS}
  jobTemplate:
    spec:
      backoffLimit: 0
      # A pod that has to leave its node is no failure: another goes on with the night.
      podFailurePolicy:
        rules:
          - action: Ignore
            onPodConditions:
              - type: DisruptionTarget
      template:
        spec:
          restartPolicy: Never
          terminationGracePeriodSeconds: {STOP_SECONDS}
          containers:
            - name: tweenbatch
              image: {json.dumps(schedule.image)}
              workingDir: /work
              command: ["tweenbatch", "run", {json.dumps(jobfile)}]
              envFrom:
                - secretRef:
                    name: tweenbatch
              volumeMounts:
                - name: work
                  mountPath: /work
          volumes:
            - name: work
              persistentVolumeClaim:
                claimName: tweenbatch
"""
        },
        install=(
            "kubectl create secret generic tweenbatch --from-env-file="
            + shlex.quote(str(schedule.env_file)),
            f"kubectl apply -f {name}.yaml",
        ),
        warning=None
        if schedule.zone
        else "Kubernetes goes by its own clock, which mostly shows UTC: for "
        f"{schedule.at:%H:%M} of another zone the job file needs window.timezone",
    )


_MAKERS: Mapping[Kind, Callable[[Schedule], Units]] = MappingProxyType(
    {
        Kind.SYSTEMD: _systemd,
        Kind.CRON: _cron,
        Kind.LAUNCHD: _launchd,
        Kind.KUBERNETES: _kubernetes,
    }
)


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
