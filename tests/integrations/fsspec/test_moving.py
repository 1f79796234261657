"""Many files at once: where they go is compared with fsspec's own file system in memory."""

from __future__ import annotations

import itertools

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from domo_files_async import BadRequestError

FILES = {
    "a.csv": b"A",
    "b.txt": b"B",
    "dir/c": b"C",
    "dir/deep/d": b"D",
    "ex/o": b"O",
}
SOURCES = ["a.csv", "*.csv", "dir/c", ["a.csv"], ["a.csv", "dir/c"], "dir", "dir/"]


@pytest.fixture
def memory(monkeypatch):
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    monkeypatch.setattr(MemoryFileSystem, "pseudo_dirs", [""])
    return fsspec.filesystem("memory", skip_instance_cache=True)


def tree(fs):
    return {path.lstrip("/"): fs.cat_file(path) for path in fs.find("")}


@pytest.mark.parametrize("to", ["ex", "ex/", "new", "new/", "new/deep", ""])
@pytest.mark.parametrize(
    ("source", "recursive"),
    [
        *itertools.product(SOURCES, [False, True]),
        # With recursive=True memory finds each of several files in itself.
        ("*.*", False),
    ],
)
def test_copies_go_where_they_go_in_memory(domo, memory, source, to, recursive):
    for fs in (memory, domo):
        fs.pipe(FILES)
        fs.cp(source, to, recursive=recursive)
    assert tree(domo) == tree(memory)


@pytest.mark.parametrize("to", ["ex", "ex/", "new", "new/"])
@pytest.mark.parametrize("source", ["a.csv", "*.csv", "dir/c", ["a.csv", "b.txt"], "dir"])
def test_what_is_moved_goes_where_it_goes_in_memory(domo, memory, source, to):
    for fs in (memory, domo):
        fs.pipe(FILES)
        fs.mv(source, to, recursive=source == "dir")
    assert tree(domo) == tree(memory)


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("source", [*SOURCES, "*.*"])
def test_what_is_got_goes_where_it_goes_from_memory(domo, memory, tmp_path, source, slash, there):
    found = []
    for name, fs in (("memory", memory), ("domo", domo)):
        fs.pipe(FILES)
        if there:
            (tmp_path / name).mkdir()
        fs.get(source, f"{tmp_path / name}{slash}", recursive=source in ("dir", "dir/"))
        paths = [path for path in (tmp_path, *tmp_path.rglob("*")) if path.is_file()]
        found.append({str(path.relative_to(tmp_path)): path.read_bytes() for path in paths})
        for path in paths:
            path.unlink()
    assert {path.replace("memory", "domo", 1): data for path, data in found[0].items()} == found[1]


@pytest.mark.parametrize("to", ["ex/", "ex", "new"])
def test_what_isnt_there_cant_be_copied_or_moved_or_got(domo, tmp_path, to):
    domo.pipe(FILES)
    (tmp_path / "ex").mkdir()
    for work in (
        lambda: domo.cp("nope", to),
        lambda: domo.mv("nope", to),
        lambda: domo.mv("nope", "nope"),
        lambda: domo.mv("nope", to, recursive=True),
        lambda: domo.get("nope", f"{tmp_path}/{to}"),
        lambda: domo.get_file("nope", str(tmp_path / "ex")),
        lambda: domo.get("nope", f"{tmp_path}/{to}", recursive=True),
    ):
        with pytest.raises(FileNotFoundError):
            work()
    assert tree(domo) == FILES
    assert list(tmp_path.iterdir()) == [tmp_path / "ex"]


def test_a_file_isnt_got_in_place_of_a_directory(domo, tmp_path):
    domo.pipe_file("a.csv", b"A")
    with pytest.raises(IsADirectoryError):
        domo.get_file("a.csv", str(tmp_path))


def test_what_is_moved_to_where_it_is_stays(domo):
    domo.pipe({"a.csv": b"A", "ex/o": b"O"})
    for source, to in (
        ("a.csv", "a.csv"),
        ("a.csv", "domo://a.csv"),
        ("a.csv", ""),
        ("a.csv", str(domo.info("a.csv")["data_file_id"])),
        ("ex/o", "ex/"),
    ):
        domo.mv(source, to)
        assert tree(domo) == {"a.csv": b"A", "ex/o": b"O"}


def test_a_directory_is_moved_only_as_such(domo):
    domo.pipe(FILES)
    with pytest.raises(IsADirectoryError):
        domo.mv("dir", "new")
    assert tree(domo) == FILES


def test_a_move_that_fails_removes_nothing(domo, emulator):
    domo.pipe({"old/a": b"1", "old/b": b"2"})
    emulator.faults.add("upload_file", status=400)
    with pytest.raises(BadRequestError):
        domo.mv("old", "new", recursive=True)
    assert {"old/a", "old/b"} <= set(domo.find(""))
