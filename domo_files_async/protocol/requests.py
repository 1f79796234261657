"""One function an endpoint: arguments to the request that the API's page asks for.

Rule 1: what can't be sent is refused here, before anything is.
Rule 2: names, ids and texts are encoded so that any of them arrives as it was given.
Rule 3: a request is repeatable where sending it twice does no more than sending it once.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from domo_files_async.config import MAX_PARTS, Surface
from domo_files_async.errors import InvalidArgumentError, UnsupportedOnSurfaceError
from domo_files_async.protocol import responses
from domo_files_async.protocol.arguments import (
    checked_description,
    checked_expand,
    checked_flag,
    checked_id,
    checked_ids,
    checked_name,
    checked_permissions,
    checked_range,
    checked_session_id,
    checked_type,
)
from domo_files_async.protocol.codec import unstructure_permissions
from domo_files_async.protocol.messages import Request

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from domo_files_async.models import (
        CommittedUpload,
        DataFile,
        Permissions,
        Revision,
        SessionId,
    )
    from domo_files_async.protocol.surface import SurfaceRules

__all__ = (
    "abort_multipart_session",
    "commit_multipart_session",
    "copy_revision",
    "create_multipart_session",
    "create_multipart_update_session",
    "delete_file",
    "delete_revision",
    "download",
    "duplicate_file",
    "get_current_user",
    "get_file",
    "get_permissions",
    "get_revision",
    "list_files",
    "list_revisions",
    "update_permissions",
    "upload_file",
    "upload_part",
    "upload_revision",
)

_ACCEPT = {"Accept": "application/json"}
_LONGEST_QUERY = 1_800
_NEWEST = -1
_DIGEST = re.compile("[0-9a-fA-F]{64}")


def upload_file(
    rules: SurfaceRules,
    *,
    name: str,
    description: str | None = None,
    public: bool = False,
    content_type: str,
    boundary: str,
) -> Request[int]:
    """Upload a new data file; the body's data is handed over beside the request.

    Source: Files API, "Upload a file".
    """
    pairs = [
        ("name", checked_name(name)),
        ("description", checked_description(description)),
        ("public", checked_flag("public", public)),
    ]
    return Request(
        operation="upload_file",
        method="POST",
        path=rules.base,
        query=_query(pairs),
        repeatable=False,
        reader=responses.read_data_file_id,
        **_framed(rules, content_type, name, boundary),
    )


def upload_revision(
    rules: SurfaceRules,
    data_file_id: int,
    *,
    content_type: str,
    boundary: str,
) -> Request[int]:
    """Upload a new revision; the body's data is handed over beside the request.

    Source: Files API, "Upload a file revision".
    """
    return Request(
        operation="upload_revision",
        method="PUT",
        path=_file_path(rules, data_file_id),
        repeatable=False,
        reader=responses.read_revision_id,
        **_framed(rules, content_type, "file", boundary),
    )


def list_files(
    rules: SurfaceRules,
    *,
    ids: Iterable[int] | None = None,
    expand: Sequence[str] = (),
    limit_to_owned: bool = False,
    user_id: int | None = None,
) -> list[Request[list[DataFile]]]:
    """List data files: one request, or as many as ids of reasonable URLs need; none for no ids.

    Args:
        rules: The surface's.
        ids: Only these data files, each asked for once.
        expand: `"revisions"`, `"metadata"` or both.
        limit_to_owned: Only those that the caller uploaded.
        user_id: The caller's own, which the product surface needs for that.

    Source: Files API, "Get all files metadata".
    """
    owned = checked_flag("limit_to_owned", limit_to_owned)
    if rules.surface is Surface.APP:
        common: list[tuple[str, str | None]] = [("limitToOwned", owned)]
    else:
        owner = str(checked_id(user_id, "user_id")) if limit_to_owned else None
        common = [("userId", owner)]
    expanded = [("expand", checked_expand(expand))]
    batches = [None] if ids is None else _batches(checked_ids(ids))
    return [
        Request(
            operation="list_files",
            method="GET",
            path=f"{rules.base}/details",
            query=_query([*common, (rules.ids_parameter, batch), *expanded]),
            headers=_ACCEPT,
            repeatable=True,
            reader=responses.read_data_files,
        )
        for batch in batches
    ]


def get_file(
    rules: SurfaceRules, data_file_id: int, *, expand: Sequence[str] = ()
) -> Request[DataFile]:
    """Get one data file's metadata.

    Source: Files API, "Get file metadata by ID".
    """
    return Request(
        operation="get_file",
        method="GET",
        path=_file_path(rules, data_file_id, "/details"),
        query=_query([("expand", checked_expand(expand))]),
        headers=_ACCEPT,
        repeatable=True,
        reader=responses.read_data_file,
    )


def download(
    rules: SurfaceRules,
    data_file_id: int,
    *,
    revision_id: int | None = None,
    byte_range: tuple[int, int | None] | None = None,
) -> Request[None]:
    """Download a data file's current revision, or another one.

    Args:
        rules: The surface's.
        data_file_id: Which data file.
        revision_id: Which revision; `None` for the current one.
        byte_range: First byte and the one after the last, or `None` for the end.

    Source: Files API, "Download a file".
    """
    part = "" if revision_id is None else f"/revisions/{checked_id(revision_id, 'revision_id')}"
    headers = {"Accept": "*/*"}
    if byte_range is not None:
        start, stop = checked_range(byte_range)
        headers["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
    return Request(
        operation="open_download",
        method="GET",
        path=_file_path(rules, data_file_id, part),
        headers=headers,
        repeatable=True,
        reader=responses.read_no_stream,
    )


def delete_revision(rules: SurfaceRules, data_file_id: int, revision_id: int) -> Request[None]:
    """Delete one revision for good.

    Source: Files API, "Delete a file".
    """
    revision = checked_id(revision_id, "revision_id")
    return Request(
        operation="delete_revision",
        method="DELETE",
        path=_file_path(rules, data_file_id, f"/revisions/{revision}"),
        headers=_ACCEPT,
        repeatable=True,
        reader=responses.read_done,
    )


def get_permissions(rules: SurfaceRules, data_file_id: int) -> Request[Permissions]:
    """Get who may do what with a data file.

    Source: Files API, "Get file permissions".
    """
    return Request(
        operation="get_permissions",
        method="GET",
        path=_file_path(rules, data_file_id, "/permissions"),
        headers=_ACCEPT,
        repeatable=True,
        reader=responses.read_permissions,
    )


def update_permissions(
    rules: SurfaceRules, data_file_id: int, permissions: Permissions
) -> Request[None]:
    """Set who may do what with a data file.

    Source: Files API, "Update file permissions".
    """
    return Request(
        operation="update_permissions",
        method="PUT",
        path=_file_path(rules, data_file_id, "/permissions"),
        **_json(unstructure_permissions(checked_permissions(permissions))),
        repeatable=True,
        reader=responses.read_done,
    )


def create_multipart_session(
    rules: SurfaceRules, *, name: str, content_type: str, description: str | None = None
) -> Request[SessionId]:
    """Open a multipart session for a new data file.

    Source: Multi-part Files API, "Creating a Multi-part Upload Session".
    """
    return Request(
        operation="create_multipart_session",
        method="POST",
        path=rules.multipart,
        **_json(_description_of(name, content_type, description)),
        repeatable=True,
        reader=responses.read_session_id,
    )


def create_multipart_update_session(
    rules: SurfaceRules,
    data_file_id: int,
    *,
    name: str,
    content_type: str,
    description: str | None = None,
) -> Request[SessionId]:
    """Open a multipart session for a new revision of a data file.

    Source: Multi-part Files API, "Creating a Multi-part Upload Update Session".
    """
    said = _description_of(name, content_type, description)
    return Request(
        operation="create_multipart_update_session",
        method="POST",
        path=_file_path(rules, data_file_id, "/multipart"),
        **_json({"fileId": data_file_id, **said}),
        repeatable=True,
        reader=responses.read_session_id,
    )


def upload_part(
    rules: SurfaceRules,
    session_id: str,
    index: int,
    *,
    content_type: str,
    checksum: str | None,
) -> Request[None]:
    """Upload one part; its data is handed over beside the request.

    Args:
        rules: The surface's.
        session_id: Of the multipart session.
        index: From 1 to 10,000.
        content_type: Of the file.
        checksum: SHA-256 of the part in hex; `None` to send none.

    Source: Multi-part Files API, "Uploading File Parts".
    """
    if isinstance(index, bool) or not isinstance(index, int) or not 1 <= index <= MAX_PARTS:
        raise InvalidArgumentError(f"index must be from 1 to {MAX_PARTS}, not {index!r}")
    if checksum is not None and not (isinstance(checksum, str) and _DIGEST.fullmatch(checksum)):
        raise InvalidArgumentError("checksum must be a SHA-256 as 64 hex digits")
    lower = None if checksum is None else checksum.lower()
    return Request(
        operation="upload_part",
        method="PUT",
        path=f"{_session_path(rules, session_id)}/part/{index}",
        query=_query([("checksum", lower)]),
        headers={**_ACCEPT, "Content-Type": checked_type(content_type)},
        repeatable=True,
        reader=responses.read_part_accepted(lower),
    )


def commit_multipart_session(rules: SurfaceRules, session_id: str) -> Request[CommittedUpload]:
    """Make a revision of the parts.

    Source: Multi-part Files API, "Completing a Multi-part Upload".
    """
    return Request(
        operation="commit_multipart_session",
        method="POST",
        path=f"{_session_path(rules, session_id)}/commit",
        **_json({"sessionId": session_id}),
        repeatable=False,
        reader=responses.read_committed,
    )


def abort_multipart_session(rules: SurfaceRules, session_id: str) -> Request[None]:
    """Drop a multipart session and its parts.

    Source: Multi-part Files API, "Error Handling and Retry Mechanism".
    """
    return Request(
        operation="abort_multipart_session",
        method="POST",
        path=f"{_session_path(rules, session_id)}/abort",
        headers=_ACCEPT,
        content=b"",
        repeatable=True,
        reader=responses.read_nothing,
    )


def get_revision(rules: SurfaceRules, data_file_id: int, revision_id: int) -> Request[Revision]:
    """Get one revision's details; revision -1 is the newest. Product surface only."""
    _product_only(rules, "get_revision")
    if type(revision_id) is not int or revision_id != _NEWEST:
        checked_id(revision_id, "revision_id")
    return Request(
        operation="get_revision",
        method="GET",
        path=_file_path(rules, data_file_id, f"/revisions/{revision_id}/details"),
        headers=_ACCEPT,
        repeatable=True,
        reader=responses.read_revision,
    )


