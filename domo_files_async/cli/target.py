"""Which instance a command works on: a real one, or an emulator kept in a folder."""

from __future__ import annotations

import sqlite3
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from domo_files_async.auth import AppSession, DeveloperToken
from domo_files_async.cli.credentials import FILE_VARIABLE, Settings, read_settings
from domo_files_async.cli.output import binary_output, complain
from domo_files_async.config import Surface
from domo_files_async.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from domo_files_async.auth import Auth
    from domo_files_async.emulator import Emulator
    from domo_files_async.session import DomoFilesSession

__all__ = (
    "Json",
    "Local",
    "LocalUser",
    "SurfaceChoice",
    "Url",
    "choose",
    "make_session",
    "open_emulator",
    "open_session",
)

Local = Annotated[
    Path | None,
    typer.Option(
        help="Work on an emulator kept in this folder, which is made if need be.",
        file_okay=False,
        show_default=False,
    ),
]
LocalUser = Annotated[str, typer.Option("--user", help="With --local: as which user.")]
Url = Annotated[
    str | None,
    typer.Option(help="The instance: its name, host or URL, in place of the environment's."),
]
SurfaceChoice = Annotated[
    Surface | None, typer.Option(help="Which way in; by default the credential's own.")
]


def _check_output(asked: bool) -> bool:
    if asked:
        binary_output()
    return asked


Json = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print results as NDJSON, and nothing else, on stdout.",
        callback=_check_output,
    ),
]


@asynccontextmanager
async def open_emulator(folder: Path | None, *, port: int = 0) -> AsyncIterator[Emulator]:
    """Open an emulator; a folder or a port that it can't have gets a sentence."""
    # It needs a web server's modules, which no other command waits for.
    from domo_files_async.emulator import Emulator  # noqa: PLC0415

    async with AsyncExitStack() as stack:
        try:
            emulator = await stack.enter_async_context(Emulator(folder, port=port))
        except (OSError, RuntimeError, sqlite3.Error) as error:
            where = f" in {folder}" if folder else ""
            complain(f"The emulator{where} can't be opened: {error}")
            raise typer.Exit(1) from None
        yield emulator


@asynccontextmanager
async def open_session(
    local: Path | None, user: str, url: str | None, surface: Surface | None
) -> AsyncIterator[DomoFilesSession]:
    """Open a session on what the options and the environment say."""
    if local is not None:
        if url is not None:
            raise InvalidArgumentError("Give --local or --url, not both")
        async with (
            open_emulator(local) as emulator,
            emulator.session(user, surface=surface) as session,
        ):
            yield session
        return
    async with make_session(url, surface) as session:
        yield session


def choose(
    settings: Settings, url: str | None, surface: Surface | None
) -> tuple[str, Auth, Surface]:
    """Choose the instance, the credential and the surface from options and settings.

    Raises:
        InvalidArgumentError: There is no instance, or no credential for it.
    """
    values = settings.values
    token, app_session = values.get("DOMO_ACCESS_TOKEN"), values.get("DOMO_APP_SESSION")
    instance, app_url = url or values.get("DOMO_INSTANCE"), url or values.get("DOMO_URL")
    is_app = surface is Surface.APP
    has_app = bool(app_session and app_url)
    if token and instance and not (is_app and (has_app or url is not None)):
        return instance, DeveloperToken(token), surface or Surface.PRODUCT
    if app_session and app_url:
        return app_url, AppSession(app_session), surface or Surface.APP
    if url is not None:
        raise InvalidArgumentError(
            "There is no credential for it in the environment: set DOMO_ACCESS_TOKEN, or "
            "DOMO_APP_SESSION for the app surface"
        )
    raise InvalidArgumentError(
        "No instance is named: set DOMO_INSTANCE and DOMO_ACCESS_TOKEN, or DOMO_URL and "
        f"DOMO_APP_SESSION, in the environment or in the file that {FILE_VARIABLE} names"
    )


def make_session(url: str | None, surface: Surface | None, **options: Any) -> DomoFilesSession:
    """Make a session on what the options and the settings say; *options* are its own."""
    # What moves bytes takes longer to import than help does to show.
    from domo_files_async.session import DomoFilesSession  # noqa: PLC0415

    instance, auth, chosen = choose(read_settings(), url, surface)
    return DomoFilesSession(instance, auth=auth, surface=chosen, **options)
