"""Uploads: one request or parts, whichever the source and its target ask for."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Literal, TypeAlias

import attrs

from domo_files_async.engine.fingerprint import fingerprint, read_status
from domo_files_async.engine.journal import Draft, UploadJournal
from domo_files_async.engine.multipart import MultipartUpload
from domo_files_async.engine.outcomes import Inquiry
from domo_files_async.engine.parts import ByteParts, RereadParts, StreamParts
from domo_files_async.engine.resume import began, leave, look_for_simple, take_up
from domo_files_async.engine.simple import SimpleUpload, held_body, simple_body
from domo_files_async.engine.source import (
    UNTYPED,
    BytesSource,
    StreamSource,
    guess_type,
    open_source,
)
from domo_files_async.engine.stored import check_stored, set_access, uncompared
from domo_files_async.engine.stream import StreamCutter, Unit
from domo_files_async.engine.target import Naming, Target
from domo_files_async.engine.transfers import Transfer
from domo_files_async.errors import InvalidArgumentError, SourceError
from domo_files_async.events import Progress
from domo_files_async.models import UploadResult
from domo_files_async.planning.ledger import Resumed, State, StreamPlan, UploadLedger
from domo_files_async.planning.parts import (
    check_stream_part_size,
    plan_parts,
    stream_ceiling,
    stream_part_size,
)
from domo_files_async.protocol.arguments import checked_flag, checked_function

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from domo_files_async.engine.fingerprint import Fingerprint
    from domo_files_async.engine.journal import Entry
    from domo_files_async.engine.parts import PartSupply
    from domo_files_async.engine.shared import Shared
    from domo_files_async.engine.simple import SimpleBody
    from domo_files_async.engine.source import RereadableSource, Source, UploadInput
    from domo_files_async.engine.stream import Piece
    from domo_files_async.events import ProgressFunction

__all__ = ("Target", "Verify", "upload")

Verify: TypeAlias = Literal["parts", "sha256", "none"]


async def upload(
    shared: Shared,
    given: UploadInput,
    target: Target,
    *,
    part_size: int | None,
    progress: ProgressFunction | None,
    journal: UploadJournal | None = None,
    verify: Verify,
) -> UploadResult:
    """Upload whatever the caller gave; see `DomoFilesSession.upload`."""
    if not isinstance(journal, UploadJournal | None):
        raise InvalidArgumentError(f"journal must be an UploadJournal, not {journal!r}")
    await shared.entrance.enter()
    before = None if journal is None else await read_status(shared, given)
    source = await open_source(given, shared.threads, shared.buffers)
    try:
        seen = None
        if journal is not None:
            seen = await fingerprint(shared, given, source, before)
        return await _Upload(
            shared=shared,
            source=source,
            journal=journal,
            fingerprint=seen,
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
    journal: UploadJournal | None
    fingerprint: Fingerprint | None
    target: Target
    part_size: int | None
    progress: ProgressFunction | None
    verify: Verify
    entry: Entry | None = attrs.field(default=None, init=False)
    transfer: Transfer = attrs.field(init=False)
    naming: Naming = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.transfer = Transfer(self.shared, "upload")
        name = self.source.name if self.target.name is None else self.target.name
        self.naming = Naming(
            shared=self.shared,
            target=self.target,
            name=name,
            content_type=self.source.content_type or guess_type(name)
            if self.target.content_type is None
            else self.target.content_type,
        )

    async def run(self) -> UploadResult:
        self._check()
        with self.transfer.told(self.naming.name or "", self.source.size):
            result = await self._run()
        self.transfer.finish(result)
        return result

    def _check(self) -> None:
        """Refuse what can't be sent, before a byte is read."""
        checked_function("progress", self.progress)
        if self.target.public is not None:
            checked_flag("public", self.target.public)
        if self.verify not in ("parts", "sha256", "none"):
            raise InvalidArgumentError(
                f"verify must be 'parts', 'sha256' or 'none', not {self.verify!r}"
            )
        if self.naming.name is None and self.target.data_file_id is None:
            raise InvalidArgumentError(
                "This source has no name of its own: say the name that the data file shall have"
            )
        self.naming.check()
        if self.source.size is not None:
            plan_parts(self.source.size, part_size=self.part_size)
        elif self.part_size is not None:
            check_stream_part_size(self.part_size, self.shared.transfer.memory_budget)

    async def _run(self) -> UploadResult:
        source = self.source
        if isinstance(source, StreamSource):
            return await self._stream(source)
        if self.journal is None:
            return await self._reread(source)
        draft = self._draft(source.size)
        self.entry = await take_up(self.shared, self.journal, draft, self.transfer.number)
        try:
            if self.entry.is_simple:
                found = await self._found(source)
                if found is not None:
                    self.entry.drop()
                    return found
                self.entry.drop()
                self.entry = self.journal.entry(draft)
            result = await self._reread(source)
        except BaseException as error:
            leave(self.entry, error)
            raise
        self.entry.drop()
        return result

    def _draft(self, size: int) -> Draft:
        assert self.fingerprint is not None
        is_simple = self._goes_simple(size)
        return Draft(
            instance=self.shared.instance.url,
            surface=self.shared.rules.surface.value,
            identity=self.fingerprint.identity,
            fingerprint=self.fingerprint.state,
            target=self.target,
            size=size,
            part_size=None if is_simple else plan_parts(size, part_size=self.part_size).part_size,
        )

    async def _reread(self, source: RereadableSource | BytesSource) -> UploadResult:
        entry = self.entry
        ledger = None if entry is None else entry.ledger
        if ledger is None:
            if self._goes_simple(source.size):
                with await simple_body(self.shared, source) as body:
                    return await self._simple(body, source.size)
            plan = plan_parts(source.size, part_size=self.part_size)
            ledger = UploadLedger(plan, journaled=entry is not None)
            if entry is not None:
                entry.ledger = ledger
        hashed = self.verify != "none"
        supply: PartSupply = (
            ByteParts(self.shared, source, hashed=hashed)
            if isinstance(source, BytesSource)
            else RereadParts(self.shared, source, hashed=hashed)
        )
        if self.verify != "sha256":
            return await self._multipart(ledger, supply, None)
        digesting = [asyncio.create_task(self._digest(source))]

        async def digest() -> str:
            return await digesting[0]

        try:
            return await self._multipart(ledger, supply, digest)
        finally:
            digesting[0].cancel()
            await asyncio.wait(digesting)
            # Its error's traceback holds this frame.
            digesting.clear()

    async def _found(self, source: RereadableSource | BytesSource) -> UploadResult | None:
        """Find what a simple upload made whose answer no one saw."""
        assert self.entry is not None
        with await simple_body(self.shared, source) as body:
            made = await look_for_simple(
                self.shared, self.entry, self.transfer.number, body.evidence
            )
            if made is None:
                return None
            await self.naming.settle_type()
            return await self._simple_made(
                body, source.size, made.data_file_id, made.revision_id, attempts=1
            )

    async def _stream(self, source: StreamSource) -> UploadResult:
        threshold = self.shared.transfer.multipart_threshold
        ceiling = stream_ceiling(self.shared.transfer.memory_budget)
        plan = StreamPlan(self.part_size, ceiling)

        def unit_size(index: int) -> int:
            size = stream_part_size(index, asked=plan.asked, ceiling=ceiling)
            # The first unit decides which way it goes; then it is cut into parts.
            return size * max(1, -(-min(threshold, ceiling) // size)) if index == 1 else size

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
            content_type=await self.naming.settle_type(),
            transfer=self.transfer.number,
            before=None if self.entry is None else self._write_down,
        )
        revision_id: int | None
        if target.data_file_id is None:
            assert self.naming.name is not None
            data_file_id, revision_id = await sending.new_file(
                body,
                name=self.naming.name,
                description=target.description,
                public=bool(target.public),
            )
        else:
            data_file_id = target.data_file_id
            revision_id = await sending.new_revision(body, data_file_id)
        return await self._simple_made(
            body, size, data_file_id, revision_id, attempts=sending.attempts
        )

    async def _write_down(self) -> None:
        assert self.entry is not None
        self.entry.sent = self.naming.sent(self.target.description)
        self.entry.since = self.shared.clock.since(asyncio.get_running_loop().time())
        await self.entry.open()

    async def _simple_made(
        self,
        body: SimpleBody,
        size: int,
        data_file_id: int,
        revision_id: int | None,
        *,
        attempts: int,
    ) -> UploadResult:
        target = self.target
        if self.entry is not None:
            self.entry.is_made = True
        if target.data_file_id is not None and target.public is not None:
            await set_access(self.shared, data_file_id, revision_id, public=target.public)
        if self.progress is not None:
            self.progress(Progress(size, size, 0, 0))

        async def digest() -> str | None:
            return (await body.evidence())[1]

        asked = digest if self.verify == "sha256" else None
        return await self._result(data_file_id, revision_id, size, 0, attempts, asked)

    async def _multipart(
        self,
        ledger: UploadLedger,
        supply: PartSupply,
        digest: Callable[[], Awaitable[str]] | None,
    ) -> UploadResult:
        target, entry = self.target, self.entry
        sent = None if entry is None else entry.sent
        if sent is None:
            sent = await self.naming.settle()
        if entry is not None:
            entry.sent = sent
        self.naming.name, self.naming.content_type = sent.name, sent.content_type
        public = target.access
        ledger.access_asked = public is not None
        is_taken_up = entry is not None and entry.is_taken_up
        inquiry = Inquiry(
            operation="commit_multipart_session",
            began=began(entry) if entry is not None and is_taken_up else self.transfer.began,
            data_file_id=target.data_file_id,
            name=sent.name if target.data_file_id is None else None,
            size=ledger.bytes_planned if is_taken_up else None,
            transfer=self.transfer.number,
            since=entry.since if entry is not None else None,
        )
        run = MultipartUpload(
            self.shared,
            ledger,
            supply,
            inquiry,
            opening=self.naming.opening(sent),
            content_type=sent.content_type,
            set_access=lambda data_file_id: set_access(
                self.shared, data_file_id, ledger.revision_id, public=bool(public)
            ),
            progress=self.progress,
            entry=entry,
        )
        if entry is not None and is_taken_up:
            ledger.advance(Resumed())
            entry.note(Resumed())
            if ledger.state is State.COMMIT_UNKNOWN:
                # Nobody remembers what else was under way then, under the same name.
                inquiry.sha256 = await (digest() if digest else self._digest(self.source))
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
            digest,
        )

    async def _result(
        self,
        data_file_id: int,
        revision_id: int | None,
        size: int,
        parts: int,
        attempts: int,
        digest: Callable[[], Awaitable[str | None]] | None,
    ) -> UploadResult:
        try:
            sha256 = None if digest is None else await digest()
        except SourceError:
            # The source's own error says that nothing was committed.
            raise uncompared(data_file_id, revision_id) from None
        if sha256 is not None:
            revision_id = await check_stored(
                self.shared, data_file_id, revision_id, size=size, sha256=sha256
            )
        return UploadResult(
            data_file_id=data_file_id,
            revision_id=revision_id,
            name=self.naming.name or "",
            size_bytes=size,
            content_type=self.naming.content_type or UNTYPED,
            parts=parts,
            attempts=attempts,
            sha256=sha256,
            elapsed=self.transfer.elapsed,
        )

    async def _digest(self, source: Source) -> str:
        if isinstance(source, BytesSource):
            return await self.shared.threads.sha256_hex((), [source.view])
        assert not isinstance(source, StreamSource)
        with await self.shared.buffers.lease(self.shared.buffers.chunk) as lease:
            return await source.digest(0, source.size, lease)


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
