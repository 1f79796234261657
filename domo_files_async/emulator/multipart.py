"""Multipart sessions: opened, given parts, committed or aborted."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from domo_files_async.emulator.content import Writer
from domo_files_async.emulator.files import add_file, make_revision, now
from domo_files_async.emulator.permissions import find_file
from domo_files_async.emulator.rules import (
    Refusal,
    check_checksum,
    check_complete,
    check_part_index,
    check_session,
    read_session_request,
)
from domo_files_async.emulator.store import UploadSession

if TYPE_CHECKING:
    from aiohttp import web

    from domo_files_async.emulator.exchange import Exchange

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
    session = _find(exchange)
    check_session(session.state)
    announced = exchange.query.get("checksum")
    check_checksum(index, announced, None)
    limit = exchange.behaviour.max_part_size
    async with Writer(exchange.store.vault) as writer:
        size = 0
        async for piece in exchange.body():
            size += len(piece)
            if limit is not None and size > limit:
                raise Refusal(413, f"A part may have {limit} bytes.")
            await writer.write(piece)
        blob = await writer.finish()
    try:
        check_session(session.state)
        check_checksum(index, announced, blob.sha256)
    except Refusal as refusal:
        await exchange.store.forget_blobs([blob])
        if "checksum" in refusal.message:
            refusal.status = exchange.behaviour.checksum_status
        raise
    await exchange.store.save_part(session, index, blob)
    return exchange.reply({"sessionId": session.id})


async def commit(exchange: Exchange) -> web.StreamResponse:
    """Make a revision of the parts."""
    began = now()
    session = _find(exchange)
    await exchange.drain()
    second = exchange.behaviour.second_commit_status
    if session.state == "committed" and second == 200 and session.made:  # noqa: PLR2004 - success
        return _committed(exchange, session)
    check_session(session.state, committed_status=second)
    check_complete(session.parts)
    # From here on no other commit and no abort can come between.
    session.state = "committed"
    blobs = [session.parts[index] for index in sorted(session.parts)]
    revision = await make_revision(exchange, blobs, session.content_type, began)
    if session.data_file_id is None:
        # The page knows no `public` here, so that the surface's own default holds.
        file = await add_file(
            exchange, session.name, session.description, revision, public=exchange.is_product
        )
    else:
        found = exchange.store.files.get(session.data_file_id)
        if found is None:
            session.state = "open"
            raise Refusal(404, f"There is no data file {session.data_file_id} any more.")
        file = found
        file.name = session.name
        file.description = session.description
        file.revisions.append(revision)
        await exchange.store.save_file(file)
    session.made = (file.id, revision.id)
    await exchange.store.drop_parts(session, with_bytes=False)
    await exchange.store.save_session(session)
    return _committed(exchange, session)


async def abort(exchange: Exchange) -> web.StreamResponse:
    """Drop the parts."""
    session = _find(exchange)
    second = exchange.behaviour.second_abort_status
    if session.state == "aborted" and second == 200:  # noqa: PLR2004 - success
        return exchange.reply({"sessionId": session.id})
    check_session(session.state, aborted_status=second)
    session.state = "aborted"
    await exchange.store.drop_parts(session, with_bytes=True)
    await exchange.store.save_session(session)
    return exchange.reply({"sessionId": session.id})


async def _create(exchange: Exchange, data_file_id: int | None) -> web.StreamResponse:
    name, description, content_type = read_session_request(await exchange.json())
    session = UploadSession(
        id=str(secrets.randbelow(9 * 10**15) + 10**15),
        owner=exchange.user.id,
        data_file_id=data_file_id,
        name=name,
        description=description,
        content_type=content_type,
    )
    await exchange.store.save_session(session)
    return exchange.reply({"sessionId": session.id})


def _find(exchange: Exchange) -> UploadSession:
    session = exchange.store.sessions.get(exchange.parameters["session_id"])
    if session is None or session.owner != exchange.user.id:
        raise Refusal(404, "There is no such upload session.")
    return session


def _committed(exchange: Exchange, session: UploadSession) -> web.StreamResponse:
    assert session.made is not None
    data_file_id, revision_id = session.made
    return exchange.reply({"dataFileId": str(data_file_id), "revisionId": str(revision_id)})
