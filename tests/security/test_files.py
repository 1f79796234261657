"""What is written to the disk: where, through what, and who may read it."""

import os
import stat

import pytest

from domo_files_async import (
    DestinationError,
    PartUploadError,
    RetryPolicy,
    TransferConfig,
    TransportError,
    UploadJournal,
)
from domo_files_async.emulator import Emulator
from domo_files_async.planning.names import safe_file_name

SMALL = TransferConfig(multipart_threshold=1000, part_size=1000)
DATA = b"the bytes of somebody's file"
NAMES = [
    "../../escaped",
    "/etc/escaped",
    "C:\\escaped",
    "\\\\host\\share\\escaped",
    "..",
    "nul",
    "COM1.txt",
    ".bashrc",
    "a\0b",
    "a\r\nb",
    "evil\u202etxt.exe",
    "x" * 5000 + ".csv",
    "name.  . ",
    "a:stream",
    "~/escaped",
    "$HOME",
]


@pytest.fixture
async def emulator():
    async with Emulator() as running:
        yield running


@pytest.fixture
async def domo(emulator):
    async with emulator.session("ada") as session:
        yield session


@pytest.fixture
async def number(domo):
    return (await domo.upload(DATA, name="plain")).data_file_id


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
async def test_a_download_into_a_folder_stays_in_it(domo, emulator, number, tmp_path, name):
    emulator._store.files[number].name = name
    folder = tmp_path / "deep" / "folder"
    folder.mkdir(parents=True)
    result = await domo.download(number, folder)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [result.path]
    assert result.path.parent == folder
    assert not result.path.name.startswith(".")
    assert result.path.name == safe_file_name(name, fallback=f"data-file-{number}")
    assert result.path.read_bytes() == DATA


@pytest.fixture
async def partial(domo, number, tmp_path):
    """Give the place of the partial file of a download to `out`."""
    revision = (await domo.get_file(number)).current_revision.data_file_revision_id
    return tmp_path / f".out.{number}-{revision}.part"


@pytest.mark.parametrize("exists", [False, True])
async def test_a_link_put_where_the_partial_file_goes_is_not_written_through(
    domo, number, partial, tmp_path, exists
):
    target = tmp_path / "precious"
    if exists:
        target.write_bytes(b"precious")
    partial.symlink_to(target)
    with pytest.raises(DestinationError):
        await domo.download(number, tmp_path / "out")
    assert target.exists() == exists
    assert not exists or target.read_bytes() == b"precious"


async def test_a_second_name_of_another_file_put_there_is_not_written_to(
    domo, number, partial, tmp_path
):
    (tmp_path / "precious").write_bytes(b"precious, and longer than what is downloaded")
    os.link(tmp_path / "precious", partial)
    await domo.download(number, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == DATA
    assert (tmp_path / "precious").read_bytes().startswith(b"precious")


@pytest.mark.parametrize("mask", [0o002, 0o077])
async def test_a_download_and_its_partial_file_have_the_modes_that_the_umask_says(
    domo, emulator, number, tmp_path, mask
):
    before = os.umask(mask)
    try:
        await domo.download(number, tmp_path / "whole")
        emulator.faults.add("open_download", reset="body", times=2)
        async with emulator.session("ada", retry=RetryPolicy(max_attempts=1)) as hasty:
            with pytest.raises(TransportError):
                await hasty.download(number, tmp_path / "part")
    finally:
        os.umask(before)
    made = list(tmp_path.iterdir())
    assert len(made) == 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o666 & ~mask}


async def test_a_journal_is_its_owners_alone_and_holds_no_credential(emulator, tmp_path):
    before = os.umask(0)
    try:
        (tmp_path / "source").write_bytes(bytes(3000))
        async with (
            UploadJournal(tmp_path / "journal.sqlite") as journal,
            emulator.session("ada", transfer=SMALL, retry=RetryPolicy(max_attempts=1)) as domo,
        ):
            emulator.faults.add("upload_part", status=503, part=2)
            with pytest.raises(PartUploadError):
                await domo.upload(tmp_path / "source", journal=journal)
            files = [path for path in tmp_path.iterdir() if path.name != "source"]
            assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
            kept = b"".join(path.read_bytes() for path in files)
    finally:
        os.umask(before)
    assert emulator.credential("ada").encode() not in kept
