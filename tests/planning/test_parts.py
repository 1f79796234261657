from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domo_files_async.config import MAX_PARTS, MIB
from domo_files_async.errors import InvalidArgumentError, SourceTooLargeError
from domo_files_async.planning.parts import (
    DEFAULT_PART_SIZE,
    Part,
    PartPlan,
    check_stream_part_size,
    plan_parts,
    plan_single_read,
    stream_ceiling,
    stream_part_size,
)

HELD_BY_DEFAULT = MAX_PARTS * DEFAULT_PART_SIZE
BUDGET = 64 * MIB
CEILING = 32 * MIB

sizes = st.integers(min_value=0, max_value=10**18)
NO_SIZES = [0, -1, True, False, 1.0, 16.5, "16", b"16"]


@pytest.mark.parametrize(
    ("size", "asked", "part_size", "count"),
    [
        (0, None, DEFAULT_PART_SIZE, 1),
        (1, None, DEFAULT_PART_SIZE, 1),
        (DEFAULT_PART_SIZE, None, DEFAULT_PART_SIZE, 1),
        (DEFAULT_PART_SIZE + 1, None, DEFAULT_PART_SIZE, 2),
        (HELD_BY_DEFAULT, None, DEFAULT_PART_SIZE, MAX_PARTS),
        (HELD_BY_DEFAULT + 1, None, 17 * MIB, 9_412),
        (MAX_PARTS * 17 * MIB, None, 17 * MIB, MAX_PARTS),
        (MAX_PARTS * 17 * MIB + 1, None, 18 * MIB, 9_445),
        (0, 1, 1, 1),
        (10_000, 1, 1, 10_000),
        (10_001, 2, 2, 5_001),
        (7, 100, 100, 1),
    ],
)
def test_a_size_is_cut_into_parts(size, asked, part_size, count):
    plan = plan_parts(size, part_size=asked)

    assert plan == PartPlan(size, part_size)
    assert plan.count == count


def test_an_empty_source_is_one_empty_part():
    assert plan_parts(0).part(1) == Part(1, 0, 0)


def test_the_last_part_is_what_is_left():
    plan = plan_parts(10, part_size=4)

    assert [plan.part(index) for index in (1, 2, 3)] == [
        Part(1, 0, 4),
        Part(2, 4, 4),
        Part(3, 8, 2),
    ]


@pytest.mark.parametrize("index", [-1, 0, 4])
def test_there_is_no_part_outside_the_plan(index):
    with pytest.raises(IndexError, match=f"no part {index} among 3"):
        plan_parts(10, part_size=4).part(index)


@given(sizes)
def test_parts_of_any_size_by_default_are_whole_mebibytes_within_the_limit(size):
    plan = plan_parts(size)

    assert plan.count <= MAX_PARTS
    assert plan.part_size >= DEFAULT_PART_SIZE
    assert plan.part_size % MIB == 0
    if plan.part_size > DEFAULT_PART_SIZE:
        assert PartPlan(size, plan.part_size - MIB).count > MAX_PARTS


