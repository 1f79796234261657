import asyncio
import gc
import gzip
import hashlib
import json
import os
import pickle
import subprocess
import sys
import threading
import tomllib
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem

import domo_files_async
from domo_files_async import DomoFilesSession, InvalidArgumentError, Surface
from domo_files_async.errors import NotFoundError
from domo_files_async.fsspec import DomoFileSystem
from domo_files_async.fsspec.sessions import close_all

ROOT = Path(domo_files_async.__file__).parents[1]
DATA = bytes(range(256)) * 40


def reads(emulator, operation="open_download"):
    return [one for one in emulator.requests if one.operation == operation]


def test_fsspec_finds_it_under_the_name_domo():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    module, _, name = project["entry-points"]["fsspec.specs"]["domo"].rpartition(".")
    assert getattr(import_module(module), name) is DomoFileSystem
    assert DomoFileSystem.protocol == "domo"


def test_a_path_of_digits_is_an_id_and_one_with_an_at_a_revision(domo):
    domo.pipe_file("orders.csv", b"old")
    number = domo.info("orders.csv")["data_file_id"]
    old = domo.info("orders.csv")["revision_id"]
    domo.pipe_file(f"{number}", b"newer")
    new = domo.info("orders.csv")["revision_id"]
    assert old != new
    assert domo.cat_file("orders.csv") == domo.cat_file(f"domo://{number}") == b"newer"
    assert domo.cat_file(f"{number}@{old}") == b"old"
    assert domo.cat_file(f"{number}@{new}") == b"newer"
    assert domo.info(f"{number}@{old}")["size"] == 3
    with fsspec.open(f"domo://{number}@{old}") as file:
        assert file.read() == b"old"
    for nowhere in (f"{number}@99999", "99999", "99999@1", "no such name"):
        assert not domo.exists(nowhere)
        with pytest.raises(FileNotFoundError):
            domo.cat_file(nowhere)


def test_what_is_known_of_a_file_is_in_its_info(domo):
    domo.pipe_file("a/orders.csv", b"a,b")
    info = domo.info("a/orders.csv")
    assert (info["type"], info["size"], info["content_type"]) == ("file", 3, "text/csv")
    assert info["sha256"] == hashlib.sha256(b"a,b").hexdigest()
    assert domo.created("a/orders.csv").tzinfo is not None
    assert domo.modified(str(info["data_file_id"])) == info["modified"]
    assert domo.info(str(info["data_file_id"]))["file_name"] == "a/orders.csv"
    assert domo.ls("a") == [info]
    assert domo.ls("a/orders.csv") == [info]
    number = str(info["data_file_id"])
    assert domo.ls(number, detail=False) == [number]
    assert domo.isfile(number)
    assert domo.info("a") == {"name": "a", "size": 0, "type": "directory"}


def test_of_several_with_one_name_none_is_chosen(domo, emulator, wait_for):
    async def twice():
        async with emulator.session("ada") as session:
            return [await session.upload_file(b"x", name="same.csv") for _ in range(2)]

    first, second = wait_for(twice())
    assert domo.exists("same.csv")
    assert [one["data_file_id"] for one in domo.ls("same.csv")] == [first, second]
    assert domo.glob("*.csv") == ["same.csv"]
    for work in (
        lambda: domo.cat_file("same.csv"),
        lambda: domo.info("same.csv"),
        lambda: domo.rm("same.csv"),
        lambda: domo.pipe_file("same.csv", b"y"),
        lambda: domo.open("same.csv", "wb"),
    ):
        with pytest.raises(InvalidArgumentError, match=f"{first}, {second}"):
            work()
    assert len(emulator.files) == 2
    domo.rm(str(first))
    assert domo.cat_file("same.csv") == b"x"


@pytest.mark.parametrize(
    "name",
    ["2024", "7@7", "../above", "a/./b", "a//b", "/a", "a/", "domo://a", "a::b", "a\\b", "a\tb"],
)
def test_a_name_that_no_path_leads_to_is_listed_by_its_id(domo, emulator, wait_for, tmp_path, name):
    # `upload_file` refuses control characters, so an older name of that kind is made in the store.
    async def make():
        async with emulator.session("ada") as session:
            number = await session.upload_file(b"x", name="plain")
        emulator._store.files[number].name = name
        return number

    number = wait_for(make())
    assert domo.find("") == [str(number)]
    assert domo.cat_file(str(number)) == b"x"
    domo.get("", str(tmp_path / "all"), recursive=True)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [str(number)]
    assert list(tmp_path.iterdir()) == [tmp_path / "all"]
    if not name.isdigit() and name == DomoFileSystem._strip_protocol(name) and "@" not in name:
        with pytest.raises(InvalidArgumentError, match="by name"):
            domo.pipe_file(name, b"y")


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (0, 10),
        (5, None),
        (-7, None),
        (None, -7),
        (-20, -10),
        (9, 9),
        (10230, 99999),
        (20000, 30000),
    ],
)
def test_ranges_are_python_slices(domo, emulator, start, end):
    domo.pipe_file("file", DATA)
    assert domo.cat_file("file", start=start, end=end) == DATA[start:end]
    assert all(one.headers.get("Range") for one in reads(emulator))


