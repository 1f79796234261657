"""Endpoints that take more than one request: batches, waiting, changing what was read."""

from __future__ import annotations

import asyncio
import enum
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from domo_files_async.config import Surface
from domo_files_async.engine.bodies import HeldBody
from domo_files_async.engine.outcomes import Inquiry, listed, send_once
from domo_files_async.engine.simple import SimpleUpload, simple_body
from domo_files_async.engine.source import UNTYPED, guess_type, open_source
from domo_files_async.engine.views import view_of
from domo_files_async.errors import (
    ApiError,
    DomoFilesError,
    InvalidArgumentError,
    ScanRejectedError,
    ScanTimeoutError,
)
from domo_files_async.models import CommittedUpload, PermissionEntry
from domo_files_async.planning.outcome import Ambiguous, Made, look_delays
from domo_files_async.planning.retry import GONE, is_answer_lost
from domo_files_async.protocol import requests
from domo_files_async.protocol.arguments import checked_ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from domo_files_async.engine.shared import Shared
    from domo_files_async.engine.source import BytesLike, UploadInput
    from domo_files_async.models import DataFile, Permissions, SessionId
    from domo_files_async.protocol.messages import Request

__all__ = (
    "COMPUTE",
    "Checksum",
    "change_access",
    "commit",
    "copy_revision",
    "create_session",
    "duplicate_file",
    "list_files",
    "remove",
    "upload_file",
    "upload_part",
    "upload_revision",
    "wait_for_scan",
)


class _Compute(enum.Enum):
    COMPUTE = "compute"

    def __repr__(self) -> str:
        return "COMPUTE"


COMPUTE: Final = _Compute.COMPUTE
"""As a part's checksum: the SHA-256 of its bytes, computed here."""

Checksum: TypeAlias = str | Literal[_Compute.COMPUTE] | None

_REJECTED = frozenset({"UNSAFE", "INFECTED", "REJECTED", "FAILED"})
_LONGEST_SCAN_WAIT = 5.0


async def upload_file(
    shared: Shared,
    given: UploadInput,
    *,
    name: str | None,
    description: str | None,
    public: bool,
    content_type: str | None,
) -> int:
    """Send one simple upload; see `DomoFilesSession.upload_file`."""
    await shared.entrance.enter()
    source = await open_source(given, shared.threads, shared.buffers)
    try:
        called = source.name if name is None else name
        if called is None:
            raise InvalidArgumentError(
                "This source has no name of its own: say the name that the data file shall have"
            )
        sending = SimpleUpload(
            shared=shared, content_type=_typed(content_type, source.content_type, called)
        )
        sending.file_request(name=called, description=description, public=public)
        with await simple_body(shared, source) as body:
            data_file_id, _ = await sending.new_file(
                body, name=called, description=description, public=public
            )
        return data_file_id
    finally:
        await source.aclose()


async def upload_revision(
    shared: Shared, data_file_id: int, given: UploadInput, *, content_type: str | None
) -> int:
    """Send one simple upload of a revision; see `DomoFilesSession.upload_revision`."""
    await shared.entrance.enter()
    source = await open_source(given, shared.threads, shared.buffers)
    try:
        sending = SimpleUpload(
            shared=shared, content_type=_typed(content_type, source.content_type, source.name)
        )
        sending.revision_request(data_file_id)
        with await simple_body(shared, source) as body:
            return await sending.new_revision(body, data_file_id)
    finally:
        await source.aclose()


async def upload_part(
    shared: Shared,
    session_id: str,
    index: int,
    part: BytesLike,
    *,
    content_type: str,
    checksum: Checksum,
) -> None:
    """Send one part of the caller's own multipart session."""
    view = view_of(part)
    if view is None:
        raise InvalidArgumentError(f"A part must be bytes, not {type(part).__name__}")
    digest = None if isinstance(checksum, _Compute) else checksum
    requests.upload_part(
        shared.rules, session_id, index, content_type=content_type, checksum=digest
    )
    if isinstance(checksum, _Compute):
        digest = await shared.threads.sha256_hex((), [view])
    request = requests.upload_part(
        shared.rules, session_id, index, content_type=content_type, checksum=digest
    )
    async with shared.limits.permit(session_id):
        await shared.attempts.send(request, HeldBody([view]))
    shared.drafts.part_sent(session_id, index, len(view))


