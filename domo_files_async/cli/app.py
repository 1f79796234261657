"""`domo-files`: where the commands come together, and how they end.

Exit codes: 0 all done; 1 something failed; 2 wrong usage; 130 interrupted.
"""

from __future__ import annotations

import sys

import typer

from domo_files_async.cli import demo, emulator, files, transfers
from domo_files_async.cli.output import complain
from domo_files_async.errors import DomoFilesError, InvalidArgumentError

__all__ = ("app", "main")

app = typer.Typer(
    name="domo-files",
    help="Move files to and from Domo, or an emulator of it on your own machine.\n\n"
    "The instance and its credential come from the environment: DOMO_INSTANCE and "
    "DOMO_ACCESS_TOKEN, or DOMO_URL and DOMO_APP_SESSION. With --local FOLDER a command works on "
    "an emulator that is kept in that folder.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for group in (demo, transfers, files, emulator):
    group.register(app)


def main() -> None:
    """Run the command line; a user's mistake gets a sentence, not a traceback."""
    try:
        app()
    except InvalidArgumentError as error:
        complain(str(error))
        sys.exit(2)
    except DomoFilesError as error:
        complain(str(error))
        sys.exit(1)
