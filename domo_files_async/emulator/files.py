"""Data files and their revisions: uploads, details, downloads, deletions."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import attrs
from aiohttp import web

from domo_files_async.emulator.content import digest_of, read_blobs
from domo_files_async.emulator.permissions import find_file, has_right, owner_entry
from domo_files_async.emulator.rules import (
    Refusal,
    check_name,
    parse_range,
    read_expand,
    read_flag,
    read_ids,
)
from domo_files_async.emulator.store import DataFile, Revision

if TYPE_CHECKING:
    from domo_files_async.emulator.content import Blob
    from domo_files_async.emulator.exchange import Exchange

__all__ = (
    "add_revision",
    "copy_revision",
    "delete_file",
    "delete_revision",
    "download",
    "duplicate_file",
    "get_current_user",
    "get_file",
    "get_revision",
    "list_files",
    "list_revisions",
    "make_file",
    "make_revision",
    "now",
    "upload_file",
    "upload_revision",
)

_UNTYPED = "application/octet-stream"
_NEWEST = -1


def now() -> int:
    """Give the service's clock in epoch milliseconds."""
    return time.time_ns() // 1_000_000


async def upload_file(exchange: Exchange) -> web.StreamResponse:
    """Make a data file of one body."""
    began = now()
    name = check_name(exchange.query.get("name"))
    public = read_flag("public", exchange.query.get("public"), default=exchange.is_product)
    blob, content_type = await _receive(exchange)
    revision = await make_revision(exchange, [blob], content_type, began)
    file = make_file(exchange, name, exchange.query.get("description"), revision, public=public)
    await exchange.store.save(file)
    return exchange.reply({"dataFileId": file.id})


async def upload_revision(exchange: Exchange) -> web.StreamResponse:
    """Make a revision of one body."""
    began = now()
    file = find_file(exchange, "WRITE")
    public = file.public
    if exchange.is_product:
        public = read_flag("public", exchange.query.get("public"), default=public)
    if public != file.public:
        find_file(exchange, "SHARE")
    blob, content_type = await _receive(exchange)
    try:
        revision = await make_revision(exchange, [blob], content_type, began)
        # While the body came, the data file may have gone, or the right.
        file = find_file(exchange, "WRITE")
    except Refusal:
        await exchange.store.release([blob])
        raise
    description = file.description
    if exchange.is_product:
        file.public = read_flag("public", exchange.query.get("public"), default=file.public)
        description = exchange.query.get("description", description)
    add_revision(file, revision, file.name, description)
    await exchange.store.save(file)
    return exchange.reply({"revisionId": revision.id})


async def list_files(exchange: Exchange) -> web.StreamResponse:
    """Answer the details of all data files that the caller can see."""
    texts = exchange.every("dataFileIds" if exchange.is_product else "ids")
    wanted = set(read_ids(texts)) if texts else None
    owner: int | None = None
    if not exchange.is_product:
        owned = read_flag("limitToOwned", exchange.query.get("limitToOwned"), default=False)
        owner = exchange.user.id if owned else None
    elif "userId" in exchange.query:
        (owner,) = read_ids(exchange.every("userId")[-1:])
    expand = read_expand(exchange.every("expand"))
    files = [
        file
        for _, file in sorted(exchange.store.files.items())
        if (wanted is None or file.id in wanted)
        and owner in (None, file.owner)
        and has_right(exchange, file, "READ")
    ]
    shown = [_details(seen, expand, _millis) for seen in map(_look, files) if seen is not None]
    return exchange.reply(shown[: exchange.behaviour.most_listed])


async def get_file(exchange: Exchange) -> web.StreamResponse:
    """Answer one data file's details."""
    seen = _find_seen(exchange)
    return exchange.reply(_details(seen, read_expand(exchange.every("expand")), _text_date))


async def get_revision(exchange: Exchange) -> web.StreamResponse:
    """Answer one revision's details; -1 is the newest."""
    seen = _find_seen(exchange)
    return exchange.reply(_revision_details(seen, _find_revision(exchange, seen), _text_date))


async def list_revisions(exchange: Exchange) -> web.StreamResponse:
    """Answer all revisions' details."""
    seen = _find_seen(exchange)
    return exchange.reply([_revision_details(seen, one, _text_date) for one in seen.revisions])


