import asyncio
from collections import Counter

from domo_files_async.engine import entrance as entrance_module
from domo_files_async.engine.entrance import Entrance

FEW = entrance_module._AT_ONCE


class Turns:
    """Counts the turns of the loop."""

    def __init__(self):
        self.now = 0
        asyncio.get_running_loop().call_soon(self._next)

    def _next(self):
        self.now += 1
        asyncio.get_running_loop().call_soon(self._next)


async def test_few_enter_in_one_turn_of_the_loop_and_all_in_their_order():
    entrance, turns, entered = Entrance(), Turns(), []

    async def enter(number):
        await entrance.enter()
        entered.append((number, turns.now))

    await asyncio.gather(*(enter(number) for number in range(5 * FEW + 1)))
    assert [number for number, _ in entered] == list(range(5 * FEW + 1))
    assert max(Counter(turn for _, turn in entered).values()) == FEW


async def test_whoever_comes_alone_enters_at_once():
    entrance = Entrance()
    for _ in range(3):
        for _ in range(FEW):
            coroutine = entrance.enter()
            try:
                coroutine.send(None)
            except StopIteration:
                continue
            raise AssertionError("It waited")
        await asyncio.sleep(0)


async def test_whoever_stops_waiting_takes_nobodys_turn():
    entrance, turns, entered = Entrance(), Turns(), []

    async def enter(number):
        await entrance.enter()
        entered.append((number, turns.now))

    tasks = [asyncio.create_task(enter(number)) for number in range(3 * FEW)]
    await asyncio.sleep(0)
    for task in tasks[FEW : 2 * FEW]:
        task.cancel()
    await asyncio.wait(tasks)
    assert [number for number, _ in entered] == [*range(FEW), *range(2 * FEW, 3 * FEW)]
    assert len({turn for _, turn in entered}) == 2


async def test_many_uploads_that_begin_at_once_begin_by_groups(domo, emulator, monkeypatch):
    monkeypatch.setattr(entrance_module, "_AT_ONCE", 2)
    made = await asyncio.gather(*(domo.upload(b"%d" % n, name=f"{n}") for n in range(9)))
    for number, one in enumerate(made):
        assert await emulator.content(one.data_file_id) == b"%d" % number


async def test_a_session_that_closes_ends_those_who_wait_to_begin(emulator, monkeypatch):
    monkeypatch.setattr(entrance_module, "_AT_ONCE", 1)
    async with emulator.session("ada") as domo:
        tasks = [asyncio.create_task(domo.upload(b"x", name="x")) for _ in range(9)]
        await asyncio.sleep(0)
    await asyncio.wait(tasks)
    assert all(task.cancelled() for task in tasks)
    assert not emulator.files