def test_a_file_that_is_read_stays_at_the_revision_it_was_opened_at(domo):
    domo.pipe_file("file", DATA)
    with domo.open("file", block_size=100) as file:
        before = file.read(1000)
        domo.pipe_file("file", b"other")
        file.seek(5000)
        assert before + DATA[1000:5000] + file.read() == DATA
        copy = pickle.loads(pickle.dumps(file))  # noqa: S301 - our own
        copy.seek(0)
        assert copy.read() == DATA
    with domo.open("file") as file:
        assert file.read() == b"other"


def test_a_download_that_breaks_off_goes_on_from_there(domo, emulator):
    domo.pipe_file("file", DATA)
    emulator.faults.add("open_download", reset="body", times=2)
    assert domo.cat_file("file") == DATA
    emulator.faults.add("open_download", reset="body", times=2)
    assert domo.cat_file("file", 1, 10000) == DATA[1:10000]


def test_a_download_that_gets_nowhere_ends_with_why(domo, emulator):
    domo.pipe_file("file", DATA)
    emulator.faults.add("open_download", status=400, times=2)
    for start in (None, 5):
        with pytest.raises(domo_files_async.BadRequestError):
            domo.cat_file("file", start=start)


def test_a_file_whose_size_isnt_known_is_read_as_a_whole_only(domo, emulator):
    told = [{"dataFileId": 401, "name": "file", "currentRevision": {"dataFileRevisionId": 430}}]
    domo.pipe_file("file", DATA)
    emulator.faults.add("list_files", status=200, body=json.dumps(told))
    assert domo.info("file")["size"] is None
    with pytest.raises(OSError, match="as a whole"):
        domo.open("file")
    with pytest.raises(OSError, match="as a whole"):
        domo.cat_file("file", 1, 2)
    assert domo.cat_file("file") == DATA


def test_a_whole_file_is_compared_with_what_domo_says_it_is(domo, emulator):
    domo.pipe_file("file", DATA)
    emulator.faults.add("open_download", corrupt=True)
    with pytest.raises(domo_files_async.ChecksumMismatchError):
        domo.cat_file("file")
    emulator.faults.add("open_download", corrupt=True)
    with pytest.raises(domo_files_async.ChecksumMismatchError):
        domo.cp_file("file", "copy")
    assert not domo.exists("copy")


def test_text_and_compressed_files_are_read_and_written_as_anywhere(domo):
    with fsspec.open("domo://a.txt", "w", encoding="utf-8") as file:
        file.write("grüße\n")
    assert domo.read_text("a.txt", encoding="utf-8") == "grüße\n"
    with fsspec.open("domo://a.txt.gz", "wb", compression="infer") as file:
        file.write(b"packed")
    assert gzip.decompress(domo.cat_file("a.txt.gz")) == b"packed"
    assert domo.head("a.txt", 2) == b"gr"


def test_what_goes_wrong_is_an_error_of_file_systems_with_ours_as_its_cause(domo, emulator):
    with pytest.raises(FileNotFoundError) as caught:
        domo.open("99999")
    assert isinstance(caught.value.__cause__, NotFoundError)
    emulator.faults.add("list_files", status=403)
    with pytest.raises(PermissionError, match="grant"):
        domo.ls("")
    assert domo.ls("") == []


def test_one_listing_serves_many_questions_and_knows_what_changed(domo, emulator):
    domo.pipe({f"d{number}/f": b"x" for number in range(5)})
    domo.find("")
    before = len(reads(emulator, "list_files"))
    assert len(domo.find("")) == len(domo.glob("**/f")) == 5
    assert domo.isdir("d1")
    assert not domo.exists("d9")
    assert len(reads(emulator, "list_files")) == before
    gone = domo.info("d1/f")["data_file_id"]
    domo.rm("d1", recursive=True)
    assert domo.glob("*") == ["d0", "d2", "d3", "d4"]
    # What changed is asked for by its id, and the rest isn't asked for again.
    asked = [one.query.get("dataFileIds") for one in reads(emulator, "list_files")[before:]]
    assert asked == [str(gone)]


