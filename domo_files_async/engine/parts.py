"""Where the bytes of parts come from, and how much of them is held.

Bytes of the caller's are sent from where they are. A stream's parts are held, since they come once.
A file's parts are held or read twice, for the checksum and for the sending: held where a quarter of
the memory budget holds one, and where that leaves memory for as many at once as there can be
permits. Where each connection is fast all such parts are held: few at once do there, and they give
their memory back soon. Whether it is, the first part tells; others wait a moment for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

import attrs

from domo_files_async.engine.bodies import HeldBody, RereadBody

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

_FAST = 128 * 1024 * 1024
"""Bytes a second of one connection from which on reading costs more than the network."""

_UNSURE = 0.15
"""Seconds in which a part is sent where connections are that fast."""

_LEAST = 256 * 1024


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
            checksum = await self._shared.threads.sha256_hex((), [view]) if hashed else None
            return HeldBody([view]), checksum

        return TakenPart(part.size, prepare, lambda: None)

    async def check(self) -> None:
        """Find nothing."""


class RereadParts:
    """Parts of a file, held or read twice."""

    def __init__(self, shared: Shared, source: RereadableSource, *, hashed: bool) -> None:
        self._shared = shared
        self._source = source
        self._hashed = hashed

    async def take(self, part: SendPart) -> TakenPart:
        """Wait for the part's memory, or for the buffer that it is read through."""
        buffers, limits = self._shared.buffers, self._shared.limits
        held = self._is_held(part.size)
        if not held and not limits.each and part.size <= buffers.share:
            await limits.wait_each(_UNSURE)
            held = self._is_held(part.size)
        lease = await buffers.lease(part.size if held else self._both_buffers)

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

    def _is_held(self, size: int) -> bool:
        buffers, limits = self._shared.buffers, self._shared.limits
        if size > buffers.share:
            return False
        all_fit = size * limits.ceiling <= buffers.budget
        left = buffers.budget - buffers.held - size
        return all_fit or limits.each >= _FAST or left >= limits.ceiling * self._both_buffers

    @property
    def _both_buffers(self) -> int:
        """Bytes of the two buffers through which a part is read."""
        buffers, limits = self._shared.buffers, self._shared.limits
        large = 2 * buffers.chunk
        if limits.each >= _FAST:
            return large
        return min(large, max(_LEAST, buffers.budget // (4 * limits.ceiling)))


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
        threads = self._shared.threads
        if self._whole is not None:
            try:
                await threads.update_digest(piece.leases, self._whole, piece.views)
            except BaseException:
                piece.release()
                raise

        async def prepare() -> Ready:
            checksum = None
            if self._hashed:
                checksum = await threads.sha256_hex(piece.leases, piece.views)
            return HeldBody(piece.views), checksum

        return TakenPart(piece.size, prepare, piece.release)

    async def check(self) -> None:
        """Find nothing: it can't be read again."""
