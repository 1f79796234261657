"""Whatever a server sends becomes a value or one of our errors, never anything else."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domo_files_async.errors import (
    ApiError,
    AuthenticationError,
    BadRequestError,
    ChecksumMismatchError,
    ConflictError,
    DomoFilesError,
    MaintenanceError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    UnexpectedResponseError,
)
from domo_files_async.protocol import responses
from domo_files_async.protocol.messages import Reply

READERS = {
    name: getattr(responses, name)
    for name in responses.__all__
    if name.startswith("read_") and name != "read_part_accepted"
} | {
    "read_part_accepted": responses.read_part_accepted("ab" * 32),
    "read_unchecked_part": responses.read_part_accepted(None),
}
NOTHING_DUE = [
    "read_done",
    "read_no_stream",
    "read_nothing",
    "read_part_accepted",
    "read_unchecked_part",
]
DUE = sorted(set(READERS) - set(NOTHING_DUE))
PAGE = b"<!DOCTYPE html>\n<html><head><TITLE lang=en>\n Domo Maintenance </TITLE></head></html>"


def reply(body=b"", status=200, **headers):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, named, raw, "GET", "/domo/data-files/v1/401")


def failure(body=b"", status=400, **headers):
    with pytest.raises(ApiError) as caught:
        responses.raise_for_error(reply(body, status, **headers))
    return caught.value


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (405, BadRequestError),
        (408, BadRequestError),
        (409, ConflictError),
        (413, PayloadTooLargeError),
        (418, BadRequestError),
        (429, RateLimitedError),
        (499, BadRequestError),
        (500, ServerError),
        (503, ServerError),
        (599, ServerError),
    ],
)
@pytest.mark.parametrize("reader", READERS)
def test_each_error_status_is_its_own_error_for_every_reader(reader, status, error):
    said = {"status": 0, "statusReason": "No", "message": "because", "toe": "T-1"}
    with pytest.raises(error) as caught:
        READERS[reader](reply(said, status, retry_after="3"))
    assert type(caught.value) is error
    facts = caught.value
    assert (facts.status, facts.message, facts.toe, facts.retry_after) == (
        status,
        "because",
        "T-1",
        3.0,
    )
    assert (facts.method, facts.path) == ("GET", "/domo/data-files/v1/401")
    assert vars(pickle.loads(pickle.dumps(facts))) == vars(facts)  # noqa: S301 - our own


@pytest.mark.parametrize("status", [200, 404, 503])
@pytest.mark.parametrize("reader", READERS)
def test_the_maintenance_page_is_known_with_any_status_and_for_every_reader(reader, status):
    with pytest.raises(MaintenanceError) as caught:
        READERS[reader](reply(PAGE, status, retry_after="60", content_type="text/html"))
    assert (caught.value.status, caught.value.retry_after) == (status, 60.0)


def test_a_file_named_like_the_maintenance_page_is_only_a_file():
    body = [{"dataFileId": 1, "name": "<title>Domo Maintenance</title>"}]
    assert responses.read_data_files(reply(body))[0].data_file_id == 1


def test_a_page_about_maintenance_is_not_the_maintenance_page():
    assert not responses.is_maintenance_page(b"<title>Our Domo Maintenance Guide</title>")
    assert not responses.is_maintenance_page(b"<title>Domo Maintenance")


@pytest.mark.timeout(5)
@pytest.mark.parametrize(
    "body", [b"<title" * 200_000, b"<title>" * 200_000], ids=["open", "closed"]
)
def test_a_page_made_to_be_slow_is_read_at_once(body):
    assert failure(body, 500).message == ""


@pytest.mark.parametrize("reader", sorted({*NOTHING_DUE} - {"read_no_stream"}))
def test_a_page_where_nothing_is_due_is_no_success(reader):
    with pytest.raises(UnexpectedResponseError, match="HTML"):
        READERS[reader](reply(b"<html><title>Sign in</title></html>"))


@pytest.mark.parametrize("status", [100, 199, 301, 302, 304, 307])
@pytest.mark.parametrize("reader", READERS)
def test_a_status_that_says_neither_yes_nor_no_is_unexpected(reader, status):
    with pytest.raises(UnexpectedResponseError, match=str(status)) as caught:
        READERS[reader](reply({"dataFileId": 1}, status))
    assert caught.value.status == status


@pytest.mark.parametrize(
    "body", [b"", b"<html></html>", b"OK", b"{", b"\xff\xfe\x00", b"[" * 99999]
)
@pytest.mark.parametrize("reader", DUE)
def test_what_isnt_json_where_json_is_due_is_unexpected(reader, body):
    with pytest.raises(UnexpectedResponseError, match="JSON was due"):
        READERS[reader](reply(body))


@pytest.mark.parametrize("reader", sorted({*NOTHING_DUE} - {"read_no_stream"}))
@pytest.mark.parametrize("status", [200, 201, 204])
def test_a_body_that_says_nothing_isnt_read(reader, status):
    assert READERS[reader](reply(b"whatever", status)) is None


@pytest.mark.parametrize(
    "said", [{"success": True}, {"success": True, "error": "none"}, {}, {"error": None}, [], False]
)
def test_what_was_done_may_say_so(said):
    assert responses.read_done(reply(said)) is None


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"success": False}, ""),
        ({"success": False, "message": "It is in use"}, "It is in use"),
        ({"error": "The revision is not valid", "toe": "AB"}, "The revision is not valid"),
        ({"success": None, "error": {"message": "no"}}, "no"),
    ],
)
def test_an_error_in_the_place_of_success_is_an_error_whatever_the_status(said, message):
    with pytest.raises(BadRequestError) as caught:
        responses.read_done(reply(said))
    assert (caught.value.status, caught.value.message) == (200, message)
    assert caught.value.toe == said.get("toe")


@pytest.mark.parametrize("status", [201, 202, 204, 205])
def test_where_a_file_was_due_another_success_is_none(status):
    with pytest.raises(UnexpectedResponseError, match=f"file was due.*{status}"):
        responses.read_no_stream(reply(b"", status))


def test_a_retry_after_counts_from_when_the_reply_came_where_it_has_no_date():
    came = datetime(2026, 11, 23, 12, tzinfo=UTC)
    said = {"retry-after": "Mon, 23 Nov 2026 12:01:30 GMT"}
    with pytest.raises(RateLimitedError, match="asks to wait 90 s") as caught:
        responses.read_nothing(Reply(429, said, b"", "GET", "/x", came))
    assert caught.value.retry_after == 90
    own = {**said, "date": "Mon, 23 Nov 2026 12:01:00 GMT"}
    with pytest.raises(RateLimitedError, match="asks to wait 30 s"):
        responses.read_nothing(Reply(429, own, b"", "GET", "/x", came))


@pytest.mark.parametrize(
    ("reader", "body", "field"),
    [
        ("read_data_file_id", {}, "dataFileId"),
        ("read_data_file_id", {"dataFileId": None}, "dataFileId"),
        ("read_data_file_id", {"dataFileId": "x"}, "dataFileId"),
        ("read_data_file_id", [], "dataFileId"),
        ("read_data_file_id", {"dataFileId": True}, "dataFileId"),
        ("read_data_file_id", {"dataFileId": 1.5}, "dataFileId"),
        ("read_revision_id", {"dataFileId": 1}, "revisionId"),
        ("read_user_id", {"user": 1}, "id"),
        ("read_session_id", {}, "sessionId"),
        ("read_session_id", {"sessionId": ""}, "sessionId"),
        ("read_session_id", {"sessionId": ".."}, "sessionId"),
        ("read_session_id", {"sessionId": "a\nb"}, "sessionId"),
        ("read_session_id", {"sessionId": ["a"]}, "sessionId"),
        ("read_committed", {"revisionId": 1}, "dataFileId"),
        ("read_committed", {"dataFileId": 1}, "revisionId"),
        ("read_data_file", {"name": "a"}, "dataFileId"),
        ("read_data_file", {"dataFileId": 1}, "name"),
        ("read_data_file", {"dataFileId": 1, "name": {}}, "name"),
        (
            "read_data_file",
            {"dataFileId": 1, "name": "a", "currentRevision": {}},
            "currentRevision.dataFileRevisionId",
        ),
        (
            "read_data_file",
            {"dataFileId": 1, "name": "a", "datetimeCreated": "soon"},
            "datetimeCreated",
        ),
        ("read_data_file", {"dataFileId": 1, "name": "a", "existing": 7}, "existing"),
        ("read_data_file", {"dataFileId": 1, "name": "a", "revisions": {}}, "revisions"),
        ("read_data_files", [{"dataFileId": 1, "name": "a"}, {"name": "b"}], "[1].dataFileId"),
        (
            "read_data_files",
            [{"dataFileId": 1, "name": "a", "revisions": [{"sizeBytes": 1}]}],
            "[0].revisions[0].dataFileRevisionId",
        ),
        ("read_data_files", [None], "[0]"),
        ("read_revision", {"dataFileId": 1}, "dataFileRevisionId"),
        ("read_revisions", [{}], "[0].dataFileRevisionId"),
        ("read_permissions", {"entries": []}, "publicAccess"),
        ("read_permissions", {"publicAccess": "no"}, "publicAccess"),
        ("read_permissions", {"publicAccess": True, "entries": {}}, "entries"),
        ("read_permissions", {"publicAccess": True, "entries": [3]}, "entries[0]"),
        (
            "read_permissions",
            {"publicAccess": True, "entries": [{"entityType": "USER", "grant": "READ"}]},
            "entries[0].entityId",
        ),
        (
            "read_permissions",
            {"publicAccess": True, "entries": [{"entityId": 1, "grant": "READ"}]},
            "entries[0].entityType",
        ),
        (
            "read_permissions",
            {"publicAccess": True, "entries": [{"entityType": "USER", "entityId": 1}]},
            "entries[0].grant",
        ),
    ],
)
def test_the_field_that_is_missing_or_wrong_is_named(reader, body, field):
    with pytest.raises(UnexpectedResponseError) as caught:
        READERS[reader](reply(body))
    assert caught.value.field == field
    assert field in str(caught.value)


@pytest.mark.parametrize("reader", ["read_data_file", "read_data_files", "read_permissions"])
def test_a_value_of_another_kind_is_unexpected_as_a_whole(reader):
    for body in (None, 7, "text", True):
        with pytest.raises(UnexpectedResponseError) as caught:
            READERS[reader](reply(body))
        assert caught.value.field is None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", ""),
        (b"plain words", "plain words"),
        (b"<html><title>502 Bad\n Gateway</title><p>x</html>", "502 Bad Gateway"),
        (b"<html><p>no title</html>", ""),
        (b"\xff\xfe bytes", "\ufffd\ufffd bytes"),
        (b"two\r\nlines\x1b[31m", "two lines [31m"),
        (b'{"message": "a\\u0000b\\ud800c"}', "a b c"),
        (b'{"statusReason": "Gone"}', "Gone"),
        (b'{"message": {"nested": 1}}', ""),
        (b'[{"message": "why"}]', "why"),
        (b'{"error": {"message": "why"}}', "why"),
        (b'{"errors": [{"message": "why"}]}', "why"),
        (b'{"error": ' * 9 + b'"deep"' + b"}" * 9, ""),
        (b'"a text"', "a text"),
        (b"[1, 2]", ""),
        (b"NaN", ""),
        (b"[" * 100_000, "[" * 499 + "…"),
        (b"x" * 501, "x" * 499 + "…"),
        (b"x" * 500, "x" * 500),
    ],
)
def test_what_the_server_said_is_kept_in_a_line_that_can_be_shown(body, message):
    assert failure(body).message == message


@pytest.mark.parametrize(
    ("toe", "kept"), [("A1", "A1"), (7, "7"), (None, None), ([1], None), (True, None)]
)
def test_the_id_for_support_is_kept_where_it_is_one(toe, kept):
    assert failure({"message": "no", "toe": toe}).toe == kept


@pytest.mark.parametrize("status", [400, 409, 412, 422])
@pytest.mark.parametrize("word", ["Checksum", "check sum", "SHA-256", "sha256"])
def test_a_part_refused_for_its_checksum_is_a_mismatch(status, word):
    with pytest.raises(ChecksumMismatchError, match=r"differs.*Send it again") as caught:
        READERS["read_part_accepted"](reply({"message": f"The {word} differs"}, status))
    assert caught.value.expected == "ab" * 32


@pytest.mark.parametrize(
    ("reader", "status", "message"),
    [
        ("read_unchecked_part", 400, "checksum differs"),
        ("read_part_accepted", 400, "the index is wrong"),
        ("read_part_accepted", 404, "no checksum here"),
        ("read_part_accepted", 413, "too large for a checksum"),
        ("read_part_accepted", 500, "checksum service failed"),
    ],
)
def test_a_part_refused_for_something_else_is_no_mismatch(reader, status, message):
    with pytest.raises(ApiError) as caught:
        READERS[reader](reply({"message": message}, status))
    assert caught.value.status == status


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FIELD = st.sampled_from(
    [
        "dataFileId",
        "name",
        "responsibleUserId",
        "currentRevision",
        "dataFileRevisionId",
        "contentType",
        "sizeBytes",
        "datetimeUploaded",
        "scanState",
        "revisions",
        "existing",
        "metadata",
        "publicAccess",
        "entries",
        "entityType",
        "entityId",
        "grant",
        "pass",
        "sessionId",
        "revisionId",
        "id",
        "message",
        "toe",
        "storeTimeMS",
        "public",
        "extra",
    ]
)
KNOWN = st.recursive(
    JSON | st.just(1) | st.just("READ"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELD, inner, max_size=7),
    max_leaves=20,
)
BODIES = st.one_of(
    st.binary(), JSON.map(json.dumps).map(str.encode), KNOWN.map(json.dumps).map(str.encode)
)
HEADERS = st.dictionaries(
    st.sampled_from(["retry-after", "date", "content-type"]), st.text(max_size=30), max_size=3
)


@pytest.mark.parametrize("reader", READERS)
@given(
    status=st.sampled_from([200, 200, 200, 204, 302, 400, 404, 422, 500]),
    body=BODIES,
    headers=HEADERS,
)
@example(status=200, body=b"9" * 5000, headers={})
@example(status=200, body=b'{"dataFileId": ' + b"9" * 5000 + b"}", headers={})
@example(
    status=200,
    body=b'{"dataFileId": "' + b"9" * 5000 + b'", "id": "' + b"9" * 5000 + b'"}',
    headers={},
)
@example(status=200, body=b'{"dataFileId": 1, "name": "a", "datetimeCreated": 1e308}', headers={})
@example(status=200, body=b'{"dataFileId": 1, "name": "a", "datetimeCreated": NaN}', headers={})
@example(status=200, body=b'{"dataFileId": 1e400, "name": "a"}', headers={})
@example(status=200, body=b'{"dataFileId": 1, "name": "a", "x": ' + b"[" * 90000, headers={})
@example(
    status=200,
    body=b'[{"datetimeCreated": "0001-01-01T00:00:00+23:59", "dataFileId": 1, "name": ""}]',
    headers={},
)
@example(status=500, body=b'{"message":' * 90000, headers={})
@example(status=500, body=b'{"toe": ' + b"9" * 5000 + b"}", headers={})
def test_any_reply_is_a_value_or_one_of_our_errors(reader, status, body, headers):
    said = ""
    try:
        READERS[reader](Reply(status, headers, body, "GET", "/x"))
    except DomoFilesError as error:
        said = str(error)
    assert said.encode() or status < 300


def test_a_reply_that_is_read_elsewhere_is_given_as_it_is_unless_it_is_an_error():
    good = reply(b"data", 204)
    assert responses.passed(good) is good
    with pytest.raises(NotFoundError):
        responses.passed(reply(b"", 404))
