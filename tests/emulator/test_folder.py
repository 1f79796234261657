"""What a folder keeps when its emulator is closed, or killed."""

import sqlite3

import pytest

from domo_files_async.emulator import Emulator


@pytest.fixture
def open_folder(tmp_path):
    return lambda: Emulator(tmp_path / "deep" / "kept")


@pytest.fixture
def ada_on(http, make_caller):
    return lambda emulator, surface="product": make_caller(http, emulator, surface, "ada")


async def test_a_restart_keeps_users_files_permissions_and_sessions(open_folder, ada_on):
    async with open_folder() as emulator:
        ada = ada_on(emulator)
        file_id = await ada.upload(b"one", name="kept 📈", description="said")
        await ada.revise(file_id, b"two")
        await ada.grant(file_id, "READ")
        gone = await ada.upload()
        await ada.ok("DELETE", f"/{gone}")
        session_id, aborted = await ada.begin(name="later"), await ada.begin()
        for index in (1, 2, 2):
            await ada.part(session_id, index, b"part %d" % index * 100_000)
        await ada.abort(aborted)
        users = emulator.user_id("ada"), emulator.credential("ada"), emulator.user_id("grace")
        files, said = emulator.files, await ada.details(file_id, expand="metadata,revisions")
    async with open_folder() as emulator:
        assert (emulator.user_id("ada"), emulator.credential("ada")) == users[:2]
        assert emulator.user_id("grace") == users[2]
        assert emulator.user_id("new") not in users
        ada = ada_on(emulator)
        assert emulator.files == files
        assert await ada.details(file_id, expand="metadata,revisions") == said
        assert await emulator.content(file_id, files[file_id][0]) == b"one"
        assert (await ada.be("grace").ok("GET", f"/{file_id}")).body == b"two"
        assert emulator.open_sessions == [session_id]
        assert (await ada.abort(aborted)).status == 404
        await ada.part(session_id, 3, b"end")
        made = int((await ada.commit(session_id)).json["dataFileId"])
        whole = b"part 1" * 100_000 + b"part 2" * 100_000 + b"end"
        assert await emulator.content(made) == whole
        assert made > gone
    async with open_folder() as emulator:
        ada = ada_on(emulator)
        assert (await ada.commit(session_id)).status == 409
        assert await emulator.content(made) == whole


async def test_shared_bytes_stay_as_long_as_anybody_has_them(open_folder, ada_on, tmp_path):
    blobs = tmp_path / "deep" / "kept" / "blobs"
    async with open_folder() as emulator:
        ada = ada_on(emulator)
        first = await ada.upload(b"shared")
        second = (await ada.ok("POST", f"/{first}/duplicate")).json["dataFileId"]
        assert len(list(blobs.iterdir())) == 1
    async with open_folder() as emulator:
        ada = ada_on(emulator)
        await ada.ok("DELETE", f"/{first}")
        assert await emulator.content(second) == b"shared"
        await ada.ok("DELETE", f"/{second}")
        assert list(blobs.iterdir()) == []


async def test_nothing_is_left_of_refused_replaced_and_aborted_bytes(open_folder, ada_on, tmp_path):
    async with open_folder() as emulator:
        ada = ada_on(emulator)
        session_id = await ada.begin()
        await ada.part(session_id, 1, b"x" * 2_000_000, checksum="0" * 64)
        await ada.part(session_id, 1, b"first")
        await ada.part(session_id, 1, b"second")
        await ada.abort(session_id)
        emulator.behaviour.max_file_size = 1_500_000
        await ada.call("POST", "?name=x", data=chunks(2))
        assert list((tmp_path / "deep" / "kept" / "blobs").iterdir()) == []


async def chunks(count):
    for _ in range(count):
        yield bytes(1_100_000)


async def test_what_a_killed_emulator_left_is_swept_away(open_folder, ada_on, tmp_path):
    async with open_folder() as emulator:
        file_id = await ada_on(emulator).upload(b"kept")
    blobs = tmp_path / "deep" / "kept" / "blobs"
    (blobs / "half.part").write_bytes(b"half")
    (blobs / "orphan").write_bytes(b"orphan")
    async with open_folder() as emulator:
        assert len(list(blobs.iterdir())) == 1
        assert await emulator.content(file_id) == b"kept"


async def test_a_folder_belongs_to_one_emulator_at_a_time(open_folder):
    async with open_folder():
        with pytest.raises(RuntimeError, match="Another emulator has"):
            await open_folder().__aenter__()
    async with open_folder():
        pass


async def test_users_are_kept_even_if_no_request_was_made(open_folder):
    async with open_folder() as emulator:
        names = [f"user {n}" for n in range(50)]
        before = [emulator.user_id(name) for name in names]
    async with open_folder() as emulator:
        assert [emulator.user_id(name) for name in reversed(names)] == before[::-1]


async def test_users_who_are_named_before_it_is_entered_stay_who_they_are(open_folder):
    def facts(emulator, *names):
        return [(emulator.user_id(name), emulator.credential(name)) for name in names]

    emulator = open_folder()
    early = facts(emulator, "ada", "grace")
    async with emulator:
        assert facts(emulator, "ada", "grace") == early
        kept = early + facts(emulator, "alan")
    again = open_folder()
    early = facts(again, "new", "ada")
    async with again:
        assert facts(again, "new", "ada") == early
        assert facts(again, "ada", "grace", "alan") == kept
        kept += facts(again, "new", "newer")
    async with open_folder() as emulator:
        assert facts(emulator, "ada", "grace", "alan", "new", "newer") == kept
    assert len(dict(kept)) == 5


async def test_a_damaged_folder_is_refused_and_let_go(open_folder, tmp_path):
    async with open_folder():
        pass
    facts = tmp_path / "deep" / "kept" / "facts.sqlite"
    facts.write_bytes(b"no database" * 1000)
    for _ in range(2):
        with pytest.raises(sqlite3.DatabaseError):
            await open_folder().__aenter__()
