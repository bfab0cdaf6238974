"""The command line: arguments in, text and an exit code out. Nothing imports this package.

``main`` holds the group of commands, ``commands`` one module for each of them.
"""

from tweenbatch.cli.main import main

__all__ = ["main"]
