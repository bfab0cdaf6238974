"""The CronJob for Kubernetes."""

import json
import re
import shlex

from tweenbatch.nights.schedule.request import BENIGN_EXITS, STOP_SECONDS, Schedule, Units
from tweenbatch.nights.schedule.shell_command import passing_a_stop_on

CATCH_UP_SECONDS = 12 * 3600
"""How late Kubernetes may still start a missed night."""


def cronjob(schedule: Schedule) -> Units:
    """Return a CronJob that works in a volume."""
    name = re.sub(r"[^a-z0-9-]+", "-", schedule.name.lower()).strip("-")
    if schedule.folder not in schedule.jobfile.parents:
        raise ValueError(
            f"{schedule.jobfile} is not in {schedule.folder}, the only folder that the pod gets; "
            "run this command in a folder that contains the whole project"
        )
    jobfile = schedule.jobfile.relative_to(schedule.folder).as_posix()
    cron = f"{schedule.at.minute} {schedule.at.hour} * * *"
    zone = f"\n  timeZone: {json.dumps(schedule.zone)}" if schedule.zone else ""
    # A JSON string is also a YAML string.
    return Units(
        files={
            f"{name}.yaml": f"""\
# tweenbatch: every night. The volume holds this folder: manifests, job table and videos.
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
      # A pod evicted from its node does not count as failed: a new pod continues the night.
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
              command: ["/bin/sh", "-c", {json.dumps(_night(jobfile))}]
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
        else f"Kubernetes starts at {schedule.at:%H:%M} by its own clock, usually UTC; for another "
        "zone set window.timezone in the job file",
    )


def _night(jobfile: str) -> str:
    """Return the container's shell command for a night."""
    none = "|".join(map(str, BENIGN_EXITS))
    # Kubernetes replaces $(NAME) by a variable and $$ by $.
    run = f"tweenbatch run {shlex.quote(jobfile.replace('$', '$$'))}"
    return (
        f"{passing_a_stop_on(run)}; code=$?; case $code in {none}) exit 0 ;; *) exit $code ;; esac"
    )
