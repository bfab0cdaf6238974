"""What a run reports while it goes on."""

from typing import Protocol

from tweenbatch.records import Job
from tweenbatch.states import State


class RunWatcher(Protocol):
    """Follows a run: a progress bar, a log."""

    def moved(self, job: Job, before: State) -> None:
        """Handle a job that went from ``before`` to ``job.state``; the table has it."""

    def model_log(self, job: Job, line: str) -> None:
        """Handle a line that the model logged about a job."""

    def notice(self, message: str) -> None:
        """Handle a message that a person should read now."""
