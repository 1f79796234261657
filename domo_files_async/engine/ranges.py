"""Fetches a file's bytes: several ranges at once where the server gives them, one stream where not.

Rule 1: memory, then a permit, then a range: whoever holds one of them waits for none before it.
Rule 2: what arrived is progress, after which the attempts of a range count anew.
Rule 3: the digest follows the frontier: what arrives there is digested from memory, what came
before its turn is read again. Where bytes come faster than they are digested, they come in order.
Rule 4: bytes that the server says are others are never put beside those that are there.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import TYPE_CHECKING

import attrs

from domo_files_async.engine.groups import TaskGroup
from domo_files_async.errors import ApiError, TransportError, UnexpectedResponseError
from domo_files_async.events import RequestRetried
from domo_files_async.planning.ranges import RANGE_SIZE, Ranges, Validators
from domo_files_async.protocol import requests
from domo_files_async.protocol.headers import read_content_range

if TYPE_CHECKING:
    from collections.abc import Callable

    from domo_files_async.engine.buffers import Lease
    from domo_files_async.engine.destination import Destination
    from domo_files_async.engine.digest import Digest
    from domo_files_async.engine.shared import Shared
    from domo_files_async.transport.reply import ReplyStream

__all__ = ("Fetch",)

_MEMORY = 1024 * 1024
"""Bytes of memory for one range."""

_LEAST_MEMORY = 128 * 1024
_TURN = 16 * 1024 * 1024
"""Bytes that a thread receives in one go; then progress is told."""

_FAST = 100_000_000
"""Bytes a second from which on a thread receives; less is little work for the loop."""

_TOGETHER = 2
"""Ranges that are asked for as one where bytes come fast: each change costs the thread a moment.

With more of them whoever waits for a permit would wait longer.
"""

_NEAR = 128 * 1024 * 1024
"""Bytes by which a digest may be behind and still be waited for: it then follows from memory."""

_REREAD = 16 * 1024 * 1024
_REREAD_STEP = 512 * 1024
_PARTIAL = 206
_NO_SUCH_RANGE = 416


class _ChangedError(Exception):
    """The server has other bytes now."""

    def __init__(self, reply: ReplyStream) -> None:
        super().__init__()
        self.reply = reply


class _UnrangedError(Exception):
    """The server doesn't give ranges, or not always.

    Attributes:
        may_ask: Whether one that goes to the end may still be asked for.
    """

    def __init__(self, *, may_ask: bool) -> None:
        super().__init__()
        self.may_ask = may_ask


@attrs.define(eq=False)
class _Stretch:
    """What is still to come of a range; `stop` is `None` while its end isn't known."""

    at: int
    stop: int | None

    @property
    def is_over(self) -> bool:
        return self.stop is not None and self.at >= self.stop


