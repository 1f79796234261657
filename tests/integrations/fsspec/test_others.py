"""What other processes make, replace and delete while a listing of before is kept."""

from __future__ import annotations

import pytest


@pytest.fixture
def others(emulator, wait_for):
    """Delete or make a data file by another session than the file system's."""

    async def do(name, delete):
        async with emulator.session("ada") as session:
            if delete is not None:
                await session.delete_file(delete)
            if name is not None:
                await session.upload_file(b"theirs", name=name)

    return lambda name=None, delete=None: wait_for(do(name, delete))


def whole_listings(emulator):
    return [
        one
        for one in emulator.requests
        if one.operation == "list_files" and "dataFileIds" not in one.query
    ]


def write_by_open(fs, path):
    with fs.open(path, "wb") as file:
        file.write(b"ours")


WRITES = {
    "pipe": lambda fs, path: fs.pipe_file(path, b"ours"),
    "open": write_by_open,
    "copy": lambda fs, path: fs.cp_file("ours", path),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_name_that_others_made_gets_a_revision(domo, emulator, others, write):
    domo.pipe_file("ours", b"ours")
    domo.ls("")
    others("file")
    domo._listed_at -= 2
    write(domo, "file")
    domo.invalidate_cache()
    assert domo.cat_file("file") == b"ours"
    assert len(emulator.files) == 2


def test_many_new_files_in_a_row_cost_one_listing(domo, emulator):
    for number in range(10):
        domo.pipe_file(f"file{number}", b"x")
    assert len(whole_listings(emulator)) == 1


def test_a_listing_that_takes_long_is_believed_for_longer(domo, emulator):
    domo.pipe_file("a", b"x")
    domo._listed_at -= 4
    domo._listing_took = 0.5
    domo.pipe_file("b", b"x")
    assert len(whole_listings(emulator)) == 1


READS = {
    "cat": lambda fs, _: fs.cat_file("file"),
    "range": lambda fs, _: fs.cat_file("file", 0, 6),
    "get": lambda fs, path: fs.get_file("file", str(path)) or path.read_bytes(),
    "copy": lambda fs, _: fs.cp_file("file", "copy") or fs.cat_file("copy"),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_name_that_others_gave_to_a_new_file_is_found_after_the_old_one_isnt(
    domo, others, tmp_path, read
):
    domo.pipe_file("file", b"before")
    others("file", delete=domo.info("file")["data_file_id"])
    assert read(domo, tmp_path / "got") == b"theirs"


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_name_that_others_deleted_is_written_anew(domo, others, write):
    domo.pipe({"ours": b"ours", "file": b"before"})
    others(delete=domo.info("file")["data_file_id"])
    if write is write_by_open:
        # Opening asks for nothing; what it finds out is known to who opens it next.
        with pytest.raises(FileNotFoundError):
            write(domo, "file")
    write(domo, "file")
    assert domo.cat_file("file") == b"ours"


def test_a_name_that_others_deleted_isnt_there(domo, others):
    for use in (domo.cat_file, domo.rm_file, lambda path: domo.cp_file(path, "copy")):
        domo.pipe_file("file", b"before")
        others(delete=domo.info("file")["data_file_id"])
        with pytest.raises(FileNotFoundError):
            use("file")
    domo.pipe_file("file", b"before")
    others("file", delete=domo.info("file")["data_file_id"])
    with pytest.raises(FileNotFoundError):
        domo.open("file").read()
    assert domo.open("file").read() == b"theirs"
    domo.rm("file")
    assert domo.find("") == []


def test_an_id_that_isnt_there_is_asked_for_once(domo, emulator):
    with pytest.raises(FileNotFoundError):
        domo.cat_file("99999")
    assert len(emulator.requests) == 1
