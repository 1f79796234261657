"""The emulator opens, says what it saw, and leaves nothing behind."""

import asyncio
import json
import subprocess
import sys
import threading

import aiohttp
import pytest

from domo_files_async import InvalidArgumentError, Surface
from domo_files_async.auth import AppSession, DeveloperToken
from domo_files_async.emulator import Behaviour, Emulator


def emulator_threads():
    return [one for one in threading.enumerate() if one.name.startswith("emulator")]


async def test_closing_leaves_no_task_no_thread_and_no_socket(folder, make_caller, http):
    tasks = asyncio.all_tasks()
    async with Emulator(folder) as emulator:
        ada = make_caller(http, emulator, "product", "ada")
        await ada.upload(b"x" * 3_000_000)
        assert emulator_threads()
    assert asyncio.all_tasks() == tasks
    assert emulator_threads() == []
    with pytest.raises(aiohttp.ClientConnectorError):
        await ada.call("GET", "/details")


async def test_closing_waits_for_nobody_who_stands_still(make_caller, http):
    async def never():
        yield b"x"
        await asyncio.Event().wait()

    tasks = asyncio.all_tasks()
    async with Emulator() as emulator:
        ada = make_caller(http, emulator, "product", "ada")
        file_id, session_id = await ada.upload(b"x" * 3_000_000), await ada.begin()
        emulator.faults.add("list_files", stall=3600)
        emulator.faults.add("open_download", stall=3600)
        emulator.faults.add("upload_part", rate=0.001)
        asking = [
            asyncio.create_task(one)
            for one in (
                ada.call("GET", "/details"),
                ada.call("GET", f"/{file_id}"),
                ada.part(session_id, 1, b"xx"),
                ada.call("POST", "?name=x", data=never()),
            )
        ]
        while emulator.in_flight < 4:
            await asyncio.sleep(0)
        assert emulator.max_in_flight == 4
    for one in asking:
        with pytest.raises(aiohttp.ClientError):
            await one
    assert asyncio.all_tasks() == tasks
    assert emulator_threads() == []


async def test_a_commit_under_way_does_not_outlive_the_emulator(make_caller, http):
    async with Emulator() as emulator:
        ada = make_caller(http, emulator, "product", "ada")
        session_id = await ada.begin()
        for index in (1, 2):
            await ada.part(session_id, index, b"x" * 40_000_000)
        emulator._store.workers.is_closing = True
        asking = asyncio.create_task(ada.commit(session_id))
        while not emulator.in_flight:
            await asyncio.sleep(0)
    assert emulator_threads() == []
    await asyncio.gather(asking, return_exceptions=True)


async def test_two_emulators_know_nothing_of_each_other(make_caller, http):
    async with Emulator() as one, Emulator() as other:
        assert one.url != other.url
        ada = make_caller(http, one, "app", "ada")
        await ada.upload()
        assert (one.files != {}, other.files, other.requests) == (True, {}, [])


async def test_a_port_can_be_asked_for_and_a_busy_one_leaves_nothing(folder):
    async with Emulator() as emulator:
        port = int(emulator.url.rpartition(":")[2])
        with pytest.raises(OSError, match=str(port)):
            await Emulator(folder, port=port).__aenter__()
    assert emulator_threads() == []
    async with Emulator(folder, port=port) as again:
        assert again.url == f"http://127.0.0.1:{port}"


async def test_an_emulator_is_entered_once():
    emulator = Emulator()
    assert "no address yet" in repr(emulator)
    async with emulator:
        assert emulator.url in repr(emulator)
    with pytest.raises(RuntimeError, match="once"):
        await emulator.__aenter__()


async def test_requests_are_listed_as_they_arrived(ada, emulator):
    path = "/details?expand=revisions&a=1&a=%26%20x"
    await ada.call("GET", path, headers={"X-Odd": "yes"})
    await ada.upload(b"data")
    first, second = emulator.requests
    assert (first.operation, first.method, first.status) == ("list_files", "GET", 200)
    assert first.path == ada.base + "/details"
    assert first.query == {"expand": "revisions", "a": "& x"}
    assert first.headers["x-odd"] == first.headers["X-ODD"] == "yes"
    assert emulator.credential("ada") not in repr(first)
    assert (second.operation, second.query["name"]) == ("upload_file", "x")
    assert second.size >= 4
    assert emulator.max_in_flight == 1
    operation, method, path, query, headers, size, status = second
    assert (operation, method, path) == ("upload_file", "POST", second.path)
    assert (query, headers, size, status) == (second.query, second.headers, second.size, 200)


async def test_behaviour_can_be_given_from_the_start(make_caller, http):
    async with Emulator(behaviour=Behaviour(scan_state="FAILED")) as emulator:
        ada = make_caller(http, emulator, "app", "ada")
        said = await ada.details(await ada.upload())
        assert said["currentRevision"]["scanState"] == "FAILED"


async def test_users_and_their_credentials_come_into_being_when_named(emulator):
    assert emulator.user_id("ada") == emulator.user_id("ada") != emulator.user_id("grace")
    assert isinstance(emulator.auth("ada"), DeveloperToken)
    assert isinstance(emulator.auth("ada", surface=Surface.PRODUCT), DeveloperToken)
    assert isinstance(emulator.auth("ada", surface=Surface.APP), AppSession)
    for make in (emulator.auth, emulator.session):
        with pytest.raises(InvalidArgumentError, match="'app'"):
            make("ada", surface="app")


@pytest.mark.parametrize("surface", [None, *Surface])
async def test_a_session_of_a_user_works_on_it(emulator, surface):
    async with emulator.session("ada", surface=surface, user_agent="mine") as domo:
        file_id = await domo.upload_file(b"x", name="x")
    (request,) = emulator.requests
    assert request.path.startswith("/domo" if surface is Surface.APP else "/api")
    assert request.headers["User-Agent"].startswith("mine")
    assert await emulator.content(file_id) == b"x"


def test_serving_imports_nothing_of_the_client_but_its_package():
    code = (
        "import sys, json\n"
        "import domo_files_async\n"
        "before = set(sys.modules)\n"
        "import domo_files_async.emulator\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    loaded = [one for one in json.loads(done.stdout) if one.startswith("domo_files_async")]
    assert loaded
    assert all(one.startswith("domo_files_async.emulator") for one in loaded)
    assert "domo_files_async.emulator.conveniences" not in loaded
