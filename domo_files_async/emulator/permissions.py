"""Who may do what with a data file: found, asked and changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domo_files_async.emulator.rules import ALL_RIGHTS, Refusal, may, read_permissions

if TYPE_CHECKING:
    from aiohttp import web

    from domo_files_async.emulator.exchange import Exchange
    from domo_files_async.emulator.store import DataFile

__all__ = (
    "find_by_id",
    "find_file",
    "get_permissions",
    "has_right",
    "owner_entry",
    "update_permissions",
)


def owner_entry(user_id: int) -> dict[str, str]:
    """Give the entry that a file's owner has."""
    return {
        "entityType": "USER",
        "entityId": str(user_id),
        "grant": ALL_RIGHTS,
        "pass": "NONE",
    }


def has_right(exchange: Exchange, file: DataFile, right: str) -> bool:
    """Say whether the caller has a right on a data file."""
    return may(
        exchange.user.id,
        right,
        public=file.public,
        owner_id=file.owner,
        entries=file.entries,
    )


def find_file(exchange: Exchange, right: str, parameter: str = "file_id") -> DataFile:
    """Give the data file that the path names, if the caller has the right."""
    return find_by_id(exchange, exchange.id_of(parameter), right)


def find_by_id(exchange: Exchange, file_id: int, right: str) -> DataFile:
    """Give a data file, if the caller has the right; one that can't be read isn't there."""
    file = exchange.store.files.get(file_id)
    if file is None or not has_right(exchange, file, "READ"):
        raise Refusal(404, f"There is no data file {file_id}.")
    if not has_right(exchange, file, right):
        raise Refusal(403, f"You have no right to {right} data file {file_id}.")
    return file


async def get_permissions(exchange: Exchange) -> web.StreamResponse:
    """Answer a data file's permissions."""
    file = find_file(exchange, "READ")
    return exchange.reply({"publicAccess": file.public, "entries": file.entries})


async def update_permissions(exchange: Exchange) -> web.StreamResponse:
    """Change a data file's permissions."""
    find_file(exchange, "SHARE")
    public, entries = read_permissions(await exchange.json())
    # While the body came, the data file may have gone, or the right.
    file = find_file(exchange, "SHARE")
    file.public, file.entries = public, entries
    await exchange.store.save(file)
    return exchange.reply({"success": True})
