"""The watch over requests on which nothing moves, without a server."""

from __future__ import annotations

import asyncio

import pytest

from domo_files_async.transport.stalls import Stalls, StallWatch
from tests.transport.tools import in_no_time


class Connection:
    """Something that can be dropped, and that notes when it was."""

    def __init__(self, *levels):
        self.levels = list(levels) or [0]
        self.dropped_at = None

    def level(self):
        return self.levels[0] if len(self.levels) == 1 else self.levels.pop(0)

    def drop(self):
        assert self.dropped_at is None
        self.dropped_at = asyncio.get_running_loop().time()


def watched(connection, stalls=None):
    return StallWatch(stalls or Stalls(8), connection.level, connection.drop)


@in_no_time
async def test_bytes_that_leave_by_themselves_are_a_movement():
    connection = Connection(40, 30, 30, 20, 10)
    watch = watched(connection)
    with watch:
        watch.moved()
        await asyncio.sleep(100)
    # The last change is seen at the fifth look, each two seconds after the one before.
    assert watch.is_stalled
    assert connection.dropped_at == pytest.approx(10 + 8)


@in_no_time
async def test_each_movement_counts_and_no_time_while_paused():
    connection = Connection()
    watch = watched(connection)
    with watch:
        await asyncio.sleep(100)
        watch.moved()
        for _ in range(5):
            await asyncio.sleep(7)
            watch.moved()
        watch.pause()
        await asyncio.sleep(100)
        assert not watch.is_stalled
        watch.moved()
        await asyncio.sleep(9)
    assert watch.is_stalled


@in_no_time
async def test_what_leaves_while_the_watch_is_paused_does_not_start_it_again():
    watch = watched(Connection(3, 2, 1))
    with watch:
        watch.moved()
        watch.pause()
        await asyncio.sleep(100)
    assert not watch.is_stalled


@in_no_time
async def test_nothing_is_watched_outside_of_the_block():
    stalls = Stalls(8)
    watch = watched(Connection(), stalls)
    with watch:
        watch.moved()
        await asyncio.sleep(7)
    await asyncio.sleep(100)
    assert not watch.is_stalled
    with watch:
        watch.moved()
        stalls.close()
        await asyncio.sleep(100)
    assert not watch.is_stalled


@in_no_time
async def test_of_many_only_those_that_stand_still_are_ended():
    stalls = Stalls(8)
    moving, standing, late = Connection(), Connection(), Connection()
    watches = [watched(one, stalls) for one in (moving, standing, late)]
    with watches[0], watches[1]:
        for watch in watches[:2]:
            watch.moved()
        await asyncio.sleep(7)
        watches[0].moved()
        with watches[2]:
            watches[2].moved()
            await asyncio.sleep(7)
            assert (moving.dropped_at, standing.dropped_at, late.dropped_at) == (None, 8, None)
            watches[0].moved()
            await asyncio.sleep(2)
    assert [watch.is_stalled for watch in watches] == [False, True, True]
    assert late.dropped_at == pytest.approx(7 + 8)
