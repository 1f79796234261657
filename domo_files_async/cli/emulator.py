"""`emulator`: the API on one's own machine, until it is interrupted."""

from __future__ import annotations

import asyncio
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import Annotated

import typer

from domo_files_async.cli.output import show
from domo_files_async.cli.running import run
from domo_files_async.cli.target import Json, open_emulator

__all__ = ("register",)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("emulator")(emulator)


def emulator(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Where files are kept; by default in memory.", file_okay=False),
    ] = None,
    *,
    port: Annotated[int, typer.Option(help="By default any that is free.", min=0, max=65535)] = 0,
    user: Annotated[list[str] | None, typer.Option(help="Users to name credentials of.")] = None,
    as_json: Json = False,
) -> None:
    """Serve the API on this machine only, until Ctrl-C."""

    async def serve() -> None:
        async with open_emulator(folder, port=port) as server:
            credentials = {name: server.credential(name) for name in user or ["ada"]}
            lines = [f"The emulator is at {server.url}; Ctrl-C ends it."]
            for name, credential in credentials.items():
                lines += [
                    f"As {name}:",
                    f"  DOMO_INSTANCE={server.url} DOMO_ACCESS_TOKEN={credential}",
                    f"  DOMO_URL={server.url} DOMO_APP_SESSION={credential}",
                ]
            lines.append(f"In your browser, for you only: {server.console_url}")
            show(
                {"url": server.url, "console": server.console_url, "credentials": credentials},
                as_json=as_json,
                text="\n".join(lines),
            )
            await asyncio.Event().wait()

    run(serve())