def test_a_file_that_another_process_has_just_made_is_found(domo, emulator, wait_for):
    async def upload(name):
        async with emulator.session("ada") as session:
            await session.upload_file(b"x", name=name)

    assert domo.find("") == []
    for number, use in enumerate(
        (domo.cat, domo.info, domo.rm, lambda path: domo.open(path).close())
    ):
        wait_for(upload(f"theirs{number}"))
        use(f"theirs{number}")
    wait_for(upload("new"))
    with pytest.raises(FileExistsError), domo.open("new", "xb"):
        raise AssertionError
    # One listing for each that was missed; what isn't there costs no more than that.
    before = len(reads(emulator, "list_files"))
    with pytest.raises(FileNotFoundError):
        domo.cat("nobody made it")
    assert len(reads(emulator, "list_files")) == before + 1


def test_without_a_listing_that_is_kept_others_changes_are_seen_at_once(emulator, wait_for):
    fs = fsspec.filesystem("domo", use_listings_cache=False)
    assert fs.ls("") == []

    async def upload():
        async with emulator.session("ada") as session:
            await session.upload_file(b"x", name="theirs")

    wait_for(upload())
    assert fs.ls("", detail=False) == ["theirs"]
    fs.close()


def test_progress_goes_to_fsspecs_callback(domo, tmp_path):
    (tmp_path / "file").write_bytes(DATA)
    for work in (
        lambda callback: domo.put_file(str(tmp_path / "file"), "file", callback=callback),
        lambda callback: domo.get_file("file", str(tmp_path / "back"), callback=callback),
    ):
        callback = fsspec.Callback()
        work(callback)
        assert callback.size == callback.value == len(DATA)
    assert (tmp_path / "back").read_bytes() == DATA


def test_threads_share_one_file_system_and_its_session(domo):
    made = []

    def factory():
        made.append(DomoFilesSession.from_env())
        return made[-1]

    fs = DomoFileSystem(session_factory=factory, skip_instance_cache=True)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: fs.pipe_file(f"f{n}", str(n).encode()), range(20)))
        found = list(pool.map(lambda n: fs.cat_file(f"f{n}"), range(20)))
    assert found == [str(n).encode() for n in range(20)]
    assert len(made) == 1
    fs.close()


def test_instances_are_kept_one_for_each_environment_and_factory(domo, emulator, monkeypatch):
    def factory():
        return emulator.session("grace")

    assert fsspec.filesystem("domo") is domo
    theirs = fsspec.filesystem("domo", session_factory=factory)
    assert theirs is not domo
    assert theirs is fsspec.filesystem("domo", session_factory=factory)
    domo.pipe_file("mine", b"x")
    assert theirs.ls("") == []
    theirs.close()
    monkeypatch.setenv("DOMO_ACCESS_TOKEN", emulator.credential("eve"))
    another = fsspec.filesystem("domo")
    assert another is not domo
    assert another.ls("") == []
    another.close()


@pytest.mark.parametrize("option", ["token", "auth", "key"])
def test_a_credential_is_no_option(option):
    with pytest.raises(InvalidArgumentError, match="session_factory") as caught:
        DomoFileSystem(**{option: "very secret"})
    assert "very secret" not in str(caught.value)


def test_without_a_credential_the_error_says_where_it_is_looked_for():
    with pytest.raises(InvalidArgumentError, match="DOMO_ACCESS_TOKEN"):
        DomoFileSystem(skip_instance_cache=True).ls("")


