"""Each sample's request is what we send, and its reply means what is written here."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from domo_files_async.config import Surface
from domo_files_async.errors import (
    AuthenticationError,
    ChecksumMismatchError,
    MaintenanceError,
    NotFoundError,
    UnexpectedResponseError,
)
from domo_files_async.models import (
    CommittedUpload,
    DataFile,
    FileMetadata,
    Grant,
    PermissionEntry,
    Permissions,
    Revision,
)
from domo_files_async.protocol import requests
from domo_files_async.protocol.messages import Reply
from domo_files_async.protocol.surface import surface_rules

SAMPLES = Path(__file__).parent / "samples"
APP, PRODUCT = surface_rules(Surface.APP), surface_rules(Surface.PRODUCT)
PDF = {"content_type": "application/pdf"}
BODY = {**PDF, "boundary": "frame"}
DESCRIBED = {"name": "SampleFile", "description": "Sample Description", **PDF}
SESSION = "1234567890"
ADA = PermissionEntry("USER", 1089963280, Grant.parse("READ_WRITE_DELETE_SHARE_ADMIN"))


def sample_file(uploaded, created):
    return DataFile(
        data_file_id=401,
        name='"SampleFile"',
        responsible_user_id=1089963280,
        current_revision=Revision(
            data_file_revision_id=430,
            data_file_id=401,
            content_type="application/pdf",
            upload_user_id=1089963280,
            size_bytes=142783,
            upload_time_millis=199,
            md5_hash="B6C962A9288F132762051A6A33708B90",
            datetime_uploaded=uploaded,
            scan_state="SAFE",
            sha256_hash_value="5E3EF0EF4CFAD65A1831D866DEEBD932C5A0AA3484A558FD0D1CA3EB852AE1BF",
        ),
        datetime_created=created,
        revisions=(),
        existing=False,
    )


LISTED = sample_file(*[datetime(2024, 11, 14, 19, 6, 8, tzinfo=UTC)] * 2)
BY_ID = sample_file(
    datetime(2019, 3, 6, 0, 26, 37, tzinfo=UTC), datetime(2019, 3, 4, 21, 41, 1, tzinfo=UTC)
)
MEASURED = FileMetadata(
    source_content_sha256="5E3E",
    source_content_length=142783,
    source_is_compressed=False,
    store_time_ms=12,
    public=True,
    extra={"colour": "red"},
)
LISTING = {"ids": [401, 402, 401], "expand": ("revisions", "metadata"), "limit_to_owned": True}
CASES = {
    "upload_file/documented": (APP, [], {**DESCRIBED, **BODY}, 401),
    "upload_file/product": (PRODUCT, [], {**DESCRIBED, **BODY}, 401),
    "upload_file/id_as_text": (PRODUCT, [], {"name": "SampleFile", "public": True, **BODY}, 401),
    "upload_revision/documented": (APP, [401], BODY, 430),
    "upload_revision/product": (PRODUCT, [401], BODY, 430),
    "list_files/documented": (APP, [], LISTING, [LISTED]),
    "list_files/product": (PRODUCT, [], {**LISTING, "user_id": 27}, [LISTED]),
    "list_files/nothing_asked": (PRODUCT, [], {}, []),
    "get_file/documented": (APP, [401], {"expand": ("revisions", "metadata")}, BY_ID),
    "get_file/product": (PRODUCT, [401], {}, BY_ID),
    "get_file/metadata_on_the_revision": (
        PRODUCT,
        [401],
        {"expand": "metadata"},
        DataFile(401, "a", current_revision=Revision(430, metadata=MEASURED), metadata=MEASURED),
    ),
    "get_file/not_found": (APP, [404], {}, (NotFoundError, "No such file")),
    "get_file/maintenance": (PRODUCT, [401], {}, (MaintenanceError, "try again later")),
    "get_file/login_page": (PRODUCT, [401], {}, (UnexpectedResponseError, "HTML")),
    "get_file/redirected": (PRODUCT, [401], {}, (UnexpectedResponseError, "302")),
    "get_file/without_its_name": (PRODUCT, [401], {}, (UnexpectedResponseError, "name")),
    "delete_revision/documented": (APP, [401, 430], {}, None),
    "delete_revision/product": (PRODUCT, [401, 430], {}, None),
    "delete_revision/no_content": (PRODUCT, [401, 430], {}, None),
    "get_permissions/documented": (APP, [401], {}, Permissions(False, [ADA])),
    "get_permissions/product": (PRODUCT, [401], {}, Permissions(False, [ADA])),
    "get_permissions/an_entry_without_its_id": (
        PRODUCT,
        [401],
        {},
        (UnexpectedResponseError, r"entries\[0\]\.entityId"),
    ),
    "update_permissions/documented": (APP, [401, Permissions(True, [ADA])], {}, None),
    "update_permissions/product": (PRODUCT, [401, Permissions(True, [ADA])], {}, None),
    "create_multipart_session/documented": (APP, [], DESCRIBED, SESSION),
    "create_multipart_session/product": (PRODUCT, [], DESCRIBED, SESSION),
    "create_multipart_session/id_as_number": (
        PRODUCT,
        [],
        {"name": "SampleFile", **PDF},
        SESSION,
    ),
    "create_multipart_update_session/documented": (APP, [401], DESCRIBED, SESSION),
    "create_multipart_update_session/product": (PRODUCT, [401], DESCRIBED, SESSION),
    "upload_part/documented": (APP, [SESSION, 1], {**PDF, "checksum": "AB" * 32}, None),
    "upload_part/product": (PRODUCT, [SESSION, 10_000], {**PDF, "checksum": None}, None),
    "upload_part/checksum_refused": (
        APP,
        [SESSION, 1],
        {**PDF, "checksum": "ab" * 32},
        (ChecksumMismatchError, "Check sum of the part differs"),
    ),
    "commit_multipart_session/documented": (
        APP,
        [SESSION],
        {},
        CommittedUpload(1234567890, 1234567890),
    ),
    "commit_multipart_session/product": (PRODUCT, [SESSION], {}, CommittedUpload(401, 430)),
    "commit_multipart_session/half_an_answer": (
        PRODUCT,
        [SESSION],
        {},
        (UnexpectedResponseError, "revisionId"),
    ),
    "abort_multipart_session/documented": (APP, [SESSION], {}, None),
    "abort_multipart_session/product": (PRODUCT, [SESSION], {}, None),
    "get_revision/newest": (
        PRODUCT,
        [401, -1],
        {},
        Revision(430, data_file_id=401, size_bytes=142783, scan_state="SAFE"),
    ),
    "list_revisions/product": (PRODUCT, [401], {}, [Revision(430, data_file_id=401)]),
    "copy_revision/product": (PRODUCT, [401, 402], {}, 431),
    "duplicate_file/product": (PRODUCT, [401], {}, DataFile(402, "SampleFile")),
    "delete_file/product": (PRODUCT, [401], {}, None),
    "get_current_user/product": (PRODUCT, [], {}, 27),
    "get_current_user/refused": (PRODUCT, [], {}, (AuthenticationError, "credential")),
}
REPEATABLE = {
    "upload_file": False,
    "upload_revision": False,
    "commit_multipart_session": False,
    "copy_revision": False,
    "duplicate_file": False,
}


def read_sample(path):
    head, _, body = path.read_text("utf-8").partition("\n\n")
    first, *lines = head.strip().split("\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return first, headers, body


def same_body(sent, wanted, headers):
    if headers.get("Content-Type", "") == "application/json":
        return json.loads(sent) == json.loads(wanted)
    return sent.decode().replace("\r\n", "\n").strip("\n") == wanted.strip("\n")


def test_every_sample_has_a_case_and_every_case_a_sample():
    folders = {str(p.parent.relative_to(SAMPLES)) for p in SAMPLES.glob("*/*/request.http")}
    assert folders == set(CASES)


@pytest.mark.parametrize("place", CASES)
def test_a_sample_is_sent_and_read_as_it_is_written(place):
    rules, args, kwargs, wanted = CASES[place]
    operation = place.split("/")[0]
    made = getattr(requests, operation)(rules, *args, **kwargs)
    request = made[0] if operation == "list_files" else made
    first, headers, body = read_sample(SAMPLES / place / "request.http")

    carries_data = "<data>" in body
    sent = request.prefix + (b"<data>" if carries_data else b"") + request.suffix
    assert f"{request.method} {request.target} HTTP/1.1" == first
    assert dict(request.headers) == headers
    assert same_body(sent + (request.content or b""), body, headers)
    assert request.operation == operation
    assert request.repeatable is REPEATABLE.get(operation, True)

    status, reply_headers, reply_body = read_sample(SAMPLES / place / "reply.http")
    reply = Reply(
        int(status.split()[1]),
        {name.lower(): value for name, value in reply_headers.items()},
        reply_body.encode(),
        request.method,
        request.path,
    )
    if isinstance(wanted, tuple):
        with pytest.raises(wanted[0], match=wanted[1]):
            request.reader(reply)
    else:
        assert request.reader(reply) == wanted
