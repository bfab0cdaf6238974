"""A night as a command for a shell: the folder, the key, the run, and the digest if it died."""

import shlex

from tweenbatch.nights.schedule.request import DIGEST_SENT, Schedule


def passing_a_stop_on(command: str) -> str:
    """Return a command for a shell to which alone a stop comes; it ends as the command does."""
    return f"{command} & run=$!; trap 'kill $run; wait $run; exit $?' TERM; wait $run"


def night_in_shell(schedule: Schedule) -> str:
    """Return the night as a shell has it: the folder, the key, the call."""
    env = shlex.quote(str(schedule.env_file))
    return (
        f"cd {shlex.quote(str(schedule.folder))} || exit; "
        f"if [ -r {env} ]; then set -a; . {env}; set +a; fi; {shlex.join(schedule.runs)}"
    )


def digest_unless_sent(schedule: Schedule) -> str:
    """Return what sends the digest of a run that died before it could."""
    sent = "|".join(map(str, DIGEST_SENT))
    return f"case $? in {sent}) ;; *) {shlex.join(schedule.tells)} ;; esac"
