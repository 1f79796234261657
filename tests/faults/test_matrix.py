"""Every request, every fault, once and always: the end state, the error, and nothing left."""

from __future__ import annotations

import asyncio
import gc
import pathlib
import threading
import traceback

import pytest

from domo_files_async import (
    ApiError,
    DomoFilesError,
    RetryPolicy,
    Surface,
    Timeouts,
    TransferConfig,
)
from domo_files_async.emulator import Emulator
from domo_files_async.emulator.faults import OPERATIONS as KNOWN
from tests.faults.operations import OPERATIONS, make_world
from tests.faults.rules import ATTEMPTS, FAULTS, expect

QUICK = RetryPolicy(max_attempts=ATTEMPTS, initial_backoff=0.001, max_backoff=0.002)
SMALL = TransferConfig(multipart_threshold=1000)
AT_ONCE = 24


def cells_of(fault):
    number = FAULTS.index(fault)
    for place, operation in enumerate(OPERATIONS):
        if fault.applies(operation):
            surface = operation.surfaces[(place + number) % len(operation.surfaces)]
            # What no attempt follows is the same the first time and every time.
            for always in (False, True) if fault.may_go_again(operation) else (True,):
                yield operation, surface, always


CELLS = sum(1 for fault in FAULTS for _ in cells_of(fault))


async def state_of(emulator):
    store = emulator._store
    return {
        "files": set(emulator.files),
        "revisions": {(file, one) for file, all_ in emulator.files.items() for one in all_},
        "sessions": set(emulator.open_sessions),
        "public": {file.id for file in store.files.values() if file.public},
    }


def difference(before, after):
    """Say how many more there are; a file of its own brings its revision and its access along."""
    made = {file for file, _ in after["revisions"]} - before["files"]
    gone = before["files"] - after["files"]
    counted = {
        "files": len(after["files"]) - len(before["files"]),
        "sessions": len(after["sessions"]) - len(before["sessions"]),
        "revisions": len([r for r in after["revisions"] if r[0] not in made])
        - len([r for r in before["revisions"] if r[0] not in gone]),
        "public": len(after["public"] - made) - len(before["public"] - gone),
    }
    return {name: count for name, count in counted.items() if count}


async def play(fault, operation, surface, always):
    timeouts = Timeouts(stall=1.5) if fault.kind == "stall" else Timeouts(stall=20)
    async with Emulator() as emulator:
        async with emulator.session(
            "ada", surface=surface, retry=QUICK, transfer=SMALL, timeouts=timeouts
        ) as domo:
            world = await make_world(emulator, domo, operation)
            before = await state_of(emulator)
            emulator.faults.add(
                operation.request,
                part=operation.part,
                times=None if always else 1,
                **fault.words,
            )
            value = error = None
            try:
                value = await operation.act(world)
            except DomoFilesError as raised:
                error = raised
            after = await state_of(emulator)
        expected = expect(operation, fault, always=always)
        check_error(error, expected, emulator.credential("ada"))
        assert difference(before, after) == expected.effect
        assert not emulator.faults.pending
        if error is None and operation.good is not None and fault.kind != "other bytes":
            assert operation.good(value, world)
        assert difference(before, await state_of(emulator)) == expected.effect


def check_error(error, expected, credential):
    assert type(error) is (expected.error or type(None)), repr(error)
    if error is None:
        return
    if expected.cause is not None:
        assert type(error.cause) is expected.cause, repr(error.cause)
    deepest = getattr(error, "cause", None) or error
    if isinstance(deepest, ApiError):
        assert str(deepest.status) in str(error)
        assert deepest.advice in str(error)
    told = "".join(traceback.format_exception(error))
    assert credential not in told + repr(vars(error))
    assert "ExceptionGroup" not in told


def left_over():
    gc.collect()
    return {
        "tasks": [t for t in asyncio.all_tasks() if t is not asyncio.current_task()],
        "threads": [t.name for t in threading.enumerate() if t.name.startswith("domo-files")],
        "open files": len(list(pathlib.Path("/proc/self/fd").iterdir())),
    }


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_every_request_survives_it_or_says_what_happened(fault, record_property):
    turn = asyncio.Semaphore(1000 if fault.kind == "stall" else AT_ONCE)
    wrong = []

    async def cell(operation, surface, always):
        async with turn:
            try:
                await play(fault, operation, surface, always)
            except Exception as error:
                how = "always" if always else "once"
                last = traceback.extract_tb(error.__traceback__)[-1].line
                wrong.append(f"{operation.name}, {surface.value}, {how}: {last}: {error!r}")

    before = left_over()
    cells = list(cells_of(fault))
    async with asyncio.TaskGroup() as group:
        for one in cells:
            group.create_task(cell(*one))
    await asyncio.sleep(0)
    assert not wrong, "\n".join(wrong)
    after = left_over()
    assert not after["tasks"]
    assert after["threads"] == before["threads"]
    # Fewer there may be: what another test's libraries close late.
    assert after["open files"] <= before["open files"]
    record_property("cells", len(cells))


def test_the_matrix_has_every_request_and_every_fault():
    met = {(op.request, fault.name) for fault in FAULTS for op, _, _ in cells_of(fault)}
    assert {request for request, _ in met} == KNOWN
    for fault in FAULTS:
        due = {op.request for op in OPERATIONS if fault.applies(op)}
        assert {request for request, name in met if name == fault.name} == due
    assert {surface for op in OPERATIONS for surface in op.surfaces} == set(Surface)
    assert CELLS >= 2500
