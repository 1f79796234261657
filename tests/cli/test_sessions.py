"""`domo-files sessions`: what a dead process left open is shown, resumed and aborted."""

import asyncio

import pytest

from domo_files_async import RetryPolicy, TransferConfig, UploadJournal
from tests.arrivals import Arrivals

DATA = b"a,b\n1,2\n" * 1000
SMALL = TransferConfig(multipart_threshold=1000, part_size=1000)


class StopError(Exception):
    pass


def stop(done):
    if done.parts_done >= 3:
        raise StopError


@pytest.fixture
def leave(emulator, tmp_path):
    """Leave an upload open in a journal."""

    async def left(name="orders.csv", **options):
        path = tmp_path / name
        path.write_bytes(DATA)
        async with (
            UploadJournal(tmp_path / "j") as opened,
            emulator.session("ada", transfer=SMALL) as domo,
        ):
            with pytest.raises(StopError):
                await domo.upload(path, journal=opened, progress=stop, **options)
            return (await opened.uploads())[-1]

    return left


@pytest.fixture
def command(run, emulator, monkeypatch):
    """Run a command in a thread, beside the emulator, which it knows from the environment."""
    monkeypatch.setenv("DOMO_INSTANCE", emulator.url)
    monkeypatch.setenv("DOMO_ACCESS_TOKEN", emulator.credential("ada"))
    return lambda *words: asyncio.to_thread(run, "sessions", *words)


async def test_what_is_left_open_is_listed(command, leave, emulator):
    left = await leave()
    ended = await command("ls", "j")
    assert (ended.code, ended.err) == (0, "")
    for word in ("orders.csv", "a new data file", f"{left.parts_done} of 8", emulator.url, "open"):
        assert word in ended.out
    (said,) = (await command("ls", "j", "--json")).lines
    assert (said["id"], said["session_id"]) == (left.id, left.session_id)
    assert said["path"].endswith("orders.csv")
    assert (said["may_be_made"], said["is_held"]) == (False, False)


async def test_what_is_left_open_is_resumed(command, leave, emulator):
    await leave()
    await leave("second.csv", description="said")
    seen = len(emulator.requests)
    ended = await command("resume", "j", "--json")
    assert (ended.code, ended.err) == (0, "")
    assert [one["result"]["name"] for one in ended.lines] == ["orders.csv", "second.csv"]
    for one in ended.lines:
        assert await emulator.content(one["result"]["data_file_id"]) == DATA
    operations = [one.operation for one in emulator.requests[seen:]]
    assert "create_multipart_session" not in operations
    assert emulator.open_sessions == []
    assert "Nothing is left open" in (await command("ls", "j")).out


async def test_one_of_several_is_resumed_and_told(command, leave, emulator):
    first = await leave()
    second = await leave("second.csv")
    ended = await command("resume", "j", second.id)
    assert ended.code == 0
    assert ended.out.startswith("second.csv is data file ")
    assert "were there" in ended.out
    assert emulator.open_sessions == [first.session_id]


async def test_what_is_left_open_is_aborted(command, leave, emulator):
    first = await leave()
    second = await leave("second.csv")
    ended = await command("abort", "j", first.id)
    assert (ended.code, ended.out) == (0, f"Upload {first.id} (orders.csv) is aborted.\n")
    assert emulator.open_sessions == [second.session_id]
    (said,) = (await command("abort", "j", "--json")).lines
    assert said == {"id": second.id, "aborted": True}
    assert emulator.open_sessions == []
    assert (await command("ls", "j", "--json")).lines == []


async def test_what_the_server_has_dropped_is_forgotten(command, leave, emulator):
    left = await leave()
    async with emulator.session("ada") as domo:
        await domo.abort_multipart_session(left.session_id)
    ended = await command("abort", "j")
    assert (ended.code, ended.err) == (0, "")
    assert (await command("ls", "j", "--json")).lines == []


async def test_what_may_be_made_is_told(command, emulator, tmp_path):
    emulator.faults.add("upload_file", reset="after")
    emulator.faults.add("list_files", status=503, times=None)
    quick = RetryPolicy(initial_backoff=0.001, max_backoff=0.01)
    async with (
        UploadJournal(tmp_path / "j") as journal,
        emulator.session("ada", retry=quick) as domo,
    ):
        with pytest.raises(Exception, match="503"):
            await domo.upload(b"x", name="small", journal=journal)
    emulator.faults.clear()
    listed = await command("ls", "j")
    assert "may be made" in listed.out
    assert "one request" in listed.out
    ended = await command("abort", "j")
    assert (ended.code, ended.out) == (1, "")
    assert "Upload 1 (small) may have made its revision" in ended.err
    assert "may be made" in (await command("ls", "j")).out
    ended = await command("abort", "j", 1)
    assert ended.out == "Upload 1 (small) is forgotten; it may have made its revision.\n"


async def test_what_was_no_file_can_not_be_resumed_here(command, emulator):
    async with UploadJournal("j") as journal, emulator.session("ada", transfer=SMALL) as domo:
        with pytest.raises(StopError):
            await domo.upload(DATA, name="bytes", journal=journal, progress=stop)
        (left,) = await journal.uploads()
    ended = await command("resume", "j")
    assert ended.code == 1
    assert "wasn't read from a file" in ended.err
    assert emulator.open_sessions == [left.session_id]
    assert (await command("abort", "j")).code == 0


async def test_what_goes_elsewhere_is_left_alone(command, leave, emulator):
    left = await leave()
    for words in (("resume", "j"), ("abort", "j", left.id)):
        ended = await command(*words, "--url", "http://127.0.0.1:9")
        assert ended.code == 1
        assert f"goes to {emulator.url} on the product surface" in ended.err
    assert emulator.open_sessions == [left.session_id]
    assert (await command("abort", "j")).code == 0


async def test_what_is_under_way_is_left_alone(command, emulator, tmp_path):
    path = tmp_path / "orders.csv"
    path.write_bytes(DATA)
    emulator.requests = Arrivals()
    emulator.faults.add("upload_part", part=3, stall=30)
    async with (
        UploadJournal(tmp_path / "j") as journal,
        emulator.session("ada", transfer=SMALL) as domo,
    ):
        task = asyncio.create_task(domo.upload(path, journal=journal))
        await emulator.requests.until("upload_part", 3)
        assert "under way" in (await command("ls", "j")).out
        ended = await command("abort", "j")
        assert (ended.code, ended.out) == (1, "")
        assert "is under way" in ended.err
        task.cancel()
        await asyncio.wait({task})
    assert (await command("abort", "j")).code == 0


async def test_a_number_that_is_not_there_is_told(command, leave):
    left = await leave()
    ended = await command("abort", "j", 99, left.id)
    assert ended.code == 1
    assert "There is no upload 99" in ended.err
    assert "is aborted" in ended.out


async def test_a_failure_is_told_and_the_rest_goes_on(command, leave, emulator):
    first = await leave()
    await leave("second.csv")
    emulator.faults.add("upload_part", session_id=first.session_id, status=403)
    ended = await command("resume", "j")
    assert ended.code == 1
    assert "Upload 1 (orders.csv)" in ended.err
    assert ended.out.startswith("second.csv is data file ")


def test_a_damaged_journal_gets_a_sentence(run, tmp_path):
    (tmp_path / "j").write_bytes(b"no database at all" * 100)
    ended = run("sessions", "ls", "j")
    assert ended.code == 1
    assert "The journal" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    "words", [(), ("ls",), ("ls", "missing"), ("abort", "missing"), ("resume", ".")]
)
def test_wrong_usage_is_told(run, words):
    assert run("sessions", *words).code == 2