async def create_session(
    shared: Shared, request: Request[SessionId], *, name: str, data_file_id: int | None
) -> SessionId:
    """Open a multipart session of the caller's own, and remember what its commit would leave."""
    inquiry = _inquiry("commit_multipart_session", data_file_id=data_file_id)
    inquiry.name = name if data_file_id is None else None
    inquiry.session_id = session_id = await shared.attempts.send(request)
    shared.drafts.add(session_id, inquiry)
    return session_id


async def commit(shared: Shared, session_id: str) -> CommittedUpload:
    """Commit the caller's own multipart session; when the answer is lost, find out.

    Between looks the commit is sent again: a multipart session commits at most once.
    """
    request = requests.commit_multipart_session(shared.rules, session_id)
    try:
        made = await shared.attempts.send(request)
    except DomoFilesError as error:
        if not is_answer_lost(error):
            raise
        made = await _find_commit(shared, request, session_id, error)
    shared.claims.made("file", made.data_file_id)
    shared.claims.made("revision", made.revision_id)
    shared.drafts.forget(session_id)
    return made


async def _find_commit(
    shared: Shared, request: Request[CommittedUpload], session_id: str, lost: DomoFilesError
) -> CommittedUpload:
    inquiry = shared.drafts.inquiry(session_id)
    seen, refused = "nothing like it was seen", False
    for delay in look_delays(shared.retry):
        await asyncio.sleep(delay)
        try:
            verdict = await inquiry.look(shared)
            if isinstance(verdict, Made) and verdict.revision_id is not None:
                return CommittedUpload(verdict.data_file_id, verdict.revision_id)
            if isinstance(verdict, Ambiguous):
                seen = verdict.seen
            if not refused:
                return await shared.attempts.send(request)
        except DomoFilesError as error:
            seen = f"the last answer was: {error}"
            refused = refused or not is_answer_lost(error)
    raise inquiry.unknown(seen, lost)


async def remove(shared: Shared, request: Request[None]) -> None:
    """Delete or abort; what a retry finds gone was removed by the attempt whose answer was lost."""
    lost = False

    def on_retry(attempt: int, delay: float, error: DomoFilesError) -> None:  # noqa: ARG001
        nonlocal lost
        lost = lost or is_answer_lost(error)

    try:
        await shared.attempts.send(request, on_retry=on_retry)
    except ApiError as error:
        if not (lost and error.status in GONE):
            raise


async def list_files(
    shared: Shared,
    *,
    ids: Iterable[int] | None,
    expand: Sequence[str],
    limit_to_owned: bool,
) -> list[DataFile]:
    """List data files in as many requests as it takes, in the order asked."""
    wanted = None if ids is None else checked_ids(ids)
    asks_who = limit_to_owned is True and shared.rules.surface is Surface.PRODUCT
    batches = requests.list_files(
        shared.rules,
        ids=wanted,
        expand=expand,
        limit_to_owned=False if asks_who else limit_to_owned,
    )
    if batches and asks_who:
        user_id = await shared.attempts.send(requests.get_current_user(shared.rules))
        batches = requests.list_files(
            shared.rules, ids=wanted, expand=expand, limit_to_owned=True, user_id=user_id
        )
    files = await listed(shared, batches)
    if wanted is None:
        return files
    by_id = {file.data_file_id: file for file in files}
    return [by_id[one] for one in dict.fromkeys(wanted) if one in by_id]


