"""`rm`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from domo_files_async.cli import running
from domo_files_async.cli.output import complain, show
from domo_files_async.cli.target import Json, Local, LocalUser, SurfaceChoice, Url, open_session
from domo_files_async.errors import DomoFilesError, InvalidArgumentError

__all__ = ("register",)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("rm")(remove)


def remove(
    ids: Annotated[list[int], typer.Argument(help="The data files' ids.", show_default=False)],
    *,
    revision: Annotated[
        int | None, typer.Option(help="Only this revision; the one before becomes current.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    local: Local = None,
    user: LocalUser = "ada",
    url: Url = None,
    surface: SurfaceChoice = None,
    as_json: Json = False,
) -> None:
    """Delete data files, or one revision of one, for good."""
    if revision is not None and len(ids) > 1:
        raise InvalidArgumentError("--revision is for one data file")
    if not yes:
        _ask(ids, revision)

    async def work() -> int:
        failed = 0
        async with open_session(local, user, url, surface) as domo:
            for number in dict.fromkeys(ids):
                called = f"Data file {number}"
                try:
                    if revision is None:
                        await domo.delete_file(number)
                    else:
                        called = f"Revision {revision} of data file {number}"
                        await domo.delete_revision(number, revision)
                except InvalidArgumentError:
                    raise
                except DomoFilesError as error:
                    failed += 1
                    complain(f"{called} isn't deleted: {error}")
                    continue
                show(
                    {"data_file_id": number, "revision_id": revision, "deleted": True},
                    as_json=as_json,
                    text=f"{called} is deleted.",
                )
        return failed

    if running.run(work()):
        raise typer.Exit(1)


def _ask(ids: list[int], revision: int | None) -> None:
    # Both are `None` where they were closed.
    if sys.stderr is None or sys.stdin is None or not sys.stdin.isatty():
        raise InvalidArgumentError("Nobody is there to be asked: say --yes to delete for good")
    many = ", ".join(map(str, ids))
    what = f"revision {revision} of {many}" if revision else f"{many}, with all revisions,"
    # `typer.confirm` tells an interruption and an end of input as one, and writes on both outputs.
    try:
        sys.stderr.write(f"Delete {what} for good? [y/N]: ")
        sys.stderr.flush()
        answer = sys.stdin.readline()
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        raise running.interrupted() from None
    if answer.strip().lower() not in {"y", "yes"}:
        complain("Nothing is deleted.")
        raise typer.Exit(1)
