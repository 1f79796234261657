"""Files of uploads that wait for their turn are closed meanwhile, where many of them wait."""

import asyncio
import io
import os
import threading
from pathlib import Path

import pytest

from domo_files_async import SourceChangedError, TransferConfig
from domo_files_async.engine import shelf as shelves
from domo_files_async.engine.shelf import PathFile, Shelf

LARGE = 70_000


@pytest.fixture
def shelf(monkeypatch):
    monkeypatch.setattr(shelves, "_MOST", 2)
    return Shelf()


@pytest.fixture
def opened(shelf):
    """Make a file, and open it."""
    made = []

    def make(path, data=b"0123456789"):
        path.write_bytes(data)
        raw = io.FileIO(path)
        file = PathFile(shelf, str(path), raw, os.fstat(raw.fileno()))
        made.append(file)
        return file, raw

    yield make
    for file in made:
        file.close()


def read(file, offset=0, size=10):
    view = memoryview(bytearray(size))
    return bytes(view[: file.read_at(offset, view)])


def test_of_those_that_nobody_reads_the_oldest_is_closed_and_opened_again(opened, shelf, tmp_path):
    (one, first), (two, second), (three, third) = (
        opened(tmp_path / name, name.encode() * 3) for name in "abc"
    )
    assert [raw.closed for raw in (first, second, third)] == [True, False, False]
    assert read(one) == b"aaa"
    assert [raw.closed for raw in (first, second, third)] == [True, True, False]
    assert (read(one, 2), read(two, 1), read(three)) == (b"a", b"bb", b"ccc")
    assert one.state() == one.first_state
    for file in (one, two, three):
        file.close()
        with pytest.raises(ValueError, match="ended"):
            read(file)
    assert third.closed
    assert not shelf._idle


@pytest.mark.parametrize("how", ["replaced", "written to"])
def test_what_is_another_file_when_it_is_opened_again_was_changed(opened, shelf, tmp_path, how):
    file, _ = opened(tmp_path / "x")
    before = (tmp_path / "x").stat()
    for name in "ab":
        opened(tmp_path / name)
    if how == "replaced":
        (tmp_path / "y").write_bytes(b"9876543210")
        os.utime(tmp_path / "y", ns=(before.st_atime_ns, before.st_mtime_ns))
        (tmp_path / "y").replace(tmp_path / "x")
    else:
        (tmp_path / "x").write_bytes(b"98765")
    for ask in (lambda: read(file), file.state):
        with pytest.raises(SourceChangedError, match="was changed while"):
            ask()


def test_what_is_gone_when_it_is_opened_again_says_so(opened, shelf, tmp_path):
    file, _ = opened(tmp_path / "x")
    file.put_away()
    (tmp_path / "x").unlink()
    for ask in (lambda: read(file), file.state):
        with pytest.raises(FileNotFoundError):
            ask()
    file.close()


def test_what_is_read_stays_open_and_is_closed_by_the_last_reader(opened, shelf, tmp_path):
    file, raw = opened(tmp_path / "x")
    with file.opened(), file.opened():
        for name in "abc":
            opened(tmp_path / name)
        assert not raw.closed
        file.close()
        assert not raw.closed
    assert raw.closed
    assert file not in shelf._idle


def test_whoever_reads_in_a_thread_while_it_is_closed_reads_the_same_file(opened, shelf, tmp_path):
    file, _ = opened(tmp_path / "x", bytes(range(256)) * 40)
    found = []

    def work():
        found.extend(read(file, offset, 1) == bytes([offset]) for offset in range(200))

    readers = [threading.Thread(target=work) for _ in range(4)]
    for one in readers:
        one.start()
    for turn in range(100):
        opened(tmp_path / str(turn))[0].close()
        file.put_away()
    for one in readers:
        one.join(60)
    assert found == [True] * 800


def test_it_is_read_also_where_no_read_takes_an_offset(opened, shelf, tmp_path, monkeypatch):
    monkeypatch.delattr(os, "preadv")
    file, _ = opened(tmp_path / "x")
    assert (read(file, 7), read(file, 0, 2), read(file, 10)) == (b"789", b"01", b"")


async def test_a_thousand_uploads_that_wait_keep_few_files_open(emulator, tmp_path):
    paths = [tmp_path / f"{number:04}" for number in range(1000)]
    for number, path in enumerate(paths):
        path.write_bytes(number.to_bytes(2, "big") * (LARGE // 2))
    most = 0

    def note(_):
        nonlocal most
        links = [str(one.readlink()) for one in _descriptors()]
        most = max(most, sum(link.startswith(str(tmp_path)) for link in links))

    async with emulator.session("ada", transfer=TransferConfig(max_concurrency=2)) as domo:
        uploads = [
            domo.upload(path, progress=note if number % 50 == 0 else None)
            for number, path in enumerate(paths)
        ]
        results = await asyncio.gather(*uploads)
    assert 0 < most <= 330
    for number, result in enumerate(results[::100]):
        content = await emulator.content(result.data_file_id)
        assert content == (number * 100).to_bytes(2, "big") * (LARGE // 2)


def _descriptors():
    for one in Path("/proc/self/fd").iterdir():
        if one.is_symlink():
            yield one
