"""`ls` and `show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from domo_files_async.cli import running
from domo_files_async.cli.output import complain, say, show, show_table, size_of
from domo_files_async.cli.target import Json, Local, LocalUser, SurfaceChoice, Url, open_session

if TYPE_CHECKING:
    from datetime import datetime

    from domo_files_async.models import DataFile, Permissions

__all__ = ("register",)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("ls")(list_files)
    app.command("show")(show_file)


def list_files(
    ids: Annotated[
        list[int] | None, typer.Argument(help="Only these data files.", show_default=False)
    ] = None,
    *,
    owned: Annotated[bool, typer.Option(help="Only those that you uploaded.")] = False,
    local: Local = None,
    user: LocalUser = "ada",
    url: Url = None,
    surface: SurfaceChoice = None,
    as_json: Json = False,
) -> None:
    """List data files."""

    async def work() -> list[DataFile]:
        async with open_session(local, user, url, surface) as domo:
            return await domo.list_files(ids=ids or None, limit_to_owned=owned)

    files = running.run(work())
    found = {file.data_file_id for file in files}
    missing = [one for one in dict.fromkeys(ids or ()) if one not in found]
    if as_json:
        for file in files:
            show(file, as_json=True, text="")
    elif files:
        show_table("", ("id", "name", "size", "type", "uploaded", "scan"), map(_row, files))
    elif not missing:
        say("There are no data files here yet.")
    for one in missing:
        complain(f"Data file {one} doesn't exist, or this credential can't see it")
    if missing:
        raise typer.Exit(1)


def show_file(
    data_file_id: Annotated[int, typer.Argument(help="The data file's id.")],
    *,
    local: Local = None,
    user: LocalUser = "ada",
    url: Url = None,
    surface: SurfaceChoice = None,
    as_json: Json = False,
) -> None:
    """Show one data file: its details, its revisions, and who may do what with it."""

    async def work() -> tuple[DataFile, Permissions]:
        async with open_session(local, user, url, surface) as domo:
            file = await domo.get_file(data_file_id, expand=("revisions", "metadata"))
            return file, await domo.get_permissions(data_file_id)

    file, permissions = running.run(work())
    if as_json:
        show({"file": file, "permissions": permissions}, as_json=True, text="")
        return
    say(f"{file.name} (data file {file.data_file_id})")
    if file.metadata is not None and file.metadata.description:
        say(file.metadata.description)
    say("all users of the instance may read it" if permissions.public_access else "not public")
    show_table(
        "Revisions",
        ("id", "size", "type", "uploaded", "SHA-256"),
        (
            (
                str(one.data_file_revision_id),
                size_of(one.size_bytes or 0),
                one.content_type or "",
                _when(one.datetime_uploaded),
                (one.sha256_hash_value or "").lower(),
            )
            for one in file.revisions
        ),
    )
    show_table(
        "Grants",
        ("who", "may"),
        ((f"{e.entity_type} {e.entity_id}", str(e.grant)) for e in permissions.entries),
    )


def _row(file: DataFile) -> tuple[str, ...]:
    now = file.current_revision
    return (
        str(file.data_file_id),
        file.name,
        size_of(now.size_bytes or 0) if now else "",
        (now.content_type or "") if now else "",
        _when(now.datetime_uploaded if now else None),
        (now.scan_state or "") if now else "",
    )


def _when(at: datetime | None) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S") if at else ""
