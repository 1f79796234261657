"""Uploads: one request or parts, whichever the source and its target ask for."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Literal, TypeAlias

import attrs

from domo_files_async.engine.multipart import MultipartUpload
from domo_files_async.engine.outcomes import Inquiry
from domo_files_async.engine.parts import ByteParts, RereadParts, StreamParts
from domo_files_async.engine.simple import SimpleUpload, held_body, simple_body
from domo_files_async.engine.source import (
    UNTYPED,
    BytesSource,
    StreamSource,
    guess_type,
    open_source,
)
from domo_files_async.engine.stored import check_stored, set_access
from domo_files_async.engine.stream import StreamCutter, Unit
from domo_files_async.engine.threads import sha256_hex
from domo_files_async.errors import InvalidArgumentError
from domo_files_async.events import Progress, TransferFailed, TransferFinished, TransferStarted
from domo_files_async.models import UploadResult
from domo_files_async.planning.ledger import StreamPlan, UploadLedger
from domo_files_async.planning.parts import (
    check_stream_part_size,
    plan_parts,
    stream_ceiling,
    stream_part_size,
)
from domo_files_async.protocol import requests

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from domo_files_async.engine.parts import PartSupply
    from domo_files_async.engine.shared import Shared
    from domo_files_async.engine.simple import SimpleBody
    from domo_files_async.engine.source import Source, UploadInput
    from domo_files_async.engine.stream import Piece
    from domo_files_async.events import ProgressFunction
    from domo_files_async.models import DataFile, SessionId
    from domo_files_async.protocol.messages import Request

__all__ = ("Target", "Verify", "upload")

Verify: TypeAlias = Literal["parts", "sha256", "none"]


@attrs.frozen(kw_only=True)
class Target:
    """What the upload shall be called and where it goes, as far as the caller said.

    Attributes:
        name: Of the data file.
        description: Of the data file.
        content_type: Of the revision.
        public: Whether all users of the instance may read it; `None`: private where it is new,
            as it is where it exists.
        data_file_id: The data file that gets a revision; `None` for a new one.
    """

    name: str | None = None
    description: str | None = None
    content_type: str | None = None
    public: bool | None = None
    data_file_id: int | None = None

    @property
    def wants_multipart(self) -> bool:
        """Whether it changes what a simple upload of a revision can't carry."""
        renamed = self.name is not None or self.description is not None
        return self.data_file_id is not None and renamed


async def upload(
    shared: Shared,
    given: UploadInput,
    target: Target,
    *,
    part_size: int | None,
    progress: ProgressFunction | None,
    verify: Verify,
) -> UploadResult:
    """Upload whatever the caller gave; see `DomoFilesSession.upload`."""
    source = await open_source(given, shared.threads, shared.buffers)
    try:
        return await _Upload(
            shared=shared,
            source=source,
            target=target,
            part_size=shared.transfer.part_size if part_size is None else part_size,
            progress=progress,
            verify=verify,
        ).run()
    finally:
        await source.aclose()


