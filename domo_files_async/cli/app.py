"""`domo-files`: where the commands come together, and how they end.

Exit codes: 0 all done; 1 something failed; 2 wrong usage; 130 interrupted.
"""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from domo_files_async.cli.lazy import LazyGroup
from domo_files_async.errors import DomoFilesError, InvalidArgumentError
from domo_files_async.version import __version__

__all__ = ("app", "main")

_WRONG_USAGE = 2

app: typer.Typer = typer.Typer(
    name="domo-files",
    cls=LazyGroup,
    help="Move files to and from Domo, or an emulator of it on your own machine.\n\n"
    "The instance and its credential come from the environment: DOMO_INSTANCE and "
    "DOMO_ACCESS_TOKEN, or DOMO_URL and DOMO_APP_SESSION. With --local FOLDER a command works on "
    "an emulator that is kept in that folder.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _show_version(asked: bool) -> None:
    if asked:
        _say(f"domo-files {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _begin(
    context: typer.Context,
    *,
    version: Annotated[  # noqa: ARG001 - its callback did all
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding can't write is no reason to stop.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if context.invoked_subcommand is None:
        _say(context.get_help())
        raise typer.Exit(_WRONG_USAGE)


def _say(text: str) -> None:
    if sys.stdout is None:
        raise OSError("Standard output is closed: open it, or redirect it to a file")
    sys.stdout.write(f"{text}\n")


def _complain(error: Exception) -> None:
    # What shows it takes longer to import than most commands need for their help.
    from domo_files_async.cli.output import complain  # noqa: PLC0415

    complain(str(error))


def main() -> None:
    """Run the command line; a user's mistake gets a sentence, not a traceback."""
    try:
        app(prog_name="domo-files")
    except InvalidArgumentError as error:
        _complain(error)
        sys.exit(_WRONG_USAGE)
    except (DomoFilesError, OSError) as error:
        _complain(error)
        sys.exit(1)