async def download(exchange: Exchange) -> web.StreamResponse:
    """Answer the bytes of a revision, or a range of them.

    Source: RFC 9110, sections 13.1 and 14.
    """
    file = find_file(exchange, "READ")
    revision = file.revisions[-1]
    if "revision_id" in exchange.parameters:
        revision = _find_revision(exchange, file)
    etag = f'"{revision.sha256}"'
    if exchange.headers.get("If-None-Match") in {etag, "*"}:
        return web.Response(status=304, headers={"ETag": etag})
    ranges = exchange.behaviour.ranges and exchange.headers.get("If-Range", etag) == etag
    chosen = parse_range(exchange.headers.get("Range") if ranges else None, revision.size)
    start, stop = chosen or (0, revision.size)
    name = exchange.query.get("fileName", file.name)
    reply = web.StreamResponse(status=206 if chosen else 200)
    reply.headers["Content-Type"] = revision.content_type
    if exchange.behaviour.etag:
        reply.headers["ETag"] = etag
    reply.headers["Content-Disposition"] = (
        f"attachment; filename*=UTF-8''{quote(name, safe='', errors='replace')}"
    )
    if exchange.behaviour.ranges:
        reply.headers["Accept-Ranges"] = "bytes"
    if chosen:
        reply.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{revision.size}"
    store = exchange.store
    chunks = read_blobs(store.vault, store.workers, revision.blobs, start, stop)
    return await exchange.send(reply, stop - start, chunks, revision.blobs)


async def delete_revision(exchange: Exchange) -> web.StreamResponse:
    """Delete one revision; with the last one the data file goes."""
    file = find_file(exchange, "DELETE")
    revision = _find_revision(exchange, file)
    file.revisions = [one for one in file.revisions if one is not revision]
    await exchange.store.save(file)
    await exchange.store.release(revision.blobs)
    return exchange.reply({"success": True})


async def delete_file(exchange: Exchange) -> web.StreamResponse:
    """Delete a data file with all its revisions."""
    file = find_file(exchange, "DELETE")
    revisions, file.revisions = file.revisions, []
    await exchange.store.save(file)
    await exchange.store.release([blob for one in revisions for blob in one.blobs])
    return exchange.reply({"success": True})


async def copy_revision(exchange: Exchange) -> web.StreamResponse:
    """Copy a data file's current revision as a new one of another."""
    source, target = find_file(exchange, "READ"), find_file(exchange, "WRITE", "target_id")
    revision = _copied(exchange, source)
    add_revision(target, revision, target.name, target.description)
    await exchange.store.save(target)
    return exchange.reply({"revisionId": revision.id})


async def duplicate_file(exchange: Exchange) -> web.StreamResponse:
    """Make a new data file with the same content, private."""
    source = find_file(exchange, "READ")
    revision = _copied(exchange, source)
    file = make_file(exchange, source.name, source.description, revision, public=False)
    await exchange.store.save(file)
    return exchange.reply(_details(file, set(), _text_date))


async def get_current_user(exchange: Exchange) -> web.StreamResponse:
    """Answer who the caller is."""
    return exchange.reply({"id": exchange.user.id, "displayName": exchange.user.name})


async def make_revision(
    exchange: Exchange, blobs: list[Blob], content_type: str, began: int
) -> Revision:
    """Make a revision of blobs that follow each other."""
    sha256, md5 = await digest_of(exchange.store.vault, exchange.store.workers, blobs)
    uploaded = now()
    return Revision(
        id=exchange.store.next_revision_id(),
        content_type=content_type,
        uploader=exchange.user.id,
        uploaded=uploaded,
        elapsed=uploaded - began,
        size=sum(blob.size for blob in blobs),
        md5=md5,
        sha256=sha256,
        blobs=blobs,
        scan_state=exchange.behaviour.scan_state,
        hidden_for=exchange.behaviour.visibility_lag,
    )


def make_file(
    exchange: Exchange, name: str, description: str | None, revision: Revision, *, public: bool
) -> DataFile:
    """Make a data file of its first revision."""
    return DataFile(
        id=exchange.store.next_file_id(),
        name=name,
        description=description,
        owner=exchange.user.id,
        created=revision.uploaded,
        public=public,
        entries=[owner_entry(exchange.user.id)],
        revisions=[revision],
    )


