"""The commands as processes: exit codes, interruption, pipes, and the emulator in another one."""

from __future__ import annotations

import asyncio
import json
import os
import signal

import pytest

from domo_files_async import DomoFilesSession, Surface
from domo_files_async.emulator import Emulator
from tests.arrivals import Arrivals
from tests.cli.conftest import COMMAND, surroundings

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Signals are otherwise there")


def environment(emulator, surface=Surface.PRODUCT):
    names = {
        Surface.PRODUCT: ("DOMO_INSTANCE", "DOMO_ACCESS_TOKEN"),
        Surface.APP: ("DOMO_URL", "DOMO_APP_SESSION"),
    }[surface]
    return dict(zip(names, (emulator.url, emulator.credential("ada")), strict=True))


async def test_what_is_done_ends_with_0_and_what_failed_with_1_and_wrong_usage_with_2(
    start, finish, emulator
):
    for words, code in ((["ls"], 0), (["show", 404404], 1), (["nonsense"], 2)):
        ended = await finish(await start(*words, **environment(emulator)))
        assert ended.code == code
        assert "Traceback" not in ended.err


@pytest.mark.parametrize("surface", Surface)
async def test_the_environment_says_where_and_as_who(start, finish, emulator, tmp_path, surface):
    (tmp_path / "a.txt").write_bytes(b"hello")
    settings = environment(emulator, surface)
    ended = await finish(await start("upload", "a.txt", "--json", **settings))
    assert ended.code == 0, ended.err
    (result,) = ended.lines
    assert await emulator.content(result["data_file_id"]) == b"hello"
    base = {Surface.APP: "/domo/", Surface.PRODUCT: "/api/"}[surface]
    assert all(request.path.startswith(base) for request in emulator.requests)


async def test_the_url_and_the_surface_can_be_told(start, finish, emulator):
    ended = await finish(
        await start(
            *("ls", "--json", "--url", emulator.url, "--surface", "app"),
            DOMO_APP_SESSION=emulator.credential("ada"),
            DOMO_ACCESS_TOKEN="another",
        )
    )
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert emulator.requests[0].path.startswith("/domo/")


async def test_the_app_surface_takes_its_own_address_and_credential(start, finish, emulator):
    settings = {"DOMO_INSTANCE": "http://127.0.0.1:9", "DOMO_ACCESS_TOKEN": "another"}
    for words in (["ls"], ["doctor"]):
        emulator.requests.clear()
        process = await start(
            *words, "--surface", "app", **settings, **environment(emulator, Surface.APP)
        )
        ended = await finish(process)
        assert ended.code == 0, ended.out + ended.err
        assert emulator.requests[-1].path.startswith("/domo/")


@pytest.mark.parametrize(
    ("redirection", "words", "said"),
    [
        (">&-", "ls --json", "Standard output is closed"),
        (">&-", "upload a.txt --json", "Standard output is closed"),
        (">&-", "download 401 -", "Standard output is closed"),
        (">&-", "--version", "Standard output is closed"),
        (">&-", "", "Standard output is closed"),
        ("<&-", "upload - --name x", "Standard input is closed"),
        ("<&-", "rm 401", "say --yes"),
    ],
)
async def test_a_closed_descriptor_is_a_sentence_before_anything_is_done(
    finish, emulator, tmp_path, redirection, words, said
):
    (tmp_path / "a.txt").touch()
    process = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", f'exec "$@" {redirection}', "sh", *COMMAND, *words.split()),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**surroundings(), **environment(emulator)},
    )
    ended = await finish(process)
    assert (ended.code, ended.out) == (2 if "rm" in words else 1, "")
    assert said in ended.err
    assert len(ended.err.splitlines()) == 1
    assert emulator.requests == []


