"""What the engine hands to the transport to be written: parts as chunks.

Each can be written again from its beginning but `StreamBody`, whose bytes come once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from domo_files_async.engine.buffers import Lease
    from domo_files_async.engine.source import RereadableSource, StreamSource
    from domo_files_async.transport.limits import Limits

__all__ = ("HeldBody", "RereadBody", "StreamBody")


class HeldBody:
    """Bytes that are in memory, in one piece or several."""

    repeatable = True

    def __init__(self, views: Sequence[memoryview]) -> None:
        self.views = views
        self.size: int | None = sum(map(len, views))

    def chunks(self) -> Sequence[memoryview]:
        """Give all of them."""
        return self.views


class RereadBody:
    """A range of a source that is larger than memory, read again for each writing.

    With *checked* the source is asked before the last bytes whether it changed. Both halves of the
    lease take turns: when one is written, the other is no longer in use.
    """

    repeatable = True

    def __init__(
        self,
        source: RereadableSource,
        offset: int,
        size: int,
        lease: Lease,
        *,
        checked: bool = False,
    ) -> None:
        self._source = source
        self._offset = offset
        self._lease = lease
        self._checked = checked
        self.size: int | None = size

    async def chunks(self) -> AsyncIterator[memoryview]:
        """Read and give one buffer after the other."""
        assert self.size is not None
        half = self._lease.size // 2
        halves = self._lease.view[:half], self._lease.view[half : 2 * half]
        for turn, start in enumerate(range(0, self.size, half)):
            view = halves[turn % 2][: min(half, self.size - start)]
            await self._source.fill(self._offset + start, view, self._lease, hashed=False)
            if self._checked and start + half >= self.size:
                # Without its last bytes the server can't take the body for whole.
                await self._source.check()
            yield view


class StreamBody:
    """A stream passed straight through; its size isn't known, and it can't be written again.

    Whoever sends it holds a permit, which is lent while the producer gives nothing.
    """

    repeatable = False
    size: int | None = None

    def __init__(self, source: StreamSource, limits: Limits) -> None:
        self._source = source
        self._limits = limits
        self.done = 0

    async def chunks(self) -> AsyncIterator[memoryview]:
        """Give what the producer gives, as it comes."""
        chunks, lending = self._source.chunks(), self._limits.lending()
        while True:
            with lending:
                chunk = await anext(chunks, None)
            if chunk is None:
                return
            yield chunk
            self.done += len(chunk)
