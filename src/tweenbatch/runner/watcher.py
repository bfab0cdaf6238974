"""The events that a run reports."""

from typing import Protocol

from tweenbatch.records import Job
from tweenbatch.states import State


class RunWatcher(Protocol):
    """Follows a run, as a progress bar or a log does."""

    def moved(self, job: Job, before: State) -> None:
        """Handle a job that changed from ``before`` to ``job.state``, as recorded in the table."""

    def model_log(self, job: Job, line: str) -> None:
        """Handle a line that the model logged about a job."""

    def notice(self, message: str) -> None:
        """Handle a message that a person should read now."""
