"""`upload` and `download`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from domo_files_async.cli import running
from domo_files_async.cli.output import (
    binary_input,
    binary_output,
    complain,
    say,
    show,
    size_of,
    tracked,
)
from domo_files_async.cli.target import Json, Local, LocalUser, SurfaceChoice, Url, open_session
from domo_files_async.errors import DestinationError, DomoFilesError, InvalidArgumentError

__all__ = ("register",)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(upload)
    app.command()(download)


def upload(
    sources: Annotated[list[str], typer.Argument(help="Files; - is standard input.")],
    *,
    name: Annotated[str | None, typer.Option(help="The data file's name.")] = None,
    description: Annotated[str | None, typer.Option(help="Its description.")] = None,
    content_type: Annotated[str | None, typer.Option(help="By default guessed.")] = None,
    public: Annotated[
        bool | None,
        typer.Option(help="Whether all users of the instance may read it.", show_default=False),
    ] = None,
    revise: Annotated[
        int | None, typer.Option(help="Id of the data file that gets a new revision.")
    ] = None,
    part_size: Annotated[
        int | None, typer.Option(help="Bytes in a part; by default 16 MiB.")
    ] = None,
    verify: Annotated[
        str, typer.Option(help="parts, sha256 (compare the whole afterwards) or none.")
    ] = "parts",
    local: Local = None,
    user: LocalUser = "ada",
    url: Url = None,
    surface: SurfaceChoice = None,
    as_json: Json = False,
) -> None:
    """Upload files, in parallel parts where they are large."""
    if len(sources) > 1 and (name is not None or revise is not None):
        raise InvalidArgumentError("--name and --revise are for one file")
    options: dict[str, Any] = {
        "description": description,
        "content_type": content_type,
        "public": public,
        "data_file_id": revise,
        "part_size": part_size,
        "verify": verify,
    }

    piped = binary_input() if "-" in sources else None

    async def work() -> int:
        failed = 0
        async with open_session(local, user, url, surface) as domo:
            for source in sources:
                given: Any = piped if source == "-" else Path(source)
                is_nameless = source == "-" and name is None and revise is None
                called = "standard input" if is_nameless else name
                try:
                    with tracked(source, as_json=as_json) as progress:
                        result = await domo.upload(given, name=called, progress=progress, **options)
                except InvalidArgumentError:
                    raise
                except DomoFilesError as error:
                    failed += 1
                    said = str(error)
                    complain(said if said.startswith(f"{given} ") else f"{source}: {said}")
                    continue
                rate = size_of(result.size_bytes / max(result.elapsed, 1e-6))
                how = {0: "one request", 1: "1 part"}.get(result.parts, f"{result.parts} parts")
                show(
                    result,
                    as_json=as_json,
                    text=f"{result.name or source} is data file {result.data_file_id}: "
                    f"{size_of(result.size_bytes)} in {how}, {rate}/s",
                )
        return failed

    if running.run(work()):
        raise typer.Exit(1)


def download(
    data_file_id: Annotated[int, typer.Argument(help="The data file's id.")],
    destination: Annotated[
        str, typer.Argument(help="A file or a folder; - is standard output.")
    ] = ".",
    *,
    revision: Annotated[int | None, typer.Option(help="By default the current one.")] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace an existing file.")] = False,
    local: Local = None,
    user: LocalUser = "ada",
    url: Url = None,
    surface: SurfaceChoice = None,
    as_json: Json = False,
) -> None:
    """Download a data file; it appears complete and verified, or not at all."""
    out = binary_output() if destination == "-" else None
    if out is not None and as_json:
        raise InvalidArgumentError("Standard output takes the file or the JSON, not both")

    async def work() -> None:
        async with open_session(local, user, url, surface) as domo:
            with tracked(f"data file {data_file_id}", as_json=as_json) as progress:
                result = await domo.download(
                    data_file_id,
                    destination if out is None else out,
                    revision_id=revision,
                    overwrite=overwrite,
                    progress=progress,
                )
            rate = size_of(result.size_bytes / max(result.elapsed, 1e-6))
            where = result.path if out is None else f"data file {data_file_id}"
            text = f"{where}: {size_of(result.size_bytes)}, {rate}/s, verified"
            if out is not None:
                out.flush()
                say(text, as_json=True)
            else:
                show(result, as_json=as_json, text=text)

    try:
        running.run(work())
    except DestinationError as error:
        complain(str(error).replace("overwrite=True", "--overwrite"))
        raise typer.Exit(1) from None
