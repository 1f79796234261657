"""Carries out uploads of one request: the file's bytes as one body, sent once."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Self

import attrs

from domo_files_async.engine.bodies import HeldBody, RereadBody, StreamBody
from domo_files_async.engine.outcomes import Inquiry, send_once
from domo_files_async.engine.source import BytesSource, StreamSource
from domo_files_async.events import RequestRetried
from domo_files_async.planning.outcome import Made
from domo_files_async.protocol import requests

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from domo_files_async.engine.buffers import Lease
    from domo_files_async.engine.shared import Shared
    from domo_files_async.engine.source import RereadableSource, Source
    from domo_files_async.errors import DomoFilesError
    from domo_files_async.protocol.messages import Request
    from domo_files_async.transport.body import Body

__all__ = ("SimpleBody", "SimpleUpload", "held_body", "simple_body")


@attrs.frozen
class SimpleBody:
    """The whole of a source as one body; leaving the `with` gives its memory back.

    Attributes:
        body: What is sent.
        evidence: Gives its size and SHA-256; no digest where the bytes come once and aren't held.
        lease: Its memory; `None` where that is the caller's.
    """

    body: Body
    evidence: Callable[[], Awaitable[tuple[int | None, str | None]]]
    lease: Lease | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.lease is not None:
            self.lease.release()


async def simple_body(shared: Shared, source: Source) -> SimpleBody:
    """Make the body of a simple upload."""
    if isinstance(source, BytesSource):
        return held_body(shared, [source.view])
    if isinstance(source, StreamSource):
        return _stream_body(shared, source)
    if source.size > shared.buffers.share:
        return _reread_body(source, await shared.buffers.lease(2 * shared.buffers.chunk))
    lease = await shared.buffers.lease(source.size)
    try:
        await source.fill(0, lease.view, lease, hashed=False)
        await source.check()
    except BaseException:
        lease.release()
        raise
    return held_body(shared, [lease.view], lease)


def held_body(shared: Shared, views: list[memoryview], lease: Lease | None = None) -> SimpleBody:
    """Make a body of memory that is held: by *lease*, or by whoever calls."""

    async def evidence() -> tuple[int | None, str | None]:
        return sum(map(len, views)), await shared.threads.sha256_hex((), views)

    return SimpleBody(HeldBody(views), evidence, lease)


def _reread_body(source: RereadableSource, lease: Lease) -> SimpleBody:
    size = source.size

    async def evidence() -> tuple[int | None, str | None]:
        return size, await source.digest(0, size, lease)

    return SimpleBody(RereadBody(source, 0, size, lease, checked=True), evidence, lease)


def _stream_body(shared: Shared, source: StreamSource) -> SimpleBody:
    body = StreamBody(source, shared.limits)

    async def evidence() -> tuple[int | None, str | None]:
        return body.done, None

    return SimpleBody(body, evidence)


@attrs.define(kw_only=True, eq=False)
class SimpleUpload:
    """One simple upload: a new data file, or a new revision of one.

    Attributes:
        before: Done when its turn has come, before anything is sent.
        attempts: How often it was sent.
    """

    shared: Shared
    content_type: str
    transfer: int | None = None
    before: Callable[[], Awaitable[None]] | None = None
    attempts: int = 1

    def file_request(self, *, name: str, description: str | None, public: bool) -> Request[int]:
        """Give the request of a new data file, with its arguments checked."""
        return requests.upload_file(
            self.shared.rules,
            name=name,
            description=description,
            public=public,
            content_type=self.content_type,
            boundary=secrets.token_hex(16),
        )

    def revision_request(self, data_file_id: int) -> Request[int]:
        """Give the request of a new revision, with its arguments checked."""
        return requests.upload_revision(
            self.shared.rules,
            data_file_id,
            content_type=self.content_type,
            boundary=secrets.token_hex(16),
        )

    async def new_file(
        self, upload: SimpleBody, *, name: str, description: str | None, public: bool
    ) -> tuple[int, int | None]:
        """Upload a new data file.

        Returns:
            Its id, and its revision's where that became known.
        """
        request = self.file_request(name=name, description=description, public=public)
        inquiry = Inquiry(
            operation="upload_file",
            began=asyncio.get_running_loop().time(),
            name=name,
            transfer=self.transfer,
        )
        answer = await self._send(request, upload, inquiry)
        data_file_id = answer.data_file_id if isinstance(answer, Made) else answer
        revision_id = answer.revision_id if isinstance(answer, Made) else None
        self.shared.claims.made("file", data_file_id)
        return data_file_id, revision_id

    async def new_revision(self, upload: SimpleBody, data_file_id: int) -> int:
        """Upload a new revision of a data file; give the revision's id."""
        request = self.revision_request(data_file_id)
        inquiry = Inquiry(
            operation="upload_revision",
            began=asyncio.get_running_loop().time(),
            data_file_id=data_file_id,
            transfer=self.transfer,
        )
        answer = await self._send(request, upload, inquiry)
        revision_id = answer.revision_id if isinstance(answer, Made) else answer
        assert revision_id is not None
        self.shared.claims.made("revision", revision_id)
        return revision_id

    async def _send(
        self, request: Request[int], upload: SimpleBody, inquiry: Inquiry
    ) -> int | Made:
        def on_retry(attempt: int, delay: float, error: DomoFilesError) -> None:
            self.attempts += 1
            self.shared.emit(
                RequestRetried(
                    operation=request.operation,
                    attempt=attempt,
                    delay=delay,
                    error=error,
                    transfer=self.transfer,
                )
            )

        async def send() -> int:
            async with self.shared.limits.permit(self):
                if self.before is not None:
                    await self.before()
                inquiry.began = asyncio.get_running_loop().time()
                return await self.shared.attempts.send(request, upload.body, on_retry=on_retry)

        return await send_once(self.shared, inquiry, send, evidence=upload.evidence)
