"""``python -m tweenbatch``: the same command as ``tweenbatch``."""

from tweenbatch.cli import main

main()
