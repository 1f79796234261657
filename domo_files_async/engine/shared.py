"""What all transfers of a session share, and the tasks that outlive the transfer they belong to."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import Counter, OrderedDict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from domo_files_async.config import Surface
from domo_files_async.engine.buffers import Buffers
from domo_files_async.engine.entrance import Entrance
from domo_files_async.engine.outcomes import Drafts
from domo_files_async.engine.threads import Threads
from domo_files_async.errors import ApiError, SessionStateError
from domo_files_async.events import Aborted, AbortFailed, Event, Observer, notify
from domo_files_async.planning.outcome import ServerClock
from domo_files_async.protocol import requests
from domo_files_async.transport.attempts import Attempts
from domo_files_async.transport.http import Http
from domo_files_async.transport.limits import Limits
from domo_files_async.version import __version__

if TYPE_CHECKING:
    import ssl as tls
    from collections.abc import AsyncIterator, Coroutine, Iterator
    from collections.abc import Set as AbstractSet
    from contextlib import AbstractAsyncContextManager

    from domo_files_async.auth import Auth
    from domo_files_async.config import RetryPolicy, Timeouts, TransferConfig
    from domo_files_async.models import SessionId
    from domo_files_async.protocol.surface import Instance, SurfaceRules
    from domo_files_async.transport.tls import TlsContext
    from domo_files_async.transport.wire import HttpClient

__all__ = (
    "ABORT_WITHIN",
    "Claims",
    "Owned",
    "Shared",
    "check_loop",
    "close_shared",
    "finished",
    "open_shared",
)

T = TypeVar("T")

ABORT_WITHIN = 2.0
"""Seconds that a caller waits for an abort at most."""

_GONE = frozenset({404, 410})
_REMEMBERED = 10_000


class Owned:
    """Tasks that belong to the session, so that no cancelled caller takes them along."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run *work* in a task of the session's."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """Give what still runs a bounded time, then cancel it."""
        try:
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=ABORT_WITHIN)
        finally:
            for task in self._tasks:
                task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=ABORT_WITHIN)


class Claims:
    """Which files and revisions this session's uploads made, and which may still come.

    A lost answer is looked for among what is there; what another upload of this session made, or
    may be making under the same name and size, is no evidence for it.
    """

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[str, int], None] = OrderedDict()
        self._pending: Counter[object] = Counter()

    def begin(self, key: object) -> None:
        """An upload that would leave *key* has begun."""
        self._pending[key] += 1

    def end(self, key: object) -> None:
        """It is over, one way or the other."""
        self._pending[key] -= 1
        if not self._pending[key]:
            del self._pending[key]

    def has_twin(self, key: object) -> bool:
        """Whether another upload under way would leave the same."""
        return self._pending[key] > 1

    def made(self, kind: str, number: int | None) -> None:
        """Take note of a data file (`"file"`) or a revision (`"revision"`)."""
        if number is not None:
            self._made[kind, number] = None
            if len(self._made) > _REMEMBERED:
                self._made.popitem(last=False)

    def known(self, kind: str) -> AbstractSet[int]:
        """Give the ids of *kind* that are accounted for."""
        return {number for made_kind, number in self._made if made_kind == kind}


