"""`permissions`: who may do what with a data file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from domo_files_async.cli import running
from domo_files_async.cli.groups import add_group
from domo_files_async.cli.output import complain, say, show, show_table
from domo_files_async.cli.target import Json, Local, LocalUser, SurfaceChoice, Url, open_session
from domo_files_async.errors import InvalidArgumentError
from domo_files_async.models import Grant, PermissionEntry

if TYPE_CHECKING:
    from domo_files_async.models import Permissions

__all__ = ("register",)

Id = Annotated[int, typer.Argument(help="The data file's id.")]
Principals = Annotated[
    list[str],
    typer.Argument(help="Who: USER:1089963280, GROUP:7 or the like.", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    about = "Show and change who may do what with a data file."
    add_group(app, "permissions", about, show=show_permissions, grant=grant, revoke=revoke)


def show_permissions(
    data_file_id: Id,
    *,
    local: Local = None,
    user: LocalUser = "ada",
    url: Url = None,
    surface: SurfaceChoice = None,
    as_json: Json = False,
) -> None:
    """Show who may do what with a data file."""

    async def work() -> Permissions:
        async with open_session(local, user, url, surface) as domo:
            return await domo.get_permissions(data_file_id)

    _show(running.run(work()), as_json=as_json)


def grant(
    data_file_id: Id,
    principals: Principals,
    *,
    may: Annotated[
        str, typer.Option(help="Their rights, such as READ or READ_WRITE_DELETE_SHARE_ADMIN.")
    ] = "READ",
    local: Local = None,
    user: LocalUser = "ada",
    url: Url = None,
    surface: SurfaceChoice = None,
    as_json: Json = False,
) -> None:
    """Give rights on a data file, in place of those that they had."""
    rights = Grant.parse(may.upper())
    if not isinstance(rights, Grant):
        known = ", ".join(str(one) for one in Grant)
        raise InvalidArgumentError(f"--may {may} isn't of {known}, joined in this order by _")
    entries = [PermissionEntry(*_principal(one), rights) for one in principals]

    async def work() -> Permissions:
        async with open_session(local, user, url, surface) as domo:
            return await domo.grant_access(data_file_id, *entries)

    _show(running.run(work()), as_json=as_json)


def revoke(
    data_file_id: Id,
    principals: Principals,
    *,
    local: Local = None,
    user: LocalUser = "ada",
    url: Url = None,
    surface: SurfaceChoice = None,
    as_json: Json = False,
) -> None:
    """Take all rights on a data file away."""
    chosen = [_principal(one) for one in principals]

    async def work() -> tuple[Permissions, list[tuple[str, str]]]:
        async with open_session(local, user, url, surface) as domo:
            had = {one.principal for one in (await domo.get_permissions(data_file_id)).entries}
            left = await domo.revoke_access(data_file_id, *chosen)
            return left, [one for one in chosen if one not in had]

    left, strangers = running.run(work())
    _show(left, as_json=as_json)
    for kind, number in strangers:
        complain(f"{kind}:{number} had no entry")
    if strangers:
        raise typer.Exit(1)


def _principal(text: str) -> tuple[str, str]:
    kind, colon, number = text.partition(":")
    if not colon or not kind or not number:
        raise InvalidArgumentError(f"{text!r} doesn't say who: USER:1089963280, GROUP:7 and so on")
    return kind.upper(), number


def _show(permissions: Permissions, *, as_json: bool) -> None:
    if as_json:
        show(permissions, as_json=True, text="")
        return
    say("all users of the instance may read it" if permissions.public_access else "not public")
    show_table(
        "Grants",
        ("who", "may"),
        ((f"{one.entity_type}:{one.entity_id}", str(one.grant)) for one in permissions.entries),
    )
