import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domo_files_async.planning.ranges import AHEAD, Ranges, Validators

FIRST = Validators('"a"', "Mon, 01 Jan 2024 00:00:00 GMT", 100)


def taken(ranges):
    while not ranges.is_all_taken:
        yield ranges.take()


@given(st.data())
def test_what_is_taken_is_what_is_missing_each_byte_once(data):
    size = data.draw(st.integers(1, 10_000))
    there = data.draw(st.integers(0, size - 1))
    range_size = data.draw(st.integers(max(1, size // 50), 12_000))
    parts = list(taken(Ranges(size, there=there, range_size=range_size)))
    assert parts[0][0] == there
    assert parts[-1][1] == size
    assert all(stop == start for (_, stop), (start, _) in itertools.pairwise(parts))
    assert all(stop - start == range_size for start, stop in parts[:-1])
    assert 0 < parts[-1][1] - parts[-1][0] <= range_size


@given(st.data())
def test_the_frontier_is_where_the_first_byte_is_missing(data):
    size = data.draw(st.integers(1, 60))
    there = data.draw(st.integers(0, size - 1))
    cuts = data.draw(st.sets(st.integers(there + 1, size)))
    edges = [there, *sorted(cuts | {size})]
    pieces = data.draw(st.permutations(list(itertools.pairwise(edges))))
    ranges = Ranges(size, there=there, range_size=7)
    arrived = set(range(there))
    for start, stop in pieces:
        ranges.keep(start, stop)
        arrived |= set(range(start, stop))
        missing = [offset for offset in range(size) if offset not in arrived]
        assert ranges.frontier == (missing[0] if missing else size)
        assert ranges.kept == len(arrived)


def test_what_was_taken_only_in_part_before_is_taken_as_the_rest():
    ranges = Ranges(100, there=10, range_size=20)
    assert ranges.take() == (10, 30)
    assert ranges.take_rest() == (30, 100)
    assert ranges.is_all_taken


def test_several_are_taken_as_one_up_to_the_end():
    ranges = Ranges(100, range_size=20)
    assert ranges.take(3) == (0, 60)
    assert ranges.take() == (60, 80)
    assert ranges.take(3) == (80, 100)
    assert ranges.is_all_taken


def test_without_a_size_of_ranges_all_that_is_left_is_one():
    assert list(taken(Ranges(None, there=5))) == [(5, None)]
    assert list(taken(Ranges(100, there=5))) == [(5, 100)]
    assert Ranges(100).has_room


def test_none_is_taken_far_ahead_of_the_frontier():
    ranges = Ranges(1000, range_size=1)
    for _ in range(AHEAD):
        assert ranges.has_room
        ranges.take()
    assert not ranges.has_room
    ranges.keep(1, 2)
    assert not ranges.has_room
    ranges.keep(0, 1)
    assert ranges.has_room
    ranges.take_rest()
    assert ranges.has_room


@pytest.mark.parametrize("piece", [(4, 6), (5, 5), (7, 8)])
def test_what_is_there_already_can_not_arrive_again(piece):
    ranges = Ranges(10, there=5, range_size=5)
    ranges.keep(7, 9)
    with pytest.raises(AssertionError):
        ranges.keep(*piece)


def test_ranges_say_how_far_they_are():
    ranges = Ranges(10, there=2, range_size=5)
    ranges.keep(5, 6)
    assert repr(ranges) == "<Ranges 3 of 10, all to 2>"


@pytest.mark.parametrize(
    ("etag", "expected"),
    [('"a"', '"a"'), ('W/"a"', None), (None, None), ("a", None), ('"', None), ('"a', None)],
)
def test_a_request_depends_on_a_strong_validator_only(etag, expected):
    assert Validators(etag, "Mon, 01 Jan 2024 00:00:00 GMT", 100).if_range == expected


@pytest.mark.parametrize(
    ("other", "differs"),
    [
        (FIRST, False),
        (Validators('"b"', FIRST.last_modified, 100), True),
        (Validators('W/"a"', None, 100), False),
        (Validators('"a"', "Tue, 02 Jan 2024 00:00:00 GMT", 100), False),
        (Validators(None, "Tue, 02 Jan 2024 00:00:00 GMT", 100), True),
        (Validators(None, FIRST.last_modified, 100), False),
        (Validators('"a"', FIRST.last_modified, 101), True),
        (Validators(None, None, 101), True),
        (Validators(None, None, None), False),
    ],
)
def test_replies_speak_of_the_same_bytes_where_all_that_both_name_is_equal(other, differs):
    assert FIRST.differ(other) is differs
    assert other.differ(FIRST) is differs


def test_validators_are_read_from_a_replies_headers():
    headers = {"etag": '"a"', "last-modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
    assert Validators.read(headers, 100) == FIRST
    assert Validators.read({}, None) == Validators(None, None, None)
