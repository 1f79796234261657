"""Carries one item of this machine, or of a URL, to its data file; the journal is its caller's.

Rule 1: an item is told to be started, with what it would leave, before its first byte is sent.
Rule 2: what was made is told before its access is touched.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from domo_files_async.bulk.items import fingerprint_of, measured, own_name
from domo_files_async.bulk.journal import LARGE
from domo_files_async.bulk.urls import open_url
from domo_files_async.engine.source import guess_type
from domo_files_async.errors import AccessNotSetError, DomoFilesError, SourceError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from concurrent.futures import Executor

    from domo_files_async.bulk.items import Item
    from domo_files_async.engine.journal import UploadJournal
    from domo_files_async.session import DomoFilesSession

__all__ = ("Carrier", "Flight", "Made", "Teller", "carry", "goes_in_parts", "set_access")

_HELD = 256 * 1024
"""Bytes up to which a file is read at once, and sent from memory."""
_STEP = 1024 * 1024


@attrs.frozen(kw_only=True)
class Flight:
    """What is about to be sent, and would be left on the server.

    Attributes:
        name: The data file's; `None` where it keeps the one that it has.
        size: Bytes, where known.
        sha256: Of them, where known.
        fingerprint: Of the source as it is now.
        target: The data file that gets a revision; `None` for a new one.
        revision: The other instance's revision that is sent, if it is one.
    """

    name: str | None
    size: int | None
    sha256: str | None
    fingerprint: str | None
    target: int | None
    revision: int | None = None


@attrs.frozen(kw_only=True)
class Made:
    """What was made of an item."""

    data_file_id: int
    revision_id: int | None
    size: int
    sha256: str | None
    attempts: int


class Teller(Protocol):
    """Who keeps the journal: returns when what it was told is kept."""

    async def started(self, flight: Flight) -> None:
        """Keep that an item is about to be sent."""

    async def made(self, made: Made) -> None:
        """Keep that it is there, but for its access."""


class Carrier(Protocol):
    """Who sends items in place of this process.

    Attributes:
        held: Keys of items that may still be sent, however late: they are never sent again.
    """

    held: set[str]

    async def carry(
        self,
        domo: DomoFilesSession,
        item: Item,
        target: int | None,
        tell: Teller,
        *,
        threads: Executor,
        uploads: UploadJournal | None,
    ) -> Made:
        """Send an item and set its access; see `carry`."""
        ...


@attrs.frozen
class _Loaded:
    size: int | None
    fingerprint: str | None
    sha256: str | None
    data: bytes | None


async def carry(
    domo: DomoFilesSession,
    item: Item,
    target: int | None,
    tell: Teller,
    *,
    threads: Executor,
    uploads: UploadJournal | None,
) -> Made:
    """Send an item and set its access.

    Args:
        domo: Where to.
        item: What.
        target: The data file that gets a revision; `None` for a new one.
        tell: Keeps the journal.
        threads: Read and hash small files.
        uploads: Lets the upload of a large one go on after the process died; `None` for no such.

    Raises:
        DomoFilesError: It failed, or its outcome can't be known.
    """
    name = item.name
    if name is None and target is None:
        name = own_name(item.source)
    content_type = item.content_type or guess_type(name or item.source)
    source: Any
    streamed = journal = None
    if item.is_url:
        loaded = _Loaded(item.size, item.fingerprint, None, None)
        streamed = hashlib.sha256()
        source = _hashed(open_url(item.source), streamed)
    else:
        loop = asyncio.get_running_loop()
        loaded = await loop.run_in_executor(threads, _load, item.source)
        source = item.source if loaded.data is None else loaded.data
        if goes_in_parts(domo, loaded.size):
            journal = uploads
    flight = Flight(
        name=name if target is None else None,
        size=loaded.size,
        sha256=loaded.sha256,
        fingerprint=loaded.fingerprint,
        target=target,
    )
    await tell.started(flight)
    try:
        result = await domo.upload(
            source,
            name=name if target is None else item.name,
            description=item.description,
            public=item.public if target is not None else bool(item.public),
            content_type=content_type,
            data_file_id=target,
            journal=journal,
        )
    except AccessNotSetError as error:
        # It is there: trying again sets its access, and sends nothing.
        await tell.made(
            Made(
                data_file_id=error.data_file_id,
                revision_id=error.revision_id,
                size=loaded.size or 0,
                sha256=loaded.sha256,
                attempts=1,
            )
        )
        raise
    sha256 = loaded.sha256 if streamed is None else streamed.hexdigest()
    is_hashed_apart = loaded.sha256 is not None and loaded.data is None
    if is_hashed_apart and await _has_changed(item, loaded, threads):
        # What was sent was read after what was hashed.
        sha256 = None
    made = Made(
        data_file_id=result.data_file_id,
        revision_id=result.revision_id,
        size=result.size_bytes,
        sha256=sha256,
        attempts=result.attempts,
    )
    if item.grants:
        await tell.made(made)
        await set_access(domo, item, made.data_file_id, is_new=False)
    return made


async def _has_changed(item: Item, loaded: _Loaded, threads: Executor) -> bool:
    now = await asyncio.get_running_loop().run_in_executor(threads, measured, item)
    return now.fingerprint != loaded.fingerprint


def goes_in_parts(domo: DomoFilesSession, size: int | None) -> bool:
    """Say whether a file is sent in parts, so that its access is set after its commit."""
    return size is not None and size >= min(LARGE, domo.transfer.multipart_threshold)


async def set_access(
    domo: DomoFilesSession, item: Item, data_file_id: int, *, is_new: bool
) -> None:
    """Set an item's access and grants on its data file, as far as they differ.

    Args:
        domo: Where it is.
        item: What was asked for.
        data_file_id: The data file.
        is_new: Whether the item made it, so that it is private unless public was asked for.

    Raises:
        AccessNotSetError: They couldn't be set.
    """
    public = bool(item.public) if is_new else item.public
    try:
        now = wanted = await domo.get_permissions(data_file_id)
        if public is not None:
            wanted = wanted.with_public_access(public)
        for entry in item.grants:
            wanted = wanted.with_entry(entry)
        if wanted != now:
            await domo.update_permissions(data_file_id, wanted)
    except DomoFilesError as error:
        raise AccessNotSetError(
            data_file_id=data_file_id, revision_id=None, public=bool(public), cause=error
        ) from error


async def _hashed(chunks: AsyncIterator[bytes], digest: hashlib._Hash) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        digest.update(chunk)
        yield chunk


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _load(path: str) -> _Loaded:
    try:
        # Whatever waits for a writer would be waited for by all.
        with open(path, "rb", buffering=0, opener=_at_once) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise SourceError(f"{path} is no file: take it out of the job")
            size, fingerprint = status.st_size, fingerprint_of(status)
            if size <= _HELD:
                data = file.read(_HELD + 1)
                if len(data) == size:
                    return _Loaded(size, fingerprint, hashlib.sha256(data).hexdigest(), data)
            if size >= LARGE:
                return _Loaded(size, fingerprint, None, None)
            file.seek(0)
            digest = hashlib.sha256()
            while data := file.read(_STEP):
                digest.update(data)
            return _Loaded(size, fingerprint, digest.hexdigest(), None)
    except (OSError, ValueError) as error:
        raise SourceError(f"{path} can't be read: {error}") from error
