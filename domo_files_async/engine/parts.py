"""Where the bytes of parts come from, and how much of them is held.

Bytes of the caller's are sent from where they are. A file's parts are held where a quarter of the
memory budget holds one; larger ones are read twice, for the checksum and for the sending. A
stream's parts are held, since they come once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

import attrs

from domo_files_async.engine.bodies import HeldBody, RereadBody
from domo_files_async.engine.threads import sha256_hex, update_digest

if TYPE_CHECKING:
    import hashlib
    from collections.abc import AsyncIterator, Awaitable, Callable

    from domo_files_async.engine.shared import Shared
    from domo_files_async.engine.source import BytesSource, RereadableSource
    from domo_files_async.engine.stream import Piece
    from domo_files_async.planning.ledger import SendPart
    from domo_files_async.transport.body import Body

__all__ = ("ByteParts", "PartSupply", "RereadParts", "StreamParts", "TakenPart")


Ready: TypeAlias = "tuple[Body, str | None]"


@attrs.frozen
class TakenPart:
    """A part whose memory is there.

    Attributes:
        size: Bytes in it.
        prepare: Reads and hashes it; gives what to send and its SHA-256, where that was asked for.
        release: Gives the memory back; a second time does nothing.
    """

    size: int
    prepare: Callable[[], Awaitable[Ready]]
    release: Callable[[], None]


class PartSupply(Protocol):
    """Where the bytes of parts come from."""

    async def take(self, part: SendPart) -> TakenPart | None:
        """Wait until the part's memory is there; `None` when a stream has ended before it."""
        ...

    async def check(self) -> None:
        """Raise `SourceChangedError` if the source isn't what it was."""
        ...


class ByteParts:
    """Parts of bytes that the caller holds."""

    def __init__(self, shared: Shared, source: BytesSource, *, hashed: bool) -> None:
        self._shared = shared
        self._source = source
        self._hashed = hashed

    async def take(self, part: SendPart) -> TakenPart:
        """Need no memory of ours."""
        view = self._source.view[part.offset : part.offset + part.size]

        async def prepare() -> Ready:
            hashed = self._hashed
            checksum = await self._shared.threads.run(sha256_hex, [view]) if hashed else None
            return HeldBody([view]), checksum

        return TakenPart(part.size, prepare, lambda: None)

    async def check(self) -> None:
        """Find nothing."""


class RereadParts:
    """Parts of a file: held where they are small enough, otherwise read twice."""

    def __init__(self, shared: Shared, source: RereadableSource, *, hashed: bool) -> None:
        self._shared = shared
        self._source = source
        self._hashed = hashed

    async def take(self, part: SendPart) -> TakenPart:
        """Wait for the part's memory, or for the buffer that it is read through."""
        buffers = self._shared.buffers
        held = part.size <= buffers.share
        lease = await buffers.lease(part.size if held else 2 * buffers.chunk)

        async def hold() -> Ready:
            checksum = await self._source.fill(part.offset, lease.view, lease, hashed=self._hashed)
            return HeldBody([lease.view]), checksum

        async def read_twice() -> Ready:
            checksum = None
            if self._hashed:
                checksum = await self._source.digest(part.offset, part.size, lease)
            return RereadBody(self._source, part.offset, part.size, lease), checksum

        return TakenPart(part.size, hold if held else read_twice, lease.release)

    async def check(self) -> None:
        """Ask the source."""
        await self._source.check()


class StreamParts:
    """Parts of a stream, as its cutter gives them; each is digested in its turn if *whole*."""

    def __init__(
        self,
        shared: Shared,
        pieces: AsyncIterator[Piece],
        *,
        hashed: bool,
        whole: hashlib._Hash | None,
    ) -> None:
        self._shared = shared
        self._pieces = pieces
        self._hashed = hashed
        self._whole = whole

    async def take(self, part: SendPart) -> TakenPart | None:  # noqa: ARG002 - they come in order
        """Wait for the producer."""
        piece = await anext(self._pieces, None)
        if piece is None:
            return None
        run_on = self._shared.threads.run_on
        if self._whole is not None:
            try:
                await run_on(piece.leases, update_digest, self._whole, piece.views)
            except BaseException:
                piece.release()
                raise

        async def prepare() -> Ready:
            checksum = None
            if self._hashed:
                checksum = await run_on(piece.leases, sha256_hex, piece.views)
            return HeldBody(piece.views), checksum

        return TakenPart(piece.size, prepare, piece.release)

    async def check(self) -> None:
        """Find nothing: it can't be read again."""
