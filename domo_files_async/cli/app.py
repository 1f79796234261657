"""`domo-files`: where the commands come together, and how they end.

Exit codes: 0 all done; 1 something failed; 2 wrong usage; 130 interrupted.
"""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from domo_files_async.cli import demo, emulator, files, transfers
from domo_files_async.cli.output import complain, say
from domo_files_async.errors import DomoFilesError, InvalidArgumentError
from domo_files_async.version import __version__

__all__ = ("app", "main")

_WRONG_USAGE = 2

app = typer.Typer(
    name="domo-files",
    help="Move files to and from Domo, or an emulator of it on your own machine.\n\n"
    "The instance and its credential come from the environment: DOMO_INSTANCE and "
    "DOMO_ACCESS_TOKEN, or DOMO_URL and DOMO_APP_SESSION. With --local FOLDER a command works on "
    "an emulator that is kept in that folder.",
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(asked: bool) -> None:
    if asked:
        say(f"domo-files {__version__}")
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
        # With rich it is printed already, and the text is empty.
        if text := context.get_help().strip():
            say(text)
        raise typer.Exit(_WRONG_USAGE)


for group in (demo, transfers, files, emulator):
    group.register(app)


def main() -> None:
    """Run the command line; a user's mistake gets a sentence, not a traceback."""
    try:
        app(prog_name="domo-files")
    except InvalidArgumentError as error:
        complain(str(error))
        sys.exit(_WRONG_USAGE)
    except (DomoFilesError, OSError) as error:
        complain(str(error))
        sys.exit(1)