def test_a_pickled_file_system_holds_no_credential_and_works_in_another_process(domo, emulator):
    domo.pipe_file("file", b"from far away")
    with domo.open("file") as file:
        pickled = pickle.dumps((domo, file))
    assert emulator.credential("ada").encode() not in pickled
    code = (
        "import pickle, sys\n"
        "fs, file = pickle.loads(sys.stdin.buffer.read())\n"
        "print(fs.cat_file('file').decode(), '|', file.read().decode())\n"
    )
    done = subprocess.run(  # noqa: S603 - our own
        [sys.executable, "-W", "error", "-c", code],
        input=pickled,
        capture_output=True,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout.decode().strip() == "from far away | from far away"
    # The session was closed when the process ended.
    assert done.stderr == b""


def test_its_json_holds_no_credential(domo, emulator):
    said = domo.to_json()
    assert emulator.credential("ada") not in said
    assert json.loads(said)["protocol"] == "domo"


def test_the_app_surface_reads_writes_and_copies_but_cant_delete_a_whole_file(emulator):
    fs = DomoFileSystem(
        session_factory=lambda: emulator.session("ada", surface=Surface.APP),
        skip_instance_cache=True,
    )
    fs.pipe_file("file", b"old")
    fs.pipe_file("file", b"new")
    fs.cp_file("file", "copy")
    assert fs.cat_file("copy") == b"new"
    with pytest.raises(domo_files_async.UnsupportedOnSurfaceError):
        fs.rm("file")
    info = fs.info("file")
    fs.rm(f"{info['data_file_id']}@{info['revision_id']}")
    assert fs.cat_file("file") == b"old"
    fs.close()


def test_a_copy_to_an_existing_file_is_made_by_the_server(domo, emulator):
    domo.pipe({"from": b"new", "to": b"old"})
    domo.cp_file("from", "to")
    assert domo.cat_file("to") == b"new"
    assert [one.operation for one in emulator.requests].count("copy_revision") == 1
    assert len(emulator.files[domo.info("to")["data_file_id"]]) == 2
    domo.cp_file("to", "to")
    assert len(emulator.files[domo.info("to")["data_file_id"]]) == 2


def test_moving_keeps_the_bytes_under_the_new_name(domo):
    domo.pipe_file("from", DATA)
    domo.mv("from", "there/to")
    assert domo.find("") == ["there/to"]
    assert domo.cat_file("there/to") == DATA


def test_it_is_a_place_to_sync_from_and_to(domo, tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "a").write_bytes(b"a")
    (tmp_path / "in" / "b").write_bytes(b"b")
    domo.put(str(tmp_path / "in"), "kept", recursive=True)
    assert domo.find("kept") == ["kept/b", "kept/deep/a"]
    domo.get("kept", str(tmp_path / "out"), recursive=True)
    domo.get_file("kept", str(tmp_path / "empty"))
    assert list((tmp_path / "empty").iterdir()) == []
    local = LocalFileSystem()
    assert [Path(one).read_bytes() for one in local.find(str(tmp_path / "out"))] == [b"b", b"a"]
    with fsspec.open("simplecache::domo://kept/b", cache_storage=str(tmp_path / "cache")) as file:
        assert file.read() == b"b"


def test_closing_it_closes_its_session_and_the_next_use_opens_another(domo):
    made = []

    def factory():
        made.append(DomoFilesSession.from_env())
        return made[-1]

    fs = DomoFileSystem(session_factory=factory, skip_instance_cache=True)
    fs.ls("")
    fs.ls("")
    assert len(made) == 1
    fs.close()
    fs.close()
    with pytest.raises(domo_files_async.SessionStateError):
        made[0].set_upload_rate(None)
    fs.ls("")
    assert len(made) == 2
    fs.close()


def test_a_file_system_that_is_gone_has_closed_its_session(domo):
    made = []

    def factory():
        made.append(DomoFilesSession.from_env())
        return made[-1]

    fs = DomoFileSystem(session_factory=factory, skip_instance_cache=True)
    fs.ls("")
    # What a forked process does at its end; it has no thread that would run the loop.
    close_all(fs._on_loops, os.getpid() + 1)
    assert made[0]._shared is not None
    del fs
    gc.collect()
    assert made[0]._shared is None


# fsspec's own cache leaves its local file to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed file", "ignore:Exception ignored in")
@pytest.mark.parametrize("by_id", [False, True])
def test_an_opened_file_is_called_as_it_was_opened(domo, tmp_path, by_id):
    domo.pipe_file("file", DATA)
    path = str(domo.info("file")["data_file_id"]) if by_id else "file"
    with domo.open(path) as file:
        assert (file.path, file.info()["name"]) == (path, path)
    for _ in range(2):
        with fsspec.open(f"blockcache::domo://{path}", cache_storage=str(tmp_path)) as file:
            assert file.read() == DATA


def test_a_change_while_the_listing_is_asked_for_is_asked_for_too(domo, emulator, wait_for):
    domo.pipe_file("file", b"a")
    number = domo.info("file")["data_file_id"]
    arrived, going_on = threading.Event(), threading.Event()

    class Slow(DomoFilesSession):
        async def list_files(self, **options):
            found = await super().list_files(**options)
            if options:
                arrived.set()
                await asyncio.to_thread(going_on.wait, 10)
            return found

    fs = DomoFileSystem(session_factory=Slow.from_env, skip_instance_cache=True)
    fs.ls("")
    fs.pipe_file(str(number), b"bb")
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(fs.ls, "")
        assert arrived.wait(10)
        fs.pipe_file(str(number), b"ccc")
        going_on.set()
        asked.result(10)
    assert fs.cat_file("file") == b"ccc"
    fs.close()
