"""Uploads for a long time while one request in twenty fails: nothing lost, nothing twice."""

import asyncio
import gc

import psutil
import pytest

from tests.soak.soaking import (
    SHARE,
    Account,
    Levels,
    compare,
    make_file,
    served,
    upload_large,
    upload_many,
)

pytestmark = pytest.mark.timeout(0)

MIB = 1024 * 1024
MOST_GROWTH = 8 * MIB
KEPT = 256
"""Bytes that this test itself keeps of each upload: a digest, to compare it at the end."""

BUDGET = 64 * MIB
"""What the buffers of a session may hold; how many of them are in use the link decides."""

FEW = 60


@pytest.fixture
def seed(request):
    return request.config.getoption("--soak-seed", default=1)


def open_files():
    gc.collect()
    return psutil.Process().num_fds()


def check_levels(levels, *, uploads=1, budget=0):
    # From the second quarter to the last is half of all uploads.
    assert levels.growth("memory") <= MOST_GROWTH + KEPT * uploads // 2 + budget
    for what in ("files", "threads", "tasks"):
        assert max(sample[what] for sample in levels.samples) <= FEW
        assert levels.growth(what) <= FEW // 4
    return f"{levels.growth('memory') / MIB:+.1f} MiB from the second to the last quarter"


async def test_many_small_uploads_are_each_there_once(request, record_property, seed):
    uploads = request.config.getoption("--soak-uploads", default=600)
    levels = Levels()
    before = open_files()
    async with served(seed) as server:
        account = await upload_many(server, uploads, seed, levels)
        assert {task.get_name() for task in asyncio.all_tasks()} == {
            asyncio.current_task().get_name()
        }
    said = server.said
    found = compare(account, said["files"])
    assert found["lost"] == 0, found
    assert found["twice"] == 0, found
    assert found["right"] == account.ends["done"] == uploads - account.ends["unknown"]
    assert sum(said["faults"].values()) > said["requests"] * SHARE / 2
    assert open_files() <= before
    record_property("small uploads", f"{account.ends['done']} of {uploads}, each there once")
    record_property("how they ended", dict(account.ends) | dict(found))
    record_property("requests", f"{said['requests']}, faults {said['faults']}")
    record_property("memory", check_levels(levels, uploads=uploads))


async def test_a_large_upload_that_takes_long_is_there_once(
    request, record_property, seed, tmp_path
):
    option = request.config.getoption
    minutes = option("--soak-minutes", default=0.04)
    source = tmp_path / "large.bin"
    size = option("--soak-size", default=40) * MIB
    digest = make_file(source, size)
    levels = Levels()
    async with served(seed, tmp_path / "server") as server:
        made = await upload_large(server, source, size, minutes * 60, levels)
    assert server.said["files"] == {"large.bin": [digest]}
    assert made["sha256"] == digest
    assert made["retried"]
    record_property("large upload", f"{made['parts']} parts in {made['seconds']:.0f} s")
    record_property("parts sent again", made["retried"])
    record_property("faults", server.said["faults"])
    record_property("memory of the large one", check_levels(levels, budget=BUDGET))


def test_what_is_lost_or_twice_is_counted():
    account = Account(
        sent={"a": ["1", "2"], "b": ["3"], "c": ["4"]}, unknown={"a": ["5"], "b": ["6"]}
    )
    there = {"a": ["1", "2", "5"], "b": ["3", "3"], "c": [], "c again": ["4"]}
    found = compare(account, there)
    assert found == {"right": 3, "unknown, and there": 1, "twice": 2, "lost": 1}