def list_revisions(rules: SurfaceRules, data_file_id: int) -> Request[list[Revision]]:
    """Get the details of all revisions. Product surface only."""
    _product_only(rules, "list_revisions")
    return Request(
        operation="list_revisions",
        method="GET",
        path=_file_path(rules, data_file_id, "/revisions/details"),
        headers=_ACCEPT,
        repeatable=True,
        reader=responses.read_revisions,
    )


def copy_revision(rules: SurfaceRules, source_id: int, target_id: int) -> Request[int]:
    """Copy a data file's current revision as a new one of another. Product surface only."""
    _product_only(rules, "copy_revision")
    source, target = checked_id(source_id, "source_id"), checked_id(target_id, "target_id")
    return Request(
        operation="copy_revision",
        method="POST",
        path=f"{rules.base}/copy/{source}/revisions/current/{target}",
        headers=_ACCEPT,
        content=b"",
        repeatable=False,
        reader=responses.read_revision_id,
    )


def duplicate_file(rules: SurfaceRules, data_file_id: int) -> Request[DataFile]:
    """Make a new data file with the same content. Product surface only."""
    _product_only(rules, "duplicate_file")
    return Request(
        operation="duplicate_file",
        method="POST",
        path=_file_path(rules, data_file_id, "/duplicate"),
        headers=_ACCEPT,
        content=b"",
        repeatable=False,
        reader=responses.read_data_file,
    )