async def test_a_pipe_goes_up_and_comes_down_as_it_was(start, finish, emulator):
    data = os.urandom(3_000_000)
    settings = environment(emulator)
    ended = await finish(await start("upload", "-", "--name", "x", "--json", **settings), data)
    (result,) = ended.lines
    download = await start("download", result["data_file_id"], "-", **settings)
    out, err = await download.communicate()
    assert (download.returncode, out == data) == (0, True)
    assert b"verified" in err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["upload", "a.txt", "missing.txt"], 1),
        (["upload", "a.txt", "--json"], 0),
        (["show", "404404"], 1),
        (["download", "404404"], 1),
        (["ls", "404404"], 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
async def test_no_output_holds_a_credential(start, finish, emulator, tmp_path, words, code):
    (tmp_path / "a.txt").write_bytes(b"hello")
    ended = await finish(await start(*words, **environment(emulator)))
    assert ended.code == code
    assert ended.out + ended.err
    assert emulator.credential("ada") not in ended.out + ended.err


async def test_a_wrong_credential_is_a_sentence_without_it(start, finish, emulator):
    settings = {**environment(emulator), "DOMO_ACCESS_TOKEN": "hush-hush"}
    ended = await finish(await start("ls", **settings))
    assert ended.code == 1
    assert "401" in ended.err
    assert "Check the credential" in ended.err
    assert "hush-hush" not in ended.err
    assert "Traceback" not in ended.err


async def test_an_interrupted_command_ends_with_130(start, finish, emulator):
    emulator.requests = Arrivals()
    emulator.faults.add("list_files", stall=600)
    process = await start("ls", **environment(emulator))
    await emulator.requests.until("list_files")
    process.send_signal(signal.SIGINT)
    ended = await finish(process)
    assert (ended.code, ended.out) == (130, "")
    assert ended.err == "Interrupted.\n"


async def test_an_interrupted_upload_leaves_nothing_on_the_server(start, finish, emulator):
    emulator.requests = Arrivals()
    process = await start("upload", "-", "--name", "x", **environment(emulator))
    process.stdin.write(bytes(33 * 1024 * 1024))
    await emulator.requests.until("upload_part")
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 130
    assert (await process.stderr.read()).decode() == "Interrupted.\n"
    assert emulator.open_sessions == []
    assert emulator.files == {}
    assert "abort_multipart_session" in [one.operation for one in emulator.requests]


async def test_an_interrupted_download_shows_no_file_and_the_next_one_is_whole(
    start, finish, emulator, tmp_path
):
    async with emulator.session("ada") as domo:
        data_file_id = await domo.upload_file(bytes(5_000_000), name="x.bin")
    emulator.requests = Arrivals()
    emulator.faults.add("open_download", stall=600)
    process = await start("download", data_file_id, **environment(emulator))
    await emulator.requests.until("open_download")
    process.send_signal(signal.SIGINT)
    ended = await finish(process)
    assert (ended.code, ended.err) == (130, "Interrupted.\n")
    # What came is kept in a hidden file, from which the next one goes on.
    assert [one for one in tmp_path.iterdir() if not one.name.startswith(".")] == []
    ended = await finish(await start("download", data_file_id, **environment(emulator)))
    assert ended.code == 0, ended.err
    assert [one.name for one in tmp_path.iterdir()] == ["x.bin"]
    assert (tmp_path / "x.bin").read_bytes() == bytes(5_000_000)


@pytest.mark.parametrize("surface", Surface)
async def test_an_emulator_serves_until_it_is_interrupted(
    start, finish, tmp_path, monkeypatch, surface
):
    process = await start("emulator", "kept", "--user", "ada", "--user", "grace", "--json")
    told = json.loads(await process.stdout.readline())
    assert sorted(told["credentials"]) == ["ada", "grace"]
    assert told["console"].startswith(f"{told['url']}/#key=")
    names = {
        Surface.PRODUCT: ("DOMO_INSTANCE", "DOMO_ACCESS_TOKEN"),
        Surface.APP: ("DOMO_URL", "DOMO_APP_SESSION"),
    }[surface]
    for name, value in zip(names, (told["url"], told["credentials"]["ada"]), strict=True):
        monkeypatch.setenv(name, value)
    async with DomoFilesSession.from_env() as domo:
        assert domo.surface is surface
        data_file_id = await domo.upload_file(b"hello", name="x")
    process.send_signal(signal.SIGINT)
    ended = await finish(process)
    assert (ended.code, ended.out, ended.err) == (130, "", "Interrupted.\n")
    async with Emulator(tmp_path / "kept") as again:
        assert await again.content(data_file_id) == b"hello"


async def test_an_emulator_tells_people_what_to_set(start, finish):
    process = await start("emulator")
    lines = [(await process.stdout.readline()).decode() for _ in range(5)]
    assert lines[0].startswith("The emulator is at http://127.0.0.1:")
    assert "Ctrl-C" in lines[0]
    assert "DOMO_INSTANCE=http://127.0.0.1:" in lines[2]
    assert "DOMO_ACCESS_TOKEN=" in lines[2]
    assert "DOMO_APP_SESSION=" in lines[3]
    assert "/#key=" in lines[4]
    process.send_signal(signal.SIGINT)
    ended = await finish(process)
    assert (ended.code, ended.out, ended.err) == (130, "", "Interrupted.\n")


async def test_a_port_that_is_taken_is_a_sentence(start, finish, emulator):
    ended = await finish(await start("emulator", "--port", emulator.url.rpartition(":")[2]))
    assert ended.code == 1
    assert "can't be opened" in ended.err
    assert "in use" in ended.err
    assert "Traceback" not in ended.err


async def test_a_folder_that_another_emulator_has_is_a_sentence(start, finish, tmp_path):
    async with Emulator(tmp_path / "kept"):
        ended = await finish(await start("ls", "--local", "kept"))
    assert ended.code == 1
    assert "Another emulator has kept open" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("name", ["facts.sqlite", "file"])
async def test_a_folder_that_is_no_emulators_is_a_sentence(start, finish, tmp_path, name):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / name).write_bytes(b"this is something else altogether" * 9)
    folder = "kept" if name == "facts.sqlite" else "kept/file/in"
    ended = await finish(await start("ls", "--local", folder))
    assert ended.code == 1
    assert f"The emulator in {folder} can't be opened" in ended.err
    assert "Traceback" not in ended.err


async def test_a_terminal_that_cant_write_a_name_gets_it_escaped(start, finish, emulator):
    async with emulator.session("ada") as domo:
        await domo.upload_file(b"x", name="売上.csv")
    ended = await finish(await start("ls", PYTHONIOENCODING="ascii", **environment(emulator)))
    assert ended.code == 0, ended.err
    assert "\\u58f2\\u4e0a.csv" in ended.out