@attrs.frozen(kw_only=True)
class Shared:
    """One session's rules, limits and tools."""

    instance: Instance
    rules: SurfaceRules
    transfer: TransferConfig
    retry: RetryPolicy
    attempts: Attempts
    limits: Limits
    buffers: Buffers
    threads: Threads
    clock: ServerClock
    observer: Observer | None
    entrance: Entrance = attrs.field(factory=Entrance)
    owned: Owned = attrs.field(factory=Owned)
    claims: Claims = attrs.field(factory=Claims)
    drafts: Drafts = attrs.field(factory=Drafts)
    open_sessions: dict[SessionId, int | None] = attrs.field(factory=dict)
    """Multipart sessions that transfers opened and nobody has ended, and their transfer."""
    _numbers: Iterator[int] = attrs.field(factory=lambda: itertools.count(1), init=False)

    @property
    def is_behind_dev_proxy(self) -> bool:
        """Whether requests seem to go through the app dev proxy."""
        return self.rules.surface is Surface.APP and self.instance.is_loopback

    def next_transfer(self) -> int:
        """Give the next transfer's number."""
        return next(self._numbers)

    def emit(self, event: Event) -> None:
        """Tell the observer."""
        notify(self.observer, event)

    async def abort(self, session_id: SessionId) -> bool:
        """Abort a multipart session, once; wait for it 2 seconds at most.

        The session owns the request, so that it goes on also when the caller is cancelled.

        Returns:
            Whether the server is known to have dropped it.
        """
        if session_id not in self.open_sessions:
            return False
        transfer = self.open_sessions.pop(session_id)
        task = self.owned.start(self._abort(session_id, transfer))
        await asyncio.wait({task}, timeout=ABORT_WITHIN)
        return task.done() and not task.cancelled() and task.result()

    async def _abort(self, session_id: SessionId, transfer: int | None) -> bool:
        try:
            request = requests.abort_multipart_session(self.rules, session_id)
            # A cancelled caller waits for it.
            await self.attempts.send(request, urgent=True)
        except Exception as error:  # noqa: BLE001 - whatever a caller's Auth raises
            self.emit(AbortFailed(session_id=session_id, error=error, transfer=transfer))
            return isinstance(error, ApiError) and error.status in _GONE
        self.emit(Aborted(session_id=session_id, transfer=transfer))
        return True


@asynccontextmanager
async def open_shared(
    instance: Instance,
    rules: SurfaceRules,
    *,
    auth: Auth,
    transfer: TransferConfig,
    retry: RetryPolicy,
    timeouts: Timeouts,
    observer: Observer | None,
    user_agent: str | None,
    ssl: tls.SSLContext | TlsContext | None,
    proxy: str | None,
    trust_env: bool,
    http: HttpClient | None,
) -> AsyncIterator[Shared]:
    """Make a session's tools, and put them away at the end: what is left open is aborted."""
    clock = ServerClock()
    limits = Limits(
        transfer.max_concurrency,
        adaptive=transfer.adaptive,
        rate=transfer.max_upload_bytes_per_second,
    )
    sender = Http(
        instance,
        auth=auth,
        timeouts=timeouts,
        user_agent=user_agent or f"domo-files-async/{__version__}",
        ssl=ssl,
        proxy=proxy,
        trust_env=trust_env,
        client=http,
        on_date=clock.observe,
        pace=limits.pace,
        meter=limits,
        observer=observer,
    )
    shared = Shared(
        instance=instance,
        rules=rules,
        transfer=transfer,
        retry=retry,
        attempts=Attempts(sender, auth=auth, policy=retry, limits=limits, observer=observer),
        limits=limits,
        buffers=Buffers(transfer.memory_budget),
        threads=Threads(os.cpu_count() or 1),
        clock=clock,
        observer=observer,
    )
    await sender.open()
    try:
        yield shared
    finally:
        try:
            for session_id in list(shared.open_sessions):
                shared.owned.start(shared.abort(session_id))
            await shared.owned.close()
        finally:
            shared.threads.close()
            shared.buffers.close()
            await sender.close()


def check_loop(owner: asyncio.AbstractEventLoop | None, process: int) -> None:
    """Check that this is the event loop that a session's things belong to.

    Raises:
        SessionStateError: It is another one, or none, or another process.
    """
    try:
        here = asyncio.get_running_loop()
    except RuntimeError:
        here = None
    if here is not owner or os.getpid() != process:
        raise SessionStateError(
            "This session belongs to another event loop, thread or process: make one there"
        )


async def close_shared(
    opened: AbstractAsyncContextManager[Shared], users: AbstractSet[asyncio.Task[Any]]
) -> None:
    """Cancel the tasks that still use a session's tools, and put these away."""
    for task in users:
        task.cancel()
    try:
        if users:
            await asyncio.wait(users, timeout=ABORT_WITHIN)
    finally:
        await opened.__aexit__(None, None, None)


async def finished(task: asyncio.Task[None]) -> None:
    """Wait for *task*, which is never cancelled; only a caller cancelled twice doesn't wait."""
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