def delete_file(rules: SurfaceRules, data_file_id: int) -> Request[None]:
    """Delete a data file with all its revisions for good. Product surface only."""
    _product_only(rules, "delete_file")
    return Request(
        operation="delete_file",
        method="DELETE",
        path=_file_path(rules, data_file_id),
        headers=_ACCEPT,
        repeatable=True,
        reader=responses.read_done,
    )


def get_current_user(rules: SurfaceRules) -> Request[int]:
    """Get the id of the user whose credential it is. Product surface only."""
    _product_only(rules, "get_current_user")
    return Request(
        operation="get_current_user",
        method="GET",
        path=f"{rules.users}/me",
        headers=_ACCEPT,
        repeatable=True,
        reader=responses.read_user_id,
    )


def _product_only(rules: SurfaceRules, operation: str) -> None:
    if rules.surface is not Surface.PRODUCT:
        raise UnsupportedOnSurfaceError(
            f"{operation} exists on the product surface only: use a DeveloperToken"
        )


def _file_path(rules: SurfaceRules, data_file_id: int, rest: str = "") -> str:
    return f"{rules.base}/{checked_id(data_file_id)}{rest}"


def _session_path(rules: SurfaceRules, session_id: str) -> str:
    return f"{rules.multipart}/{quote(checked_session_id(session_id), safe='')}"


def _query(pairs: Iterable[tuple[str, str | None]]) -> str:
    return "&".join(f"{name}={quote(v, safe=',')}" for name, v in pairs if v is not None)


def _json(value: dict[str, Any]) -> dict[str, Any]:
    try:
        content = json.dumps(value, ensure_ascii=True, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"What can't be JSON can't be sent: {error}") from None
    return {
        "headers": {**_ACCEPT, "Content-Type": "application/json"},
        "content": content,
    }


def _description_of(name: str, content_type: str, description: str | None) -> dict[str, Any]:
    said = {"name": checked_name(name)}
    if checked_description(description) is not None:
        said["description"] = str(description)
    return {**said, "contentType": checked_type(content_type), "Cache-Control": "no-cache"}


def _framed(
    rules: SurfaceRules, content_type: str, file_name: str, boundary: str
) -> dict[str, Any]:
    checked = checked_type(content_type)
    if not rules.takes_forms:
        return {"headers": {**_ACCEPT, "Content-Type": checked}}
    # https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#multipart-form-data
    escaped = file_name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    head = (
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="file"; filename="{escaped}"\r\n'
        f"Content-Type: {checked}\r\n\r\n"
    )
    return {
        "headers": {**_ACCEPT, "Content-Type": f"multipart/form-data; boundary={boundary}"},
        "prefix": head.encode(),
        "suffix": f"\r\n--{boundary}--\r\n".encode(),
    }


def _batches(ids: Iterable[int]) -> list[str | None]:
    batches: list[str | None] = []
    for one in dict.fromkeys(ids):
        last = batches[-1] if batches else None
        if last is not None and len(last) < _LONGEST_QUERY:
            batches[-1] = f"{last},{one}"
        else:
            batches.append(str(one))
    return batches
