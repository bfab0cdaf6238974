"""The group of commands, and how their errors become one line and an exit code.

Each command's module is loaded when the command is called, so that ``--help`` answers at once.
"""

import atexit
import gc
import importlib
import logging
import os
import sys

import click

from tweenbatch.cli import streams
from tweenbatch.exit_codes import ExitCode
from tweenbatch.printable import printable_line, printable_lines
from tweenbatch.version import __version__

COMMANDS = {
    "run": "Import manifests and run until nothing is left to do; without one: resume.",
    "pairs": "Make a manifest from key frames: each leads to the next.",
    "plan": "Validate manifests, compare them with the job table and show the cost.",
    "config": "Show a job file's effective settings and where each value comes from.",
    "schedule": "Print or write the units that start a job file every night.",
    "models": "List the models, and read their current schema and price from fal.",
    "status": "Show job counts, money and the jobs that need a person.",
    "runs": "List past runs, or show one run's results.",
    "digest": "Show, and send, the results of a job file's last run.",
    "show": "Show everything about one job.",
    "export": "Write one line for each manifest row: state, files, cost, error.",
    "verify": "Check that the clips are on disk, whole and unchanged.",
    "fetch": "Download paid clips that are missing here, at no cost.",
    "pause": "Pause new submissions, including in a run in progress.",
    "resume": "Allow new submissions again after a pause.",
    "retry": "Queue failed jobs again; the next run pays for them again.",
    "retake": "Queue another take of finished clips; the next run pays for it.",
    "cancel": "Cancel queued jobs and ask fal to stop running ones.",
    "resolve": "Manually resolve jobs whose outcome is unknown.",
    "backup": "Copy the job table, even while a run uses it.",
    "emulator": "Serve fal's API on this machine, for tests and rehearsals.",
}


class _Commands(click.Group):
    """The commands by name; each lives in the module of that name."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"tweenbatch.cli.commands.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 all succeeded, 1 some failed, 2 wrong usage or manifest, 3 stopped by "
    "a limit, 4 account or service trouble, 5 needs a person, 75 another run uses the table, "
    "130 interrupted.",
)
@click.version_option(__version__, prog_name="tweenbatch")
def tweenbatch() -> None:
    """Run many first-frame/last-frame video generations, each paid once."""


def exit_code(error: Exception) -> ExitCode:
    """Return the exit code for an error that the program raised on purpose."""
    from tweenbatch.errors import KeyRefused, TableBusy, TableFailed, TableOlder

    exits: dict[type[Exception], ExitCode] = {
        TableBusy: ExitCode.TABLE_BUSY,
        TableFailed: ExitCode.TROUBLE,
        TableOlder: ExitCode.NEEDS_A_PERSON,
        KeyRefused: ExitCode.TROUBLE,
    }
    return exits.get(type(error), ExitCode.USAGE)


def main() -> None:
    """Run the command line; show each ``TweenbatchError`` as one line and an exit code."""
    from tweenbatch.errors import JobFileError, ManifestError, TweenbatchError

    # Millions of rows form no reference cycles, but the collector scans them again and again:
    # that would be a third of the time of a large manifest.
    gc.set_threshold(50_000, 20, 100)
    # A collection at exit would take a sixth of the time of a short command.
    atexit.register(gc.freeze)
    streams.hold_standard_descriptors()
    streams.never_fail(streams.STDERR)
    logs = logging.StreamHandler()
    logs.setFormatter(streams.PlainFormatter(logging.BASIC_FORMAT))
    logging.basicConfig(level=logging.ERROR, handlers=[logs])
    # Only our own logger: at debug level the HTTP library logs headers.
    level_name = os.environ.get("TWEENBATCH_LOG", "").upper()
    level = logging.getLevelNamesMapping().get(level_name, logging.ERROR)
    logging.getLogger("tweenbatch").setLevel(level)
    logs.setLevel(level)  # a log file may hold more
    logs.addFilter(lambda record: not hasattr(record, "already_shown"))
    try:
        tweenbatch(prog_name="tweenbatch", standalone_mode=False)
    except click.exceptions.Exit as ended:
        sys.exit(ended.exit_code)
    except click.ClickException as error:
        error.show(streams.visible(sys.stderr))
        sys.exit(error.exit_code)
    except click.Abort:
        click.echo("interrupted; nothing was submitted", err=True)
        sys.exit(ExitCode.INTERRUPTED)
    except TweenbatchError as error:
        of_lines = isinstance(error, ManifestError | JobFileError)
        shown = (printable_lines if of_lines else printable_line)(str(error))
        from tweenbatch.logs import stderr_is_json

        if not stderr_is_json():  # otherwise the log has shown it already
            click.echo(f"tweenbatch: {shown}", err=True)
        sys.exit(exit_code(error))
    except BrokenPipeError:
        # The reader of our output has gone (| head): stay silent, even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
