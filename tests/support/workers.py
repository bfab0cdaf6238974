"""How many worker processes a run of pytest gets."""

from collections.abc import Sequence
from pathlib import Path

MANY = 4
"""Many tests wait for a server: more of them than cores run at one time."""

FEW_FILES = 3
"""Up to this many files end sooner than workers start."""


def workers_for(arguments: Sequence[str]) -> int:
    """Return 0 where a few test files, or tests in them, are named."""
    files = {argument.partition("::")[0] for argument in arguments}
    return 0 if len(files) <= FEW_FILES and all(Path(file).is_file() for file in files) else MANY
