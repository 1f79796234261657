"""Headers are read leniently: what says nothing is nothing, and never an error."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domo_files_async.protocol.headers import (
    ContentRange,
    merge_headers,
    read_content_disposition,
    read_content_range,
    read_date,
    read_retry_after,
    write_head,
)

NOON = "Mon, 23 Nov 2026 12:00:00 GMT"
LATER = "Mon, 23 Nov 2026 12:01:30 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "120"}, 120.0),
        ({"retry-after": " 7 "}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "9" * 400}, 1e9),
        ({"retry-after": LATER, "date": NOON}, 90.0),
        ({"retry-after": NOON, "date": LATER}, 0.0),
        ({"retry-after": LATER}, None),
        ({"retry-after": LATER, "date": "yesterday"}, None),
        ({"retry-after": "soon", "date": NOON}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "٣"}, None),
        ({"date": NOON}, None),
        ({}, None),
    ],
)
def test_retry_after_is_seconds_or_a_date_counted_from_the_own_date_of_the_reply(headers, seconds):
    assert read_retry_after(headers) == seconds


@pytest.mark.parametrize(("date", "seconds"), [(None, 60), ("yesterday", 60), (NOON, 90)])
def test_without_a_date_of_its_own_a_reply_counts_from_when_it_came(date, seconds):
    headers = {"retry-after": LATER} | ({} if date is None else {"date": date})
    came = datetime(2026, 11, 23, 12, 0, 30, tzinfo=UTC)
    assert read_retry_after(headers, came) == seconds


@pytest.mark.parametrize(
    ("text", "date"),
    [
        (NOON, datetime(2026, 11, 23, 12, tzinfo=UTC)),
        ("Monday, 23-Nov-26 12:00:00 GMT", datetime(2026, 11, 23, 12, tzinfo=UTC)),
        ("Mon, 23 Nov 2026 13:00:00 +0100", datetime(2026, 11, 23, 12, tzinfo=UTC)),
        ("Mon, 23 Nov 2026 12:00:00 -0000", datetime(2026, 11, 23, 12, tzinfo=UTC)),
        ("Mon, 99 Nov 2026 12:00:00 GMT", None),
        ("", None),
        (None, None),
    ],
)
def test_a_date_is_utc_or_nothing(text, date):
    assert read_date(text) == date


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('attachment; filename="a.csv"', "a.csv"),
        ("attachment; filename=a.csv", "a.csv"),
        ('attachment; filename="a \\"b\\".csv"', 'a "b".csv'),
        ('attachment; filename="a;b.csv"', "a;b.csv"),
        ('attachment; filename="open.csv', "open.csv"),
        ("attachment; FileName*=UTF-8''%e2%82%ac%20rates.csv", "€ rates.csv"),
        ("attachment; filename*=iso-8859-1'en'%A3.csv", "£.csv"),
        ("attachment; filename=\"plain\"; filename*=utf-8''f%C3%BC.csv", "fü.csv"),
        ("attachment; filename*=utf-8''; filename=plain", "plain"),
        ("attachment; filename*=nonsense; filename=plain", "plain"),
        ("attachment; filename*=klingon''a.csv", "a.csv"),
        ("attachment; filename*=utf-8''%ff.csv", "\ufffd.csv"),
        ("attachment; filename*=''a.csv", "a.csv"),
        ('attachment; filename="\udcc3\udcbc.csv"', "ü.csv"),
        ('filename="../../etc/passwd"', "../../etc/passwd"),
        ('attachment; filename=""', None),
        ("attachment", None),
        ("inline; other=filename", None),
        ("", None),
        (None, None),
    ],
)
def test_a_file_name_is_read_however_it_is_written(text, name):
    assert read_content_disposition(text) == name


@given(text=st.text(st.characters()))
@example('attachment; filename="\ud800.csv"')
@example("\udcff.csv")
@example("attachment; filename*=utf-16''%00")
def test_any_disposition_gives_a_name_that_can_be_written_or_none(text):
    for line in (text, f"attachment; filename={text}", f"attachment; filename*=utf-8''{text}"):
        name = read_content_disposition(line)
        assert name is None or name.encode()


@pytest.mark.parametrize(
    ("text", "given_range"),
    [
        ("bytes 0-9/10", ContentRange(0, 10, 10)),
        ("bytes 5-9/100", ContentRange(5, 10, 100)),
        ("Bytes 5-9/*", ContentRange(5, 10, None)),
        ("bytes */100", None),
        ("bytes 9-5/100", None),
        ("bytes 0-10/10", None),
        ("items 0-9/10", None),
        ("bytes 0-9", None),
        ("", None),
        (None, None),
    ],
)
def test_a_content_range_is_read_or_nothing(text, given_range):
    assert read_content_range(text) == given_range


@given(text=st.text(st.characters()) | st.text("bytes 0123456789-/*", max_size=40))
def test_no_header_makes_a_reader_fail(text):
    read_date(text)
    read_content_range(text)
    seconds = read_retry_after({"retry-after": text, "date": NOON})
    assert seconds is None or seconds >= 0


def test_of_headers_with_one_name_the_last_counts():
    merged = merge_headers({"Host": "a", "X-One": "1"}, {"x-one": "2", "X-Two": "3"}, {"HOST": "b"})
    assert merged == {"HOST": "b", "x-one": "2", "X-Two": "3"}
    assert merge_headers() == {}


def test_a_head_is_its_lines_and_an_empty_one():
    head = write_head("PUT", "/a%20b?c=%C3%A4", {"Host": "acme.domo.com", "X-Ü": "ä\tb"}.items())
    assert head == (
        b"PUT /a%20b?c=%C3%A4 HTTP/1.1\r\nHost: acme.domo.com\r\nX-\xc3\x9c: \xc3\xa4\tb\r\n\r\n"
    )


@pytest.mark.parametrize("bad", ["a\rb", "a\nb", "a\r\nX-Other: b", "a\x00", "\x7f"])
def test_nothing_ends_a_line_of_a_head_before_its_end(bad):
    for method, target, headers in (
        (bad, "/", {}),
        ("GET", bad, {}),
        ("GET", "/", {bad: "1"}),
        ("GET", "/", {"X-Own": bad}),
    ):
        with pytest.raises(ValueError, match="control character"):
            write_head(method, target, headers.items())


def test_what_a_head_can_not_carry_is_not_shown():
    with pytest.raises(ValueError, match="X-Token") as caught:
        write_head("GET", "/", {"X-Token": "s3cret\n"}.items())
    assert "s3cret" not in str(caught.value)