@attrs.define(eq=False, kw_only=True)
class Fetch:
    """Fetches one file, all of it.

    Attributes:
        shared: The session's tools.
        data_file_id: Which data file.
        revision_id: Which revision; `None` for the current one.
        total: Bytes in it, as its metadata say; `None` while unknown.
        destination: Where they go.
        make_digest: Makes a digest of nothing.
        transfer: The transfer's number.
        report: Told how many bytes are there, whenever more came.
        digest: Of all bytes, when it is over.
        taken_up: Bytes that were there already; `None` before it is known.
    """

    shared: Shared
    data_file_id: int
    revision_id: int | None
    total: int | None
    destination: Destination
    make_digest: Callable[[], Digest]
    transfer: int
    report: Callable[[int], None]
    digest: Digest = attrs.field(init=False)
    taken_up: int | None = attrs.field(default=None, init=False)
    _ranges: Ranges = attrs.field(init=False)
    _is_ranged: bool = attrs.field(default=False, init=False)
    _may_ask: bool = attrs.field(default=True, init=False)
    _validators: Validators | None = attrs.field(default=None, init=False)
    _is_following: bool = attrs.field(default=False, init=False)
    _comes_fast: bool = attrs.field(default=True, init=False)
    _turn: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False)
    _moved: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    _group: TaskGroup = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.digest = self.make_digest()
        self._ranges = Ranges(None)

    @property
    def frontier(self) -> int:
        """Offset up to which all bytes are there."""
        return self._ranges.frontier

    async def run(self) -> None:
        """Fetch what isn't there.

        Raises:
            DomoFilesError: It can't be had, or can't be written.
        """
        there = self.taken_up = await self.destination.take_up(self.total)
        left = 0 if self.total is None else self.total - there
        config = self.shared.transfer
        self._ranges = Ranges(None, there=there)
        if self.destination.takes_ranges and left > config.multipart_threshold:
            self._is_ranged = True
            size = config.part_size or RANGE_SIZE
            self._ranges = Ranges(self.total, there=there, range_size=size)
        elif there and not left:
            self._ranges.take_rest()
        has_changed = False
        while True:
            try:
                async with TaskGroup() as self._group:
                    self._start_worker()
                    self._follow()
            except _UnrangedError as refused:
                self._may_ask = refused.may_ask
                self._go_on_as_stream(self.frontier)
            except _ChangedError as changed:
                if has_changed or not await self.destination.restart():
                    raise _unexpected(
                        changed.reply,
                        "other bytes came than those that were there, so that they don't belong "
                        "together; nothing was published, and trying again begins anew",
                        "ETag",
                    ) from None
                has_changed, self._validators = True, None
                self._go_on_as_stream(0)
            else:
                return

    def _go_on_as_stream(self, there: int) -> None:
        self._is_ranged = False
        self._ranges = Ranges(None, there=there)
        self._is_following = False
        # What a thread may still be feeding is of no use any more.
        if self.digest.is_claimed or self.digest.at > there:
            self.digest = self.make_digest()

    def _start_worker(self) -> None:
        if not self._ranges.is_all_taken:
            self._group.create_task(self._worker())

    async def _worker(self) -> None:
        while not self._ranges.has_room:
            self._moved.clear()
            await self._moved.wait()
        limits, buffers = self.shared.limits, self.shared.buffers
        size = max(_LEAST_MEMORY, min(_MEMORY, buffers.budget // limits.ceiling))
        with await buffers.lease(min(size, buffers.share)) as lease:
            async with limits.permit(self):
                start, stop = self._ranges.take(self._together)
                if self._validators is not None:
                    self._start_worker()
                await self._fetch(_Stretch(start, stop), lease)

    async def _fetch(self, stretch: _Stretch, lease: Lease) -> None:
        """Fetch a range; a connection that drops is followed by one that goes on from there."""
        attempt = 0
        while not stretch.is_over:
            before = stretch.at
            error = await self._attempt(stretch, lease)
            attempt = 1 if stretch.at > before else attempt + 1
            if error is None:
                continue
            delay = self.shared.attempts.judge(error, attempt=attempt)
            if delay is None:
                raise error
            self.shared.emit(
                RequestRetried(
                    operation="open_download",
                    attempt=attempt,
                    delay=delay,
                    error=error,
                    transfer=self.transfer,
                )
            )
            await self.shared.limits.rest(asyncio.sleep(delay))

    async def _attempt(self, stretch: _Stretch, lease: Lease) -> TransportError | None:
        """Receive what is left of a range; give the error that it broke off with, if it did."""
        is_asked = self._may_ask and (self._is_ranged or stretch.at > 0)
        request = requests.download(
            self.shared.rules,
            self.data_file_id,
            revision_id=self.revision_id,
            byte_range=(stretch.at, stretch.stop if self._is_ranged else None)
            if is_asked
            else None,
        )
        validator = self._validators.if_range if self._validators else None
        if is_asked and validator:
            request = attrs.evolve(request, headers={**request.headers, "If-Range": validator})
        try:
            async with self.shared.attempts.open_stream(request) as reply:
                skip, count = self._accept(reply, stretch, is_asked=is_asked)
                error = await self._receive(reply, stretch, lease, skip=skip, count=count)
        except ApiError as refused:
            if is_asked and refused.status == _NO_SUCH_RANGE:
                raise _UnrangedError(may_ask=False) from refused
            raise
        return error

    def _accept(
        self, reply: ReplyStream, stretch: _Stretch, *, is_asked: bool
    ) -> tuple[int, int | None]:
        """Say how many of a reply's bytes to skip, and how many to keep; `None` for all."""
        skip, stop, total = stretch.at, reply.content_length, reply.content_length
        is_range = reply.status == _PARTIAL
        if is_range:
            given = read_content_range(reply.headers.get("content-range"))
            if given is None or given.start != stretch.at:
                if is_asked:
                    raise _UnrangedError(may_ask=False)
                raise _unexpected(reply, "other bytes came than were asked for", "Content-Range")
            skip, stop, total = 0, given.stop, given.total
        now, before = Validators.read(reply.headers, total), self._validators
        is_shorter = stop is not None and stop < stretch.at
        if is_shorter or (before is not None and before.differ(now)):
            raise _ChangedError(reply)
        self._validators = before or now
        if self._is_ranged:
            self._accept_range(stretch, is_good=is_range and total == self.total, before=before)
        if stretch.stop is None:
            stretch.stop = (total or self.total or stop) if is_range else total
        ends = [one for one in (stop, stretch.stop) if one is not None]
        return skip, min(ends) - stretch.at if ends else None

    def _accept_range(self, stretch: _Stretch, *, is_good: bool, before: Validators | None) -> None:
        """Go on with more ranges after the first one, or with what came in place of it."""
        if before is None and is_good:
            self._start_worker()
        elif before is None:
            self._is_ranged = False
            self._ranges = Ranges(None, there=stretch.at)
            self._ranges.take_rest()
            stretch.stop = None
        elif not is_good:
            raise _UnrangedError(may_ask=True)

    async def _receive(
        self, reply: ReplyStream, stretch: _Stretch, lease: Lease, *, skip: int, count: int | None
    ) -> TransportError | None:
        """Receive the rest of a reply: in a thread as long as it comes fast, else on the loop."""
        try:
            while skip:
                skipped = await reply.fill(lease.view[:skip])
                if not skipped:
                    return _too_early(reply)
                skip -= skipped
            if count is None:
                await self._receive_on_loop(reply, stretch, lease, None, may_lend=False)
                stretch.stop = stretch.at
                return None
            stop, may_lend = stretch.at + count, True
            while stretch.at < stop:
                if may_lend and self._comes_fast:
                    may_lend = await self._receive_in_thread(reply, stretch, lease, stop)
                elif not await self._receive_on_loop(
                    reply, stretch, lease, stop - stretch.at, may_lend=may_lend
                ):
                    return _too_early(reply)
        except TransportError as error:
            return error
        return None

    async def _receive_in_thread(
        self, reply: ReplyStream, stretch: _Stretch, lease: Lease, stop: int
    ) -> bool:
        """Let a thread receive for as long as it comes fast; say whether that could be done."""
        # One after the other: together they would have to be read again for the digest.
        async with self._turn:
            while stretch.at < stop and self._comes_fast:
                await self._catch_up(lease)
                size = min(stop - stretch.at, _TURN)
                moved = await self.destination.receive(
                    reply, stretch.at, size, lease, digest=self.digest, record=self._record
                )
                if moved is None:
                    return False
                self._kept(stretch.at, moved)
                stretch.at += moved
                self._comes_fast = moved == size
        return True

    async def _receive_on_loop(
        self,
        reply: ReplyStream,
        stretch: _Stretch,
        lease: Lease,
        count: int | None,
        *,
        may_lend: bool,
    ) -> bool:
        """Receive into one half of the memory while the other is written.

        Returns:
            Whether all of it came, or so much so fast that a thread may go on; else it ended.
        """
        half = lease.size // 2
        view, other = lease.view[:half], lease.view[half:]
        time = asyncio.get_running_loop().time
        writing: asyncio.Task[None] | None = None
        try:
            while count is None or count > 0:
                began = time()
                filled = await reply.fill(view if count is None else view[:count])
                if writing is not None:
                    await self._written(writing)
                if not filled:
                    return False
                writing = self._group.create_task(self._keep(stretch.at, view[:filled], lease))
                stretch.at += filled
                count = None if count is None else count - filled
                view, other = other, view
                self._comes_fast = filled >= (time() - began) * _FAST
                if may_lend and self._comes_fast:
                    break
        finally:
            if writing is not None:
                await self._written(writing)
        return True

    async def _written(self, writing: asyncio.Task[None]) -> None:
        # A writer of the caller's may itself wait for a permit.
        is_callers = not self.destination.takes_ranges
        with self.shared.limits.lending() if is_callers else nullcontext():
            await writing

    async def _keep(self, offset: int, view: memoryview, lease: Lease) -> None:
        await self.destination.write(offset, view, lease, digest=self.digest, record=self._record)
        self._kept(offset, len(view))

    @property
    def _together(self) -> int:
        """How many ranges to ask for as one."""
        came_fast = self._comes_fast and self.frontier > (self.taken_up or 0)
        return _TOGETHER if came_fast and self.shared.transfer.part_size is None else 1

    @property
    def _record(self) -> tuple[int, int] | None:
        return None if self._ranges.size is None else (self._ranges.size, self.frontier)

    def _kept(self, offset: int, size: int) -> None:
        if size:
            self._ranges.keep(offset, offset + size)
            self._moved.set()
            self.report(self._ranges.kept)
        self._follow()

    async def _catch_up(self, lease: Lease) -> None:
        """Wait for a digest that is near, or bring it on in memory that is there already."""
        while 0 < self.frontier - (at := self.digest.at) <= _NEAR:
            if self.digest.claim(at):
                await self._digest_again(lease)
            else:
                self._moved.clear()
                await self._moved.wait()

    def _follow(self) -> None:
        if self.digest.at < self.frontier and not self._is_following:
            self._is_following = True
            self._group.create_task(self._digest_behind())

    async def _digest_behind(self) -> None:
        buffers = self.shared.buffers
        with await buffers.lease(min(_REREAD_STEP, buffers.share)) as lease:
            # Whoever has claimed it comes back here when that is over.
            while (at := self.digest.at) < self.frontier and self.digest.claim(at):
                await self._digest_again(lease)
        self._is_following = False

    async def _digest_again(self, lease: Lease) -> None:
        """Read again what is there, some of it, for the digest, which is claimed."""
        stop = min(self.frontier, self.digest.at + _REREAD)
        await self.destination.reread(self.digest, stop, lease)
        self.digest.release()
        self._moved.set()


def _too_early(reply: ReplyStream) -> TransportError:
    return TransportError(f"GET {reply.path}: the answer ended too early")


def _unexpected(reply: ReplyStream, problem: str, field: str) -> UnexpectedResponseError:
    return UnexpectedResponseError(
        problem, status=reply.status, method="GET", path=reply.path, field=field
    )