@given(sizes, st.integers(min_value=1, max_value=MAX_PARTS), st.integers(0, 10**9))
def test_parts_lie_side_by_side_and_add_up(size, index, more):
    plan = plan_parts(size, part_size=-(-size // MAX_PARTS) + more or 1)
    index = min(index, plan.count)
    part, last = plan.part(index), plan.part(plan.count)

    assert last.offset + last.size == size
    assert 0 < part.size <= plan.part_size or size == 0
    if index < plan.count:
        assert plan.part(index + 1).offset == part.offset + part.size


@given(st.integers(min_value=MAX_PARTS + 1, max_value=10**18))
def test_an_asked_size_that_cannot_hold_the_source_is_refused_with_the_one_that_can(size):
    smallest = -(-size // MAX_PARTS)
    too_small = smallest - 1

    with pytest.raises(InvalidArgumentError, match=f"at least {smallest} would do"):
        plan_parts(size, part_size=too_small)
    assert plan_parts(size, part_size=smallest).count <= MAX_PARTS


@pytest.mark.parametrize("asked", NO_SIZES)
def test_what_is_no_part_size_is_refused(asked):
    with pytest.raises(InvalidArgumentError, match="part_size must be a whole number"):
        plan_parts(100, part_size=asked)
    with pytest.raises(InvalidArgumentError, match="part_size must be a whole number"):
        check_stream_part_size(asked, BUDGET)
    with pytest.raises(InvalidArgumentError, match="part_size must be a whole number"):
        plan_single_read(100, part_size=asked, memory_budget=BUDGET)


@pytest.mark.parametrize(
    ("size", "asked", "part_size"),
    [
        (0, None, DEFAULT_PART_SIZE),
        (HELD_BY_DEFAULT, None, DEFAULT_PART_SIZE),
        (HELD_BY_DEFAULT + 1, None, 17 * MIB),
        (MAX_PARTS * CEILING, None, CEILING),
        (1_000, 7, 7),
        (1_000, BUDGET, BUDGET),
    ],
)
def test_a_source_that_is_read_once_gets_parts_that_can_be_held(size, asked, part_size):
    plan = plan_single_read(size, part_size=asked, memory_budget=BUDGET)

    assert plan == PartPlan(size, part_size)


def test_a_small_budget_makes_small_default_parts():
    assert plan_single_read(5 * MIB, part_size=None, memory_budget=2 * MIB).part_size == MIB


def test_a_source_read_once_may_fill_the_budgets_share_to_the_byte():
    budget = 2 * (17 * MIB - 1)
    size = MAX_PARTS * (17 * MIB - 1)

    assert plan_single_read(size, part_size=None, memory_budget=budget).count == MAX_PARTS


def test_a_source_read_once_that_outgrows_the_budgets_share_is_too_large():
    size = MAX_PARTS * CEILING + 1

    with pytest.raises(SourceTooLargeError, match=str(MAX_PARTS * CEILING)) as caught:
        plan_single_read(size, part_size=None, memory_budget=BUDGET)
    assert str(size) in str(caught.value)
    assert "memory_budget" in str(caught.value)


def test_a_source_read_once_refuses_an_asked_size_above_the_budget():
    with pytest.raises(InvalidArgumentError, match="don't fit into the memory_budget"):
        plan_single_read(1, part_size=BUDGET + 1, memory_budget=BUDGET)


def test_a_source_read_once_refuses_an_asked_size_that_cannot_hold_it():
    with pytest.raises(InvalidArgumentError, match="at least 2 would do"):
        plan_single_read(MAX_PARTS + 1, part_size=1, memory_budget=BUDGET)


@given(sizes, st.integers(min_value=MIB, max_value=2**40))
def test_a_source_read_once_is_held_or_refused(size, budget):
    ceiling = stream_ceiling(budget)
    try:
        plan = plan_single_read(size, part_size=None, memory_budget=budget)
    except SourceTooLargeError:
        assert size > MAX_PARTS * ceiling
    else:
        assert plan.count <= MAX_PARTS
        assert 1 <= plan.part_size <= ceiling


@pytest.mark.parametrize(
    ("index", "ceiling", "size"),
    [
        (1, 2**40, 16 * MIB),
        (1_000, 2**40, 16 * MIB),
        (1_001, 2**40, 32 * MIB),
        (2_001, 2**40, 64 * MIB),
        (10_000, 2**40, 8192 * MIB),
        (1_001, CEILING, CEILING),
        (2_001, CEILING, CEILING),
        (2_001, 40 * MIB, 40 * MIB),
        (1, MIB, MIB),
        (10_000, MIB, MIB),
        (1, 0, 1),
    ],
)
def test_the_parts_of_a_stream_grow_up_to_the_ceiling(index, ceiling, size):
    assert stream_part_size(index, asked=None, ceiling=ceiling) == size


@pytest.mark.parametrize("index", [1, 1_001, 10_000])
def test_an_asked_size_of_a_streams_parts_is_kept(index):
    assert stream_part_size(index, asked=5, ceiling=MIB) == 5
    assert stream_part_size(index, asked=2 * MIB, ceiling=MIB) == 2 * MIB


@pytest.mark.parametrize(
    ("asked", "room"),
    [(5, 50_000), (None, MIB * (1_000 * 16 + 9_000 * 32))],
)
def test_a_stream_that_outgrows_the_parts_is_told_how_much_would_have_fitted(asked, room):
    with pytest.raises(SourceTooLargeError, match=f"more than the {room} bytes") as caught:
        stream_part_size(MAX_PARTS + 1, asked=asked, ceiling=CEILING)
    assert "Give a larger part_size or memory_budget" in str(caught.value)


@pytest.mark.parametrize(("budget", "ceiling"), [(BUDGET, CEILING), (3, 1), (1, 1)])
def test_a_streams_parts_grow_to_half_of_the_budget(budget, ceiling):
    assert stream_ceiling(budget) == ceiling


def test_a_stream_may_have_parts_as_large_as_the_budget():
    check_stream_part_size(1, BUDGET)
    check_stream_part_size(BUDGET, BUDGET)


def test_a_stream_may_not_have_parts_above_the_budget():
    with pytest.raises(InvalidArgumentError, match="don't fit into the memory_budget of 100"):
        check_stream_part_size(101, 100)