async def copy_revision(shared: Shared, source_id: int, target_id: int) -> int:
    """Copy a data file's current revision as a new one of another."""
    request = requests.copy_revision(shared.rules, source_id, target_id)
    inquiry = _inquiry(request.operation, data_file_id=target_id)
    answer = await send_once(
        shared,
        inquiry,
        lambda: shared.attempts.send(request),
        evidence=lambda: _content_of(shared, source_id),
    )
    revision_id = answer.revision_id if isinstance(answer, Made) else answer
    assert revision_id is not None
    shared.claims.made("revision", revision_id)
    return revision_id


async def duplicate_file(shared: Shared, data_file_id: int) -> DataFile:
    """Make a new data file with the same content."""
    request = requests.duplicate_file(shared.rules, data_file_id)
    answer = await send_once(
        shared,
        _inquiry(request.operation),
        lambda: shared.attempts.send(request),
        evidence=lambda: _content_of(shared, data_file_id),
    )
    shared.claims.made("file", answer.data_file_id)
    if isinstance(answer, Made):
        return await shared.attempts.send(requests.get_file(shared.rules, answer.data_file_id))
    return answer


async def wait_for_scan(shared: Shared, data_file_id: int, *, timeout: float) -> DataFile:  # noqa: ASYNC109 - the contract's name
    """Wait until a data file is scanned; see `DomoFilesSession.wait_for_scan`."""
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout >= 0:
        raise InvalidArgumentError(f"timeout must be a number of seconds, not {timeout!r}")
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    wait = min(_LONGEST_SCAN_WAIT, shared.retry.initial_backoff)
    state: str | None = None
    request = requests.get_file(shared.rules, data_file_id)
    try:
        async with asyncio.timeout_at(None if timeout == 0 else deadline):
            while True:
                file = await shared.attempts.send(request)
                state = file.current_revision.scan_state if file.current_revision else None
                if state == "SAFE":
                    return file
                if state in _REJECTED:
                    raise ScanRejectedError(data_file_id=data_file_id, scan_state=state)
                if loop.time() >= deadline:
                    break
                await asyncio.sleep(wait)
                wait = min(_LONGEST_SCAN_WAIT, 2 * wait)
    except TimeoutError:
        pass
    raise ScanTimeoutError(
        f"Data file {data_file_id} wasn't scanned within {timeout:g} s; its state is "
        f"{state or 'not known'}. Wait longer, or look again later"
    )


async def change_access(
    shared: Shared,
    data_file_id: int,
    *,
    entries: Sequence[PermissionEntry] = (),
    principals: Sequence[tuple[str, str | int]] = (),
) -> Permissions:
    """Read the permissions, change them, write them; give them as they are then."""
    for entry in entries:
        if not isinstance(entry, PermissionEntry):
            raise InvalidArgumentError(f"Entries are PermissionEntry objects, not {entry!r}")
    for one in principals:
        match one:
            case (str(), str() | int()) if isinstance(one, tuple) and not isinstance(one[1], bool):
                continue
        raise InvalidArgumentError(f"A principal is (entity_type, entity_id), not {one!r}")
    reading = requests.get_permissions(shared.rules, data_file_id)
    now = wanted = await shared.attempts.send(reading)
    for entry in entries:
        wanted = wanted.with_entry(entry)
    for entity_type, entity_id in principals:
        wanted = wanted.without_entry(entity_type, entity_id)
    if wanted == now:
        return now
    await shared.attempts.send(requests.update_permissions(shared.rules, data_file_id, wanted))
    return await shared.attempts.send(reading)


async def _content_of(shared: Shared, data_file_id: int) -> tuple[int | None, str | None]:
    file = await shared.attempts.send(requests.get_file(shared.rules, data_file_id))
    now = file.current_revision
    return (None, None) if now is None else (now.size_bytes, now.sha256_hash_value)


def _inquiry(operation: str, *, data_file_id: int | None = None) -> Inquiry:
    began = asyncio.get_running_loop().time()
    return Inquiry(operation=operation, began=began, data_file_id=data_file_id)


def _typed(given: str | None, said: str | None, name: str | None) -> str:
    return (said or guess_type(name) or UNTYPED) if given is None else given
