"""The exit codes of the commands, and their meanings."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of every command: see the README."""

    SUCCEEDED = 0
    FAILED = 1
    USAGE = 2
    LIMIT = 3
    TROUBLE = 4
    NEEDS_A_PERSON = 5
    TABLE_BUSY = 75
    INTERRUPTED = 130

    @property
    def words(self) -> str:
        """Return what it means, in a few words."""
        return _WORDS[self]


_WORDS = {
    ExitCode.SUCCEEDED: "everything succeeded",
    ExitCode.FAILED: "some jobs failed",
    ExitCode.USAGE: "wrong usage, manifest or configuration",
    ExitCode.LIMIT: "stopped by a limit, work remains",
    ExitCode.TROUBLE: "account or service trouble, work remains",
    ExitCode.NEEDS_A_PERSON: "needs a person",
    ExitCode.TABLE_BUSY: "another run uses the table",
    ExitCode.INTERRUPTED: "interrupted, resumable",
}
