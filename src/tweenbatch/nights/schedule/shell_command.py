"""Shell commands for a night: change the folder, load the key, run, send a dead run's digest."""

import shlex

from tweenbatch.nights.schedule.request import DIGEST_SENT, Schedule


def passing_a_stop_on(command: str) -> str:
    """Return a shell command that passes SIGTERM on to the command and returns its exit code."""
    return f"{command} & run=$!; trap 'kill $run; wait $run; exit $?' TERM; wait $run"


def night_in_shell(schedule: Schedule) -> str:
    """Return the shell command that changes the folder, loads the key and starts the run."""
    env = shlex.quote(str(schedule.env_file))
    return (
        f"cd {shlex.quote(str(schedule.folder))} || exit; "
        f"if [ -r {env} ]; then set -a; . {env}; set +a; fi; {shlex.join(schedule.run_command)}"
    )


def digest_unless_sent(schedule: Schedule) -> str:
    """Return the shell command that sends the digest of a run that died before it could."""
    sent = "|".join(map(str, DIGEST_SENT))
    return f"case $? in {sent}) ;; *) {shlex.join(schedule.digest_command)} ;; esac"
