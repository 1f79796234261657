"""What the service refuses, without a service."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domo_files_async.emulator.forms import FormParser
from domo_files_async.emulator.rules import (
    Refusal,
    check_complete,
    check_part_index,
    check_session,
    error_body,
    may,
    parse_range,
    read_ids,
)

RIGHTS = ["READ", "WRITE", "DELETE", "SHARE", "ADMIN"]


@given(st.integers(0, 200), st.integers(0, 300), st.integers(0, 300))
def test_a_range_is_the_bytes_that_it_names(size, first, last):
    text = f"bytes={first}-{last}"
    if last < first:
        assert parse_range(text, size) is None
    elif first < size:
        assert parse_range(text, size) == (first, min(size, last + 1))
    else:
        with pytest.raises(Refusal) as caught:
            parse_range(text, size)
        assert caught.value.status == 416


@given(st.integers(1, 200), st.integers(1, 300))
def test_a_suffix_is_the_last_bytes(size, count):
    assert parse_range(f"bytes=-{count}", size) == (max(0, size - count), size)


@given(st.text())
def test_any_other_text_is_no_range(text):
    if not text.lower().startswith("bytes="):
        assert parse_range(text, 10) is None


@given(st.sets(st.integers(1, 40), min_size=1))
def test_parts_are_complete_if_they_count_from_one_without_a_gap(indexes):
    missing = sorted(set(range(1, max(indexes))) - indexes)
    if missing:
        with pytest.raises(Refusal, match=f"Part {missing[0]} "):
            check_complete(indexes)
    else:
        check_complete(indexes)


@given(st.integers(-5, 20_000))
def test_an_index_is_from_one_to_ten_thousand(index):
    if 1 <= index <= 10_000:
        assert check_part_index(str(index)) == index
    else:
        with pytest.raises(Refusal):
            check_part_index(str(index))


@given(st.lists(st.lists(st.integers(0, 10**9), min_size=1), min_size=1))
def test_ids_may_be_repeated_and_separated_by_commas(lists):
    texts = [", ".join(map(str, one)) for one in lists]
    assert read_ids(texts) == list(itertools.chain(*lists))


@given(
    st.sampled_from(RIGHTS),
    st.lists(st.sampled_from(RIGHTS), unique=True),
    st.booleans(),
    st.sampled_from(["USER", "GROUP"]),
)
def test_a_right_is_a_word_of_the_grant(right, words, public, kind):
    entries = [{"entityType": kind, "entityId": "2", "grant": "_".join(words)}]
    allowed = may(2, right, public=public, owner_id=1, entries=entries)
    assert allowed is ((public and right == "READ") or (kind == "USER" and right in words))
    assert may(1, right, public=public, owner_id=1, entries=[])
    assert not may(3, "WRITE", public=public, owner_id=1, entries=entries)


def test_a_multipart_session_that_is_being_committed_takes_nothing():
    with pytest.raises(Refusal, match="is being committed") as caught:
        check_session("committing", committed_status=410)
    assert caught.value.status == 409


def test_a_status_without_a_name_is_said_to_be_unknown():
    assert error_body(599, "x", "y")["statusReason"] == "Unknown"


def form(*fields, boundary=b"b'+_,-./:=?"):
    lines = b""
    for head, content in fields:
        lines += b"--" + boundary + b"\r\n" + head + b"\r\n\r\n" + content + b"\r\n"
    return lines + b"--" + boundary + b"--\r\n"


FILE = b'Content-Disposition: form-data; name="file"; filename="a\\"; name=b"'
TYPED = FILE + b"\r\nContent-Type: text/csv"
OTHER = b'Content-Disposition: form-data; name="other"; filename="file"'
TYPE = 'multipart/form-data; boundary="b\'+_,-./:=?"'


def parse(data, cuts=()):
    parser, got, start = FormParser(TYPE), b"", 0
    for stop in [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]:
        got += b"".join(parser.feed(data[start:stop]))
        start = stop
    parser.finish()
    return got, parser.content_type


CONTENTS = st.binary() | st.lists(
    st.sampled_from([b"\r", b"\n", b"-", b"--", b"\r\n--b", b"x", b"\r\n--b'+_,-./:="])
).map(b"".join)


@given(CONTENTS, st.lists(st.integers(0, 10_000)))
def test_a_forms_file_is_found_however_its_bytes_come(content, cuts):
    data = form((OTHER, content), (TYPED, content), (OTHER, b""))
    assert parse(data, cuts) == (content, "text/csv")


def test_a_file_without_a_type_has_none():
    assert parse(form((FILE, b"x"))) == (b"x", None)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "ends before"),
        (form((FILE, b"x"))[:-6], "ends before"),
        (form(), "no field 'file'"),
        (form((OTHER, b"x")), "no field 'file'"),
        (form((b"X: y", b"x")), "no field 'file'"),
        (form((FILE, b"x"), (FILE, b"y")), "more than one"),
        (b"--b'+_,-./:=?\r\n" + b"X" * 20_000, "too large a head"),
    ],
)
def test_a_form_that_is_not_whole_or_has_not_one_file_is_refused(data, said):
    with pytest.raises(Refusal, match=said):
        parse(data)


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "multipart/form-data; boundary=" + "b" * 71]
)
def test_a_form_without_a_boundary_is_refused(kind):
    with pytest.raises(Refusal, match="boundary"):
        FormParser(kind)
