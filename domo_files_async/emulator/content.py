"""Bytes that the emulator keeps: in memory, or as files in a folder; never a whole body at once."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from typing import TYPE_CHECKING, Any, Protocol, Self

import attrs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path

    from domo_files_async.emulator.workers import Workers

__all__ = ("Blob", "FolderVault", "MemoryVault", "Vault", "Writer", "digest_of", "read_blobs")

_BATCH = 1024 * 1024
_SMALL = 64 * 1024


@attrs.frozen
class Blob:
    """Bytes that arrived as one body.

    Attributes:
        key: Where the vault has them.
        size: How many.
        sha256: Lower-case hex.
    """

    key: str
    size: int
    sha256: str


class Sink(Protocol):
    """Where a vault puts the bytes of one blob."""

    def append(self, data: bytes) -> None: ...
    def finish(self) -> None: ...
    def discard(self) -> None: ...


class Vault(Protocol):
    """Keeps blobs."""

    @property
    def blocks(self) -> bool:
        """Whether it is to be asked in a thread only."""
        ...

    def create(self, key: str) -> Sink:
        """Begin a blob."""
        ...

    def read(self, key: str, start: int, stop: int) -> bytes:
        """Give bytes of a blob."""
        ...

    def remove(self, keys: Sequence[str]) -> None:
        """Forget blobs."""
        ...


class MemoryVault:
    """Keeps blobs in memory."""

    blocks = False

    def __init__(self) -> None:
        self._blobs: dict[str, list[bytes]] = {}

    def create(self, key: str) -> Sink:
        """Begin a blob."""
        return _MemorySink(self._blobs, key)

    def read(self, key: str, start: int, stop: int) -> bytes:
        """Give bytes of a blob."""
        pieces, offset = [], 0
        for piece in self._blobs[key]:
            if offset < stop and offset + len(piece) > start:
                pieces.append(piece[max(0, start - offset) : stop - offset])
            offset += len(piece)
        return b"".join(pieces)

    def remove(self, keys: Sequence[str]) -> None:
        """Forget blobs."""
        for key in keys:
            del self._blobs[key]


class _MemorySink:
    def __init__(self, blobs: dict[str, list[bytes]], key: str) -> None:
        self._blobs = blobs
        self._key = key
        self._pieces: list[bytes] = []

    def append(self, data: bytes) -> None:
        self._pieces.append(data)

    def finish(self) -> None:
        self._blobs[self._key] = self._pieces

    def discard(self) -> None:
        self._pieces = []


class FolderVault:
    """Keeps blobs as files in a folder, which is made if need be."""

    blocks = True

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def create(self, key: str) -> Sink:
        """Begin a blob."""
        return _FileSink(self._folder / key)

    def read(self, key: str, start: int, stop: int) -> bytes:
        """Give bytes of a blob."""
        with (self._folder / key).open("rb", buffering=0) as opened:
            opened.seek(start)
            return opened.read(stop - start)

    def remove(self, keys: Sequence[str]) -> None:
        """Forget blobs."""
        for key in keys:
            (self._folder / key).unlink()

    def sweep(self, used: set[str]) -> None:
        """Remove what an emulator that was killed has left, all but the blobs in *used*."""
        for path in self._folder.iterdir():
            if path.name not in used:
                path.unlink()


class _FileSink:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_suffix(".part")
        self._file = self._partial.open("wb", buffering=0)

    def append(self, data: bytes) -> None:
        self._file.write(data)

    def finish(self) -> None:
        self._file.close()
        self._partial.rename(self._path)

    def discard(self) -> None:
        self._file.close()
        self._partial.unlink(missing_ok=True)


class Writer:
    """Takes a body as it comes, and makes a blob of it; small bodies in memory need no thread.

    Args:
        vault: Where the bytes go.
        workers: Who hashes and writes.
    """

    def __init__(self, vault: Vault, workers: Workers) -> None:
        self._vault = vault
        self._workers = workers
        self._key = uuid.uuid4().hex
        self._sink: Sink | None = None
        self._pending: list[bytes] = []
        self._waiting = 0
        self._size = 0
        self._digest: Any = hashlib.sha256()

    async def write(self, data: bytes) -> None:
        """Append *data*."""
        self._pending.append(data)
        self._waiting += len(data)
        self._size += len(data)
        if self._waiting >= _BATCH:
            await self._workers.run(self._flush)

    async def finish(self) -> Blob:
        """Give the blob."""
        if self._size <= _SMALL and not self._vault.blocks:
            self._finish()
        else:
            await self._workers.run(self._finish)
        return Blob(self._key, self._size, self._digest.hexdigest())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._sink is not None:
            await self._workers.run(self._sink.discard)

    def _flush(self) -> None:
        if self._sink is None:
            self._sink = self._vault.create(self._key)
        data = b"".join(self._pending)
        self._pending, self._waiting = [], 0
        self._digest.update(data)
        self._sink.append(data)

    def _finish(self) -> None:
        self._flush()
        assert self._sink is not None
        self._sink.finish()
        self._sink = None


async def read_blobs(
    vault: Vault, workers: Workers, blobs: Sequence[Blob], start: int, stop: int
) -> AsyncIterator[bytes]:
    """Give the bytes from *start* to *stop* of blobs that follow each other."""
    offset = 0
    for blob in blobs:
        first = max(0, start - offset)
        last = min(blob.size, stop - offset)
        for at in range(first, last, _BATCH):
            end = min(last, at + _BATCH)
            if vault.blocks:
                yield await workers.run(vault.read, blob.key, at, end)
            else:
                yield vault.read(blob.key, at, end)
        offset += blob.size


async def digest_of(vault: Vault, workers: Workers, blobs: Sequence[Blob]) -> tuple[str, str]:
    """Give SHA-256 and MD5 of blobs that follow each other, in upper-case hex."""
    md5: Any = hashlib.md5(usedforsecurity=False)
    if len(blobs) == 1:
        sha256 = blobs[0].sha256
        if blobs[0].size <= _SMALL and not vault.blocks:
            _digest(md5, vault, workers, blobs)
        else:
            await workers.run(_digest, md5, vault, workers, blobs)
    else:
        whole: Any = hashlib.sha256()
        jobs = [workers.run(_digest, one, vault, workers, blobs) for one in (md5, whole)]
        await asyncio.gather(*jobs)
        sha256 = whole.hexdigest()
    return sha256.upper(), md5.hexdigest().upper()


def _digest(digest: Any, vault: Vault, workers: Workers, blobs: Sequence[Blob]) -> None:
    for data in _batches(vault, blobs):
        if workers.is_closing:
            return
        digest.update(data)


def _batches(vault: Vault, blobs: Sequence[Blob]) -> Iterator[bytes]:
    for blob in blobs:
        for at in range(0, blob.size, _BATCH):
            yield vault.read(blob.key, at, min(blob.size, at + _BATCH))
