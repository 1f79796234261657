"""Sees that what the server stored is what was asked for: its access, its size and its digest."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from domo_files_async.engine.outcomes import list_revisions
from domo_files_async.engine.shared import ABORT_WITHIN
from domo_files_async.errors import (
    AccessNotSetError,
    ChecksumMismatchError,
    DomoFilesError,
    NotFoundError,
)
from domo_files_async.planning.outcome import look_delays
from domo_files_async.protocol import requests

if TYPE_CHECKING:
    from domo_files_async.engine.shared import Shared
    from domo_files_async.models import Revision

__all__ = ("check_stored", "set_access", "uncompared")


async def set_access(
    shared: Shared, data_file_id: int, revision_id: int | None, *, public: bool
) -> None:
    """Make a data file public or private, whichever was asked; when cancelled, finish it first.

    Raises:
        AccessNotSetError: The data file is there, but its access isn't what was asked for.
    """
    setting = shared.owned.start(_set_access(shared, data_file_id, public=public))
    try:
        await asyncio.shield(setting)
    except asyncio.CancelledError:
        # A new file may be public by the server's default: nobody asked for that.
        await asyncio.wait({setting}, timeout=ABORT_WITHIN)
        if setting.done() and not setting.cancelled():
            setting.exception()
        raise
    except DomoFilesError as error:
        raise AccessNotSetError(
            data_file_id=data_file_id, revision_id=revision_id, public=public, cause=error
        ) from error


async def _set_access(shared: Shared, data_file_id: int, *, public: bool) -> None:
    permissions = await shared.attempts.send(requests.get_permissions(shared.rules, data_file_id))
    if permissions.public_access != public:
        changed = permissions.with_public_access(public)
        await shared.attempts.send(requests.update_permissions(shared.rules, data_file_id, changed))


async def check_stored(
    shared: Shared, data_file_id: int, revision_id: int | None, *, size: int, sha256: str
) -> int:
    """Compare size and SHA-256 with what the server says it stored; its answers may lag.

    Returns:
        The revision's id.

    Raises:
        ChecksumMismatchError: They differ, or the server can't be asked, or doesn't say them.
    """
    stored: Revision | None = None
    for delay in look_delays(shared.retry):
        await asyncio.sleep(delay)
        try:
            revisions = await list_revisions(shared, data_file_id)
        except NotFoundError:
            continue
        except DomoFilesError as error:
            raise ChecksumMismatchError(
                f"Data file {data_file_id} was uploaded, but wasn't compared with what the server "
                f"stored: {error}. Don't upload it again: compare it later",
                expected=sha256,
                data_file_id=data_file_id,
                revision_id=revision_id,
            ) from error
        stored = _chosen(revisions, revision_id)
        if stored is not None and stored.sha256_hash_value is not None:
            break
    found = None if stored is None else stored.sha256_hash_value
    if stored is None or found is None:
        raise ChecksumMismatchError(
            f"Data file {data_file_id} was uploaded, but the server doesn't say the SHA-256 of "
            "what it stored, so it couldn't be verified: compare it later",
            expected=sha256,
            data_file_id=data_file_id,
            revision_id=revision_id,
        )
    number = stored.data_file_revision_id
    if found.lower() != sha256 or stored.size_bytes not in {None, size}:
        raise ChecksumMismatchError(
            f"Data file {data_file_id} was uploaded, but the server stored other bytes in "
            f"revision {number}: {stored.size_bytes} bytes with SHA-256 {found.lower()} instead "
            f"of {size} with {sha256}. Delete that revision and upload again",
            expected=sha256,
            actual=found.lower(),
            data_file_id=data_file_id,
            revision_id=number,
        )
    return number


def uncompared(data_file_id: int, revision_id: int | None) -> ChecksumMismatchError:
    """Give the error of a source that changed once it was stored, before it was compared."""
    return ChecksumMismatchError(
        f"Data file {data_file_id} was uploaded, but its source changed or can't be read any more, "
        "so it couldn't be verified: look at what is there before you upload it again",
        data_file_id=data_file_id,
        revision_id=revision_id,
    )


def _chosen(revisions: list[Revision], revision_id: int | None) -> Revision | None:
    if revision_id is None:
        # Of a new data file the first revision is ours, whoever added others since.
        return min(revisions, key=lambda one: one.data_file_revision_id, default=None)
    return next((one for one in revisions if one.data_file_revision_id == revision_id), None)
