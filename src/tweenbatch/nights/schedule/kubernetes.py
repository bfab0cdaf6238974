"""A CronJob, as Kubernetes reads it."""

import json
import re
import shlex

from tweenbatch.nights.schedule.request import BENIGN_EXITS, STOP_SECONDS, Schedule, Units
from tweenbatch.nights.schedule.shell_command import passing_a_stop_on

CATCH_UP_SECONDS = 12 * 3600
"""Kubernetes starts a night that was missed for so long."""


def cronjob(schedule: Schedule) -> Units:
    """Return a CronJob that works in a volume."""
    name = re.sub(r"[^a-z0-9-]+", "-", schedule.name.lower()).strip("-")
    if schedule.folder not in schedule.jobfile.parents:
        raise ValueError(
            f"{schedule.jobfile} is not below {schedule.folder}, which is all that a pod gets; "
            "call this from a folder that holds the whole project"
        )
    jobfile = schedule.jobfile.relative_to(schedule.folder).as_posix()
    cron = f"{schedule.at.minute} {schedule.at.hour} * * *"
    zone = f"\n  timeZone: {json.dumps(schedule.zone)}" if schedule.zone else ""
    # A text in JSON is one in YAML.
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
        else "Kubernetes goes by its own clock, which mostly shows UTC: for "
        f"{schedule.at:%H:%M} of another zone the job file needs window.timezone",
    )


def _night(jobfile: str) -> str:
    """Return the night as the first process of a container."""
    none = "|".join(map(str, BENIGN_EXITS))
    # To Kubernetes $(NAME) is a variable, and $$ a $.
    run = f"tweenbatch run {shlex.quote(jobfile.replace('$', '$$'))}"
    return (
        f"{passing_a_stop_on(run)}; code=$?; case $code in {none}) exit 0 ;; *) exit $code ;; esac"
    )
