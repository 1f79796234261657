"""What is decided of items, and which traces are theirs; without a file, a clock or a server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domo_files_async import (
    AccessNotSetError,
    AuthenticationError,
    BadRequestError,
    ChecksumMismatchError,
    ConnectError,
    NotFoundError,
    OutcomeUnknownError,
    PartUploadError,
    PayloadTooLargeError,
    PermissionDeniedError,
    Revision,
    ServerError,
    SourceChangedError,
    SourceError,
    SourceTooLargeError,
    UnexpectedResponseError,
)
from domo_files_async.bulk import Failure, Item
from domo_files_async.bulk.plan import (
    Known,
    Revise,
    SetAccess,
    Skip,
    State,
    Trace,
    Upload,
    Wanted,
    classify,
    decide,
    is_wholly_wrong,
    match_traces,
)

NEW = Item(source="a", name="a", fingerprint="1")
ASKED = Item(source="a", data_file_id=7, fingerprint="1")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def api(kind, status):
    return kind(status=status, method="PUT", path="/x")


@pytest.mark.parametrize(
    ("item", "known", "decided"),
    [
        (NEW, Known(), Upload("new")),
        (ASKED, Known(), Revise(7, "asked for")),
        (
            NEW,
            Known(state=State.UPLOADED, data_file_id=5, done_fingerprint="1"),
            Skip("done: it is data file 5"),
        ),
        (
            NEW,
            Known(state=State.UPLOADED, data_file_id=5, done_fingerprint="0"),
            Revise(5, "its source has changed since it was uploaded"),
        ),
        (
            ASKED,
            Known(state=State.REVISED, data_file_id=7, done_fingerprint="0"),
            Revise(7, "its source has changed since it was uploaded"),
        ),
        (
            NEW,
            Known(state=State.FAILED, failure=Failure.LATER, error="e"),
            Upload("failed before: e"),
        ),
        (
            NEW,
            Known(state=State.FAILED, failure=Failure.NEVER, error="e", done_fingerprint="1"),
            Skip("failed for good: e"),
        ),
        (
            NEW,
            Known(state=State.FAILED, failure=Failure.NEVER, error="e", done_fingerprint="0"),
            Upload("failed before: e"),
        ),
        (
            NEW,
            Known(state=State.FAILED, failure=Failure.LATER, error="e", data_file_id=5),
            Revise(5, "failed before: e"),
        ),
        (
            NEW,
            Known(state=State.FAILED, failure=Failure.PERSON, data_file_id=5, needs_access=True),
            SetAccess(5, "it is there, but its access isn't set yet"),
        ),
        (
            NEW,
            Known(state=State.UNKNOWN),
            Skip("unknown: look whether it is there, then resolve it"),
        ),
        (
            NEW,
            Known(state=State.STARTED),
            Upload("it was being sent when the job was killed: looked for first"),
        ),
    ],
)
def test_what_is_done_with_an_item_follows_from_what_is_known_of_it(item, known, decided):
    assert decide(item, known) == decided


@pytest.mark.parametrize(("item", "what"), [(NEW, "its source"), (ASKED, "data file 7")])
def test_what_is_absent_is_skipped(item, what):
    assert what in decide(item, Known(), absent=True).because


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (api(ServerError, 503), Failure.LATER),
        (ConnectError("x"), Failure.LATER),
        (SourceChangedError("x"), Failure.LATER),
        (UnexpectedResponseError("x", status=200, method="GET", path="/"), Failure.LATER),
        (PartUploadError(index=1, attempts=5, cause=api(ServerError, 500)), Failure.LATER),
        (api(BadRequestError, 400), Failure.NEVER),
        (api(PayloadTooLargeError, 413), Failure.NEVER),
        (SourceTooLargeError("x"), Failure.NEVER),
        (SourceError("x"), Failure.PERSON),
        (api(PermissionDeniedError, 403), Failure.PERSON),
        (api(NotFoundError, 404), Failure.PERSON),
        (ChecksumMismatchError("x", data_file_id=4), Failure.PERSON),
        (ChecksumMismatchError("x"), Failure.LATER),
        (
            AccessNotSetError(
                data_file_id=1, revision_id=None, public=True, cause=api(PermissionDeniedError, 403)
            ),
            Failure.PERSON,
        ),
    ],
)
def test_failures_say_what_can_be_done(error, failure):
    assert classify(error) is failure


def test_a_refused_credential_says_that_all_is_wrong_wherever_it_shows():
    refused = api(AuthenticationError, 401)
    assert is_wholly_wrong(refused)
    assert is_wholly_wrong(PartUploadError(index=1, attempts=1, cause=refused))
    assert is_wholly_wrong(OutcomeUnknownError(operation="x", seen="y", cause=refused))
    assert not is_wholly_wrong(OutcomeUnknownError(operation="x", seen="y"))
    assert not is_wholly_wrong(api(ServerError, 500))


def wanted(number, *, name="a", size=1, sha256="aa", since=NOON):
    return Wanted(number=number, name=name, size=size, sha256=sha256, since=since)


def trace(number, *, name="a", size=1, sha256="AA", seconds=1, created=...):
    when = NOON + timedelta(seconds=seconds) if created is ... else created
    return Trace(
        number, name, when, Revision(number + 100, size_bytes=size, sha256_hash_value=sha256)
    )


def found(items, traces):
    return {
        number: ([one.data_file_id for one in result.traces], result.is_certain)
        for number, result in match_traces(items, traces).items()
    }


@pytest.mark.parametrize(
    ("traces", "result"),
    [
        ([trace(5)], ([5], True)),
        ([], ([], False)),
        ([trace(5, name="b")], ([], False)),
        ([trace(5, size=2)], ([], False)),
        ([trace(5, sha256="bb")], ([], False)),
        ([trace(5, sha256=None, size=None)], ([5], True)),
        ([trace(5, seconds=-2)], ([], False)),
        ([trace(5), trace(6)], ([5, 6], False)),
        ([trace(5), trace(6, seconds=-2)], ([5], True)),
        ([trace(5, created=None)], ([5], False)),
    ],
)
def test_one_trace_that_can_be_nothing_else_is_the_item(traces, result):
    assert found([wanted(1)], traces) == {1: result}


def test_items_that_leave_the_same_share_what_is_there():
    items = [wanted(1), wanted(2), wanted(3, since=NOON + timedelta(seconds=5))]
    traces = [trace(5), trace(6, seconds=6)]
    result = found(items, traces)
    certain = {number: ids for number, (ids, is_certain) in result.items() if is_certain}
    assert sorted(one for ids in certain.values() for one in ids) == [5, 6]
    assert certain[3] == [6]


def test_one_trace_that_may_be_of_two_kinds_of_items_is_of_none():
    items = [wanted(1, sha256="aa"), wanted(2, sha256="bb")]
    assert found(items, [trace(5, sha256=None)]) == {1: ([5], False), 2: ([5], False)}


def test_a_date_that_was_cut_to_the_second_is_not_older_than_its_second():
    since = NOON + timedelta(milliseconds=700)
    assert found([wanted(1, since=since)], [trace(5, seconds=0)]) == {1: ([5], True)}
    late = NOON + timedelta(milliseconds=600)
    assert found([wanted(1, since=since)], [trace(5, created=late)]) == {1: ([], False)}


def test_what_was_sent_at_an_unknown_time_is_never_certain():
    assert found([wanted(1, since=None)], [trace(5)]) == {1: ([5], False)}