@attrs.define(eq=False, kw_only=True)
class _Upload:
    shared: Shared
    source: Source
    target: Target
    part_size: int | None
    progress: ProgressFunction | None
    verify: Verify
    transfer: int = attrs.field(init=False)
    began: float = attrs.field(init=False)
    name: str | None = attrs.field(init=False)
    content_type: str | None = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.transfer = self.shared.next_transfer()
        self.began = asyncio.get_running_loop().time()
        self.name = self.source.name if self.target.name is None else self.target.name
        self.content_type = (
            self.target.content_type or self.source.content_type or guess_type(self.name)
        )

    async def run(self) -> UploadResult:
        self._check()
        self.shared.emit(
            TransferStarted(
                kind="upload", name=self.name or "", size=self.source.size, transfer=self.transfer
            )
        )
        try:
            result = await self._run()
        except BaseException as error:
            self.shared.emit(
                TransferFailed(
                    kind="upload", error=error, elapsed=self._elapsed, transfer=self.transfer
                )
            )
            raise
        self.shared.emit(
            TransferFinished(
                kind="upload",
                data_file_id=result.data_file_id,
                revision_id=result.revision_id,
                size=result.size_bytes,
                elapsed=result.elapsed,
                transfer=self.transfer,
            )
        )
        return result

    def _check(self) -> None:
        """Refuse what can't be sent, before a byte is read."""
        if self.verify not in {"parts", "sha256", "none"}:
            raise InvalidArgumentError(
                f"verify must be 'parts', 'sha256' or 'none', not {self.verify!r}"
            )
        if self.name is None and self.target.data_file_id is None:
            raise InvalidArgumentError(
                "This source has no name of its own: say the name that the data file shall have"
            )
        self._opening("unnamed" if self.name is None else self.name, self.target.description)
        if self.source.size is not None:
            plan_parts(self.source.size, part_size=self.part_size)
        elif self.part_size is not None:
            check_stream_part_size(self.part_size, self.shared.transfer.memory_budget)

    async def _run(self) -> UploadResult:
        source = self.source
        if isinstance(source, StreamSource):
            return await self._stream(source)
        if self._goes_simple(source.size):
            async with simple_body(self.shared, source) as body:
                return await self._simple(body, source.size)
        hashed = self.verify != "none"
        supply: PartSupply = (
            ByteParts(self.shared, source, hashed=hashed)
            if isinstance(source, BytesSource)
            else RereadParts(self.shared, source, hashed=hashed)
        )
        plan = plan_parts(source.size, part_size=self.part_size)
        if self.verify != "sha256":
            return await self._multipart(UploadLedger(plan), supply, None)
        digesting = asyncio.create_task(self._digest(source))
        try:
            return await self._multipart(UploadLedger(plan), supply, lambda: digesting)
        finally:
            digesting.cancel()
            await asyncio.wait({digesting})

    async def _stream(self, source: StreamSource) -> UploadResult:
        threshold = self.shared.transfer.multipart_threshold
        ceiling = stream_ceiling(self.shared.transfer.memory_budget)
        plan = StreamPlan(self.part_size, ceiling)

        def unit_size(index: int) -> int:
            size = stream_part_size(index, asked=plan.asked, ceiling=ceiling)
            # The first unit decides which way it goes.
            return max(size, min(threshold, ceiling)) if index == 1 else size

        async with StreamCutter(source.chunks(), self.shared.buffers, unit_size) as cutter:
            first = await cutter.next_unit()
            size = 0 if first is None else first.size
            if (first is None or first.is_end) and self._goes_simple(size):
                try:
                    body = held_body(self.shared, [] if first is None else first.views)
                    return await self._simple(body, size)
                finally:
                    if first is not None:
                        first.release()
            whole = hashlib.sha256() if self.verify == "sha256" else None
            first_part = stream_part_size(1, asked=plan.asked, ceiling=ceiling)
            supply = StreamParts(
                self.shared,
                _pieces(first, first_part, cutter),
                hashed=self.verify != "none",
                whole=whole,
            )

            async def digest() -> str:
                assert whole is not None
                return whole.hexdigest()

            return await self._multipart(UploadLedger(plan), supply, digest if whole else None)

    def _goes_simple(self, size: int) -> bool:
        return size < self.shared.transfer.multipart_threshold and not self.target.wants_multipart

    async def _simple(self, body: SimpleBody, size: int) -> UploadResult:
        target = self.target
        sending = SimpleUpload(
            shared=self.shared,
            content_type=await self._typed(),
            transfer=self.transfer,
        )
        revision_id: int | None
        if target.data_file_id is None:
            assert self.name is not None
            data_file_id, revision_id = await sending.new_file(
                body,
                name=self.name,
                description=target.description,
                public=bool(target.public),
            )
        else:
            data_file_id = target.data_file_id
            revision_id = await sending.new_revision(body, data_file_id)
            if target.public is not None:
                await set_access(self.shared, data_file_id, revision_id, public=target.public)
        if self.progress is not None:
            self.progress(Progress(size, size, 0, 0))
        sha256 = None
        if self.verify == "sha256":
            _, sha256 = await body.evidence()
        return await self._result(data_file_id, revision_id, size, 0, sending.attempts, sha256)

    async def _multipart(
        self,
        ledger: UploadLedger,
        supply: PartSupply,
        digest: Callable[[], Awaitable[str]] | None,
    ) -> UploadResult:
        target = self.target
        name, description = self.name, target.description
        if target.data_file_id is not None:
            now = await self._current(target.data_file_id)
            name = now.name if target.name is None else target.name
            if description is None and now.metadata is not None:
                description = now.metadata.description
        assert name is not None
        self.name = name
        await self._typed()
        # An existing data file keeps its access unless the caller says otherwise.
        public = bool(target.public) if target.data_file_id is None else target.public
        ledger.access_asked = public is not None
        inquiry = Inquiry(
            operation="commit_multipart_session",
            began=self.began,
            data_file_id=target.data_file_id,
            name=name if target.data_file_id is None else None,
            transfer=self.transfer,
        )
        run = MultipartUpload(
            self.shared,
            ledger,
            supply,
            inquiry,
            opening=self._opening(name, description),
            content_type=self.content_type or UNTYPED,
            set_access=lambda data_file_id: set_access(
                self.shared, data_file_id, ledger.revision_id, public=bool(public)
            ),
            progress=self.progress,
        )
        self.shared.claims.begin(inquiry.key)
        try:
            await run.run()
        finally:
            self.shared.claims.end(inquiry.key)
        assert ledger.data_file_id is not None
        return await self._result(
            ledger.data_file_id,
            ledger.revision_id,
            ledger.bytes_accepted,
            ledger.parts_accepted,
            run.attempts,
            None if digest is None else await digest(),
        )

    async def _result(
        self,
        data_file_id: int,
        revision_id: int | None,
        size: int,
        parts: int,
        attempts: int,
        sha256: str | None,
    ) -> UploadResult:
        if sha256 is not None:
            revision_id = await check_stored(
                self.shared, data_file_id, revision_id, size=size, sha256=sha256
            )
        return UploadResult(
            data_file_id=data_file_id,
            revision_id=revision_id,
            name=self.name or "",
            size_bytes=size,
            content_type=self.content_type or UNTYPED,
            parts=parts,
            attempts=attempts,
            sha256=sha256,
            elapsed=self._elapsed,
        )

    def _opening(self, name: str, description: str | None) -> Request[SessionId]:
        content_type = self.content_type or UNTYPED
        if self.target.data_file_id is None:
            return requests.create_multipart_session(
                self.shared.rules, name=name, content_type=content_type, description=description
            )
        return requests.create_multipart_update_session(
            self.shared.rules,
            self.target.data_file_id,
            name=name,
            content_type=content_type,
            description=description,
        )

    async def _typed(self) -> str:
        """Settle the content type; a revision whose own says nothing has the file's."""
        if self.content_type is None and self.target.data_file_id is not None:
            now = (await self._current(self.target.data_file_id)).current_revision
            self.content_type = None if now is None else now.content_type
        self.content_type = self.content_type or UNTYPED
        return self.content_type

    async def _current(self, data_file_id: int) -> DataFile:
        return await self.shared.attempts.send(
            requests.get_file(self.shared.rules, data_file_id, expand=("metadata",))
        )

    async def _digest(self, source: Source) -> str:
        if isinstance(source, BytesSource):
            return await self.shared.threads.run(sha256_hex, [source.view])
        assert not isinstance(source, StreamSource)
        with await self.shared.buffers.lease(self.shared.buffers.chunk) as lease:
            return await source.digest(0, source.size, lease)

    @property
    def _elapsed(self) -> float:
        return asyncio.get_running_loop().time() - self.began


async def _pieces(
    first: Unit | None, first_part: int, cutter: StreamCutter
) -> AsyncIterator[Piece]:
    unit: Unit | None = Unit([], 0, is_end=True) if first is None else first
    size = first_part
    while unit is not None:
        for piece in unit.pieces(size):
            yield piece
        unit = await cutter.next_unit()
        if unit is not None:
            size = max(1, unit.size)
