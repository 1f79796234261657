"""Values are read leniently, and what isn't known is written back as it came."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domo_files_async.models import CommittedUpload, DataFile, FileMetadata, Permissions, Revision
from domo_files_async.protocol.codec import (
    FieldError,
    configure_converter,
    structure,
    unstructure_permissions,
)

NAMES = {"dataFileId": 1, "name": "a"}
MOMENT = datetime(2019, 3, 6, 0, 26, 37, tzinfo=UTC)


def created(value):
    return structure({**NAMES, "datetimeCreated": value}, DataFile).datetime_created


@pytest.mark.parametrize(
    "text",
    [
        "2019-03-06T00:26:37.000+0000",
        "2019-03-06T00:26:37+00:00",
        "2019-03-06T00:26:37Z",
        "2019-03-06T02:26:37+0200",
        "2019-03-06 00:26:37",
        " 2019-03-06T00:26:37 ",
        1551831997000,
        1551831997000.0,
        "1551831997000",
    ],
)
def test_a_date_is_read_in_every_way_that_it_is_written(text):
    assert created(text) == MOMENT
    assert created(text).tzinfo is UTC


@given(
    moment=st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29)),  # noqa: DTZ001 - made aware below
    minutes=st.integers(-23 * 60, 23 * 60),
)
def test_any_moment_in_any_zone_is_the_same_moment(moment, minutes):
    zone = timezone(timedelta(minutes=minutes))
    aware = moment.replace(tzinfo=zone)
    assert created(aware.isoformat()) == aware
    assert created(aware.strftime("%Y-%m-%dT%H:%M:%S.%f%z").rjust(31, "0")) == aware


@given(millis=st.integers(-62135596800000, 253402300799999))
def test_any_number_of_milliseconds_is_its_moment(millis):
    assert (created(millis) - datetime(1970, 1, 1, tzinfo=UTC)) == timedelta(milliseconds=millis)


@pytest.mark.parametrize("value", ["soon", "", "2019-13-01", 10**30, "9" * 29, [], {}, True, 1.5])
def test_what_is_no_date_names_its_field(value):
    with pytest.raises(FieldError) as caught:
        created(value)
    assert caught.value.field == "datetimeCreated"


@given(number=st.integers(-(2**63), 2**63))
def test_an_id_is_read_from_a_number_or_a_text(number):
    for value in (number, str(number), f" {number} "):
        assert structure({"dataFileId": value, "revisionId": 1}, CommittedUpload) == (
            CommittedUpload(number, 1)
        )


def test_what_is_missing_or_null_is_none():
    bare = structure(
        {**NAMES, "scanState": None, "currentRevision": None, "existing": None}, DataFile
    )
    assert bare.current_revision is None
    assert bare.existing is None
    assert bare.revisions == ()
    assert structure({"dataFileRevisionId": 1, "sizeBytes": None}, Revision).size_bytes is None


def test_metadata_is_read_on_the_file_or_on_its_revision():
    said = {"storeTimeMS": "7", "storeContentMD5": "AB", "public": "FALSE"}
    read = FileMetadata(store_time_ms=7, store_content_md5="AB", public=False)
    on_file = structure({**NAMES, "metadata": said}, DataFile)
    on_revision = structure(
        {**NAMES, "currentRevision": {"dataFileRevisionId": 2, "metadata": said}}, DataFile
    )
    neither = structure({**NAMES, "currentRevision": {"dataFileRevisionId": 2}}, DataFile)
    assert on_file.metadata == read
    assert on_revision.metadata == read
    assert neither.metadata is None


def test_metadata_that_is_odd_is_kept_and_harms_nothing():
    odd = {"storeTimeMS": "fast", "public": [], "name": 7, "sourceContentLength": {}}
    read = structure(odd, FileMetadata)
    assert read == FileMetadata(
        name="7", extra={"storeTimeMS": "fast", "public": [], "sourceContentLength": {}}
    )


def test_what_isnt_known_is_kept_under_the_servers_name():
    read = structure(
        {**NAMES, "colour": "red", "currentRevision": {"dataFileRevisionId": 1, "x": [1]}}, DataFile
    )
    assert read.extra == {"colour": "red"}
    assert read.current_revision is not None
    assert read.current_revision.extra == {"x": [1]}
    assert pickle.loads(pickle.dumps(read)) == read  # noqa: S301 - our own


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
WORDS = st.sampled_from(
    ["READ", "READ_WRITE", "WRITE_READ", "READ_READ", "NONE", "", "OWN", "read"]
)
ENTRIES = st.builds(
    lambda known, passed, others: {**others, **known, **passed},
    st.fixed_dictionaries(
        {"entityType": st.text(), "entityId": st.text(), "grant": WORDS | st.text()}
    ),
    st.fixed_dictionaries({}, optional={"pass": st.text()}),
    st.dictionaries(st.text().filter(lambda name: name != "pass"), JSON, max_size=3),
)
PERMISSIONS = st.builds(
    lambda known, others: {**others, **known},
    st.fixed_dictionaries(
        {"publicAccess": st.booleans(), "entries": st.lists(ENTRIES, max_size=4)}
    ),
    st.dictionaries(st.text(), JSON, max_size=3),
)


@given(said=PERMISSIONS)
def test_any_permissions_are_written_as_they_were_read(said):
    read = structure(said, Permissions)
    assert unstructure_permissions(read) == said
    assert structure(json.loads(json.dumps(unstructure_permissions(read))), Permissions) == read
    assert pickle.loads(pickle.dumps(read)) == read  # noqa: S301 - our own


@given(said=PERMISSIONS)
def test_a_change_to_one_thing_leaves_all_else_as_it_was(said):
    changed = structure(said, Permissions).with_public_access(not said["publicAccess"])
    assert unstructure_permissions(changed) == {**said, "publicAccess": not said["publicAccess"]}


@pytest.mark.parametrize("value", [None, 7, "text", []])
def test_a_value_of_another_kind_has_no_field_to_name(value):
    with pytest.raises(FieldError, match="an object was due") as caught:
        structure(value, DataFile)
    assert caught.value.field == ""


def test_a_number_too_long_to_be_written_is_a_field_that_cant_be_read():
    entry = {"entityType": "USER", "entityId": 10**5000, "grant": "READ"}
    with pytest.raises(FieldError, match="ValueError"):
        structure({"publicAccess": True, "entries": [entry]}, Permissions)


def test_a_list_that_is_null_is_empty():
    assert structure({**NAMES, "revisions": None}, DataFile).revisions == ()


def test_a_converter_of_ones_own_reads_the_same():
    assert configure_converter().structure(NAMES, DataFile) == structure(NAMES, DataFile)
