"""What the console shows, as JSON values; to look changes nothing.

The API's own answers don't serve here: a list that is asked for counts as a look, and meets faults.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any

import attrs

from domo_files_async.emulator.faults import OPERATIONS, Fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from domo_files_async.emulator.faults import Faults, ReceivedRequest
    from domo_files_async.emulator.store import DataFile, Revision, Store, UploadSession

__all__ = ("show", "words_of")

MOST_FILES = 200
MOST_REQUESTS = 200
MOST_SESSIONS = 50
_STILL_ARRIVING = 2_000
_PART = re.compile(r".*/multipart/([^/]+)/part/([0-9]{1,5})")
_OPEN = {"open", "committing"}
_KEPT_OUT = {"met", "_seen"}


def show(
    store: Store,
    faults: Faults,
    requests: Sequence[ReceivedRequest],
    *,
    search: str = "",
    file_id: int | None = None,
) -> dict[str, Any]:
    """Give all that the page shows.

    Args:
        store: Users, data files and multipart sessions.
        faults: What goes wrong on purpose.
        requests: What arrived.
        search: A piece of the names to list, or an id.
        file_id: The data file that is shown with its revisions.
    """
    found = [file for file in store.files.values() if _fits(file, search)]
    found.sort(key=lambda file: file.revisions[-1].id, reverse=True)
    opened = store.files.get(file_id) if file_id is not None else None
    return {
        "users": [attrs.asdict(user) for user in store.users],
        "files": [_file(file) for file in found[:MOST_FILES]],
        "filesFound": len(found),
        "filesInAll": len(store.files),
        "file": opened and _file(opened) | {"revisions": _revisions(opened)},
        "sessions": _sessions(store, requests),
        "sessionsOpen": sum(one.state in _OPEN for one in store.sessions.values()),
        "requests": _requests(requests),
        "requestsInAll": len(requests),
        "faults": [
            {"id": str(id(one)), "words": words_of(one), "met": one.met, "pending": one.is_pending}
            for one in faults
        ],
        "operations": sorted(OPERATIONS),
    }


def words_of(fault: Fault) -> dict[str, Any]:
    """Give the words that a fault was added with, without those that it has by default."""
    plain = Fault(operation="")
    said = {
        field.name: getattr(fault, field.name)
        for field in attrs.fields(Fault)
        if field.name not in _KEPT_OUT and getattr(fault, field.name) != getattr(plain, field.name)
    }
    if isinstance(said.get("body"), bytes):
        said["body"] = said["body"].decode(errors="replace")
    return said


def _fits(file: DataFile, search: str) -> bool:
    return search == str(file.id) or search.casefold() in file.name.casefold()


def _file(file: DataFile) -> dict[str, Any]:
    return {
        "id": file.id,
        "name": file.name,
        "description": file.description,
        "owner": file.owner,
        "created": file.created,
        "public": file.public,
        "entries": file.entries,
        "current": _revision(file.revisions[-1]),
        "revisionsInAll": len(file.revisions),
    }


def _revisions(file: DataFile) -> list[dict[str, Any]]:
    return [_revision(one) for one in reversed(file.revisions)]


def _revision(revision: Revision) -> dict[str, Any]:
    return {
        "id": revision.id,
        "contentType": revision.content_type,
        "uploader": revision.uploader,
        "uploaded": revision.uploaded,
        "size": revision.size,
        "sha256": revision.sha256.lower(),
        "scanState": revision.scan_state,
    }


def _sessions(store: Store, requests: Sequence[ReceivedRequest]) -> list[dict[str, Any]]:
    arriving: dict[str, list[tuple[int, int]]] = {}
    for one in _last(requests, _STILL_ARRIVING):
        match = _PART.fullmatch(one.path) if one.took is None else None
        if match is not None:
            arriving.setdefault(match[1], []).append((int(match[2]), one.size))
    newest_first = list(reversed(store.sessions.values()))
    newest_first.sort(key=lambda one: one.state not in _OPEN)
    return [_session(one, arriving.get(one.id, [])) for one in newest_first[:MOST_SESSIONS]]


def _session(session: UploadSession, arriving: Iterable[tuple[int, int]]) -> dict[str, Any]:
    return {
        "id": session.id,
        "name": session.name,
        "owner": session.owner,
        "fileId": session.data_file_id,
        "state": session.state,
        "made": session.made,
        "parts": len(session.parts),
        "size": sum(part.size for part in session.parts.values()),
        "runs": _runs(sorted(session.parts)),
        "arriving": sorted(arriving),
    }


def _runs(indexes: Iterable[int]) -> list[list[int]]:
    """Write indexes that follow each other as the first and the last of them."""
    runs: list[list[int]] = []
    for index in indexes:
        if runs and runs[-1][1] == index - 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return runs


def _requests(requests: Sequence[ReceivedRequest]) -> list[dict[str, Any]]:
    return [
        {
            "number": len(requests) - before,
            "at": one.at,
            "operation": one.operation,
            "method": one.method,
            "path": one.path,
            "size": one.size,
            "status": one.status,
            "took": one.took,
            "fault": one.fault and words_of(one.fault),
        }
        for before, one in enumerate(_last(requests, MOST_REQUESTS))
    ]


def _last(requests: Sequence[ReceivedRequest], count: int) -> Iterable[ReceivedRequest]:
    return islice(reversed(requests), count)
