"""Multipart sessions: opened, given parts, committed or aborted."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from domo_files_async.emulator.files import add_revision, make_file, make_revision, now
from domo_files_async.emulator.permissions import find_by_id, find_file
from domo_files_async.emulator.rules import (
    LIKE_ANY_OTHER,
    Refusal,
    check_announced,
    check_checksum,
    check_complete,
    check_echo,
    check_part_index,
    check_part_sizes,
    check_session,
    check_size,
    read_session_request,
)
from domo_files_async.emulator.store import UploadSession

if TYPE_CHECKING:
    from aiohttp import web

    from domo_files_async.emulator.exchange import Exchange
    from domo_files_async.emulator.store import DataFile, Revision

__all__ = ("abort", "commit", "create_session", "create_update_session", "upload_part")


async def create_session(exchange: Exchange) -> web.StreamResponse:
    """Open a multipart session for a new data file."""
    return await _create(exchange, None)


async def create_update_session(exchange: Exchange) -> web.StreamResponse:
    """Open a multipart session for a new revision."""
    return await _create(exchange, find_file(exchange, "WRITE").id)


async def upload_part(exchange: Exchange) -> web.StreamResponse:
    """Take a part; the last one under an index counts, and half a one never does."""
    index = check_part_index(exchange.parameters["index"])
    session = await _find(exchange)
    check_session(session.state)
    announced = exchange.query.get("checksum")
    check_announced(announced)
    blob, _ = await exchange.receive(exchange.behaviour.max_part_size)
    try:
        # While the body came, the multipart session may have ended.
        check_session(session.state)
        status = exchange.behaviour.checksum_status
        check_checksum(index, announced, blob.sha256, status=status)
    except Refusal:
        await exchange.store.release([blob])
        raise
    await exchange.store.save_part(session, index, blob)
    return exchange.reply({"sessionId": session.id})


async def commit(exchange: Exchange) -> web.StreamResponse:
    """Make a revision of the parts."""
    began = now()
    behaviour = exchange.behaviour
    session = await _find(exchange)
    check_echo(await exchange.json(empty={}), "sessionId", session.id)
    if session.made and behaviour.second_commit_status in LIKE_ANY_OTHER:
        return _committed(exchange, session.made)
    check_session(
        session.state,
        aborted_status=behaviour.commit_after_abort_status,
        committed_status=behaviour.second_commit_status,
    )
    check_complete(session.parts, missing_status=behaviour.missing_part_status)
    sizes = {index: part.size for index, part in session.parts.items()}
    check_part_sizes(sizes, behaviour.min_part_size)
    check_size(sum(sizes.values()), behaviour.max_file_size)
    # From here on no part, no abort and no other commit can come between.
    session.state = "committing"
    try:
        blobs = [session.parts[index] for index in sorted(session.parts)]
        revision = await make_revision(exchange, blobs, session.content_type, began)
        file = _target(exchange, session, revision)
    except BaseException:
        session.state = "open"
        raise
    session.state, session.made, session.parts = "committed", (file.id, revision.id), {}
    await exchange.store.save(file, session)
    return _committed(exchange, session.made)


async def abort(exchange: Exchange) -> web.StreamResponse:
    """Drop the parts."""
    session = await _find(exchange)
    await exchange.drain()
    second = exchange.behaviour.second_abort_status
    if session.state != "aborted" or second not in LIKE_ANY_OTHER:
        check_session(session.state, aborted_status=second)
        await _drop(exchange, session, "aborted")
    return exchange.reply({"sessionId": session.id})


def _target(exchange: Exchange, session: UploadSession, revision: Revision) -> DataFile:
    if session.data_file_id is None:
        # The page knows no `public` here, so that the surface's own default holds.
        public = exchange.is_product
        return make_file(exchange, session.name, session.description, revision, public=public)
    file = find_by_id(exchange, session.data_file_id, "WRITE")
    add_revision(file, revision, session.name, session.description)
    return file


async def _create(exchange: Exchange, data_file_id: int | None) -> web.StreamResponse:
    said = await exchange.json()
    name, description, content_type = read_session_request(said)
    if data_file_id is not None:
        check_echo(said, "fileId", str(data_file_id))
    session = UploadSession(
        id=str(secrets.randbelow(9 * 10**15) + 10**15),
        owner=exchange.user.id,
        data_file_id=data_file_id,
        name=name,
        description=description,
        content_type=content_type,
        opened=now(),
    )
    await exchange.store.save(session)
    return exchange.reply({"sessionId": session.id})


async def _find(exchange: Exchange) -> UploadSession:
    session = exchange.store.sessions.get(exchange.parameters["session_id"])
    if session is None or session.owner != exchange.user.id:
        raise Refusal(404, "There is no such upload session.")
    life = exchange.behaviour.session_life
    if session.state == "open" and life is not None and now() - session.opened >= life * 1000:
        await _drop(exchange, session, "gone")
    if session.state == "gone":
        raise Refusal(exchange.behaviour.lost_session_status, "The upload session has expired.")
    return session


async def _drop(exchange: Exchange, session: UploadSession, state: str) -> None:
    parts, session.parts = list(session.parts.values()), {}
    session.state = state
    await exchange.store.save(session)
    await exchange.store.release(parts)


def _committed(exchange: Exchange, made: tuple[int, int]) -> web.StreamResponse:
    data_file_id, revision_id = made
    return exchange.reply({"dataFileId": str(data_file_id), "revisionId": str(revision_id)})