def add_revision(file: DataFile, revision: Revision, name: str, description: str | None) -> None:
    """Make *revision* the current one, and the file's name and description what they are now."""
    if not any(one.hidden_for for one in file.revisions):
        file.former = (file.name, file.description) if revision.hidden_for else None
    file.revisions.append(revision)
    file.name, file.description = name, description


async def _receive(exchange: Exchange) -> tuple[Blob, str]:
    sent = exchange.headers.get("Content-Type", _UNTYPED)
    is_form = sent.partition(";")[0].strip().lower() == "multipart/form-data"
    if not is_form and not exchange.is_product:
        raise Refusal(400, "The request body must be form data with a field 'file'.")
    blob, in_form = await exchange.receive(
        exchange.behaviour.max_file_size, form_type=sent if is_form else None
    )
    return blob, (in_form or _UNTYPED) if is_form else sent


def _copied(exchange: Exchange, source: DataFile) -> Revision:
    current = source.revisions[-1]
    exchange.store.hold(current.blobs)
    return attrs.evolve(
        current,
        id=exchange.store.next_revision_id(),
        uploader=exchange.user.id,
        uploaded=now(),
        hidden_for=exchange.behaviour.visibility_lag,
    )


def _find_revision(exchange: Exchange, file: DataFile) -> Revision:
    revision_id = exchange.id_of("revision_id")
    if revision_id == _NEWEST and exchange.is_product:
        return file.revisions[-1]
    for revision in file.revisions:
        if revision.id == revision_id:
            return revision
    raise Refusal(404, f"Data file {file.id} has no revision {revision_id}.")


def _find_seen(exchange: Exchange) -> DataFile:
    seen = _look(find_file(exchange, "READ"))
    if seen is None:
        raise Refusal(404, f"There is no data file {exchange.id_of('file_id')}.")
    return seen


def _look(file: DataFile) -> DataFile | None:
    """Give what can be seen of a data file by now; each look brings what is hidden nearer."""
    seen = [revision for revision in file.revisions if not revision.hidden_for]
    if len(seen) == len(file.revisions):
        return file
    for revision in file.revisions:
        revision.hidden_for = max(0, revision.hidden_for - 1)
    if not seen:
        return None
    name, description = file.former or (file.name, file.description)
    return attrs.evolve(file, revisions=seen, name=name, description=description)


def _details(file: DataFile, expand: set[str], date: Any) -> dict[str, Any]:
    current = file.revisions[-1]
    details: dict[str, Any] = {
        "dataFileId": file.id,
        "name": file.name,
        "responsibleUserId": file.owner,
        "currentRevision": _revision_details(file, current, date),
        "datetimeCreated": date(file.created),
        "revisions": [],
        "existing": False,
    }
    if "revisions" in expand:
        details["revisions"] = [_revision_details(file, one, date) for one in file.revisions]
    if "metadata" in expand:
        details["metadata"] = _metadata(file, current)
    return details


def _revision_details(file: DataFile, revision: Revision, date: Any) -> dict[str, Any]:
    return {
        "dataFileRevisionId": revision.id,
        "dataFileId": file.id,
        "contentType": revision.content_type,
        "uploadUserId": revision.uploader,
        "sizeBytes": revision.size,
        "uploadTimeMillis": revision.elapsed,
        "md5Hash": revision.md5,
        "datetimeUploaded": date(revision.uploaded),
        "scanState": revision.scan_state,
        "sha256HashValue": revision.sha256,
    }


def _metadata(file: DataFile, revision: Revision) -> dict[str, Any]:
    known = {
        "name": file.name,
        "description": file.description,
        "public": str(file.public).lower(),
        "uploadUserId": str(revision.uploader),
        "sourceContentType": revision.content_type,
        "sourceContentLength": str(revision.size),
        "sourceContentSHA256": revision.sha256,
        "sourceContentMD5": revision.md5,
        "sourceContentScanState": revision.scan_state,
        "sourceIsCompressed": "false",
        "storeContentLength": str(revision.size),
        "storeContentMD5": revision.md5,
        "storeTimeMS": str(revision.elapsed),
    }
    return {name: value for name, value in known.items() if value is not None}


def _millis(at: int) -> int:
    return at


def _text_date(at: int) -> str:
    read = datetime.fromtimestamp(at / 1000, UTC)
    return f"{read:%Y-%m-%dT%H:%M:%S}.{at % 1000:03d}+0000"
