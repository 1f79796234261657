"""What one finds in folders: names that are no text, pipes, links in circles, files that go."""

import os

import pytest

from domo_files_async import InvalidArgumentError, bulk
from domo_files_async.bulk.items import printable


def odd(folder):
    folder.mkdir()
    path = os.fsdecode(os.fsencode(folder) + b"/\xff.bin")
    with open(path, "wb") as made:  # noqa: PTH123 - its name is no text
        made.write(b"odd")
    return path


async def test_a_name_that_is_no_text_may_fail_and_is_resolved_and_the_others_are_sent(
    job, product, do, tmp_path
):
    path = odd(tmp_path / "data")
    (tmp_path / "data" / "good.txt").write_bytes(b"good")
    await job.add(bulk.from_directory(tmp_path / "data"))
    os.unlink(path)  # noqa: PTH108
    for status in ("uploaded", "skipped"):
        told = {one.item.source: str(one.status) for one in await do(job, product)}
        assert told == {path: "failed", str(tmp_path / "data" / "good.txt"): status}
    await job.resolve(path, data_file_id=None)
    odd(tmp_path / "again")
    os.rename(os.fsdecode(os.fsencode(tmp_path) + b"/again/\xff.bin"), path)  # noqa: PTH104
    assert {str(one.status) for one in await do(job, product)} == {"uploaded", "skipped"}


async def test_any_file_of_a_folder_has_a_name_that_can_be_sent(job, product, do, tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("a\nb", "\x7f", "\x85", "\u2028", "\u202e"):
        (tmp_path / "data" / name).write_bytes(name.encode())
    await job.add(bulk.from_directory(tmp_path / "data"))
    await job.add([bulk.Item(source=tmp_path / "data" / "a\nb")])
    assert {str(one.status) for one in await do(job, product)} == {"uploaded"}
    assert printable("\udcff\x7f\u2029a") == "?__a"


async def test_a_pipe_fails_and_keeps_nobody_waiting(job, product, do, tmp_path):
    for number in range(3):
        os.mkfifo(tmp_path / f"pipe{number}")
    (tmp_path / "file").write_bytes(b"x")
    names = ["pipe0", "pipe1", "pipe2", "file"]
    await job.add([bulk.Item(source=tmp_path / name) for name in names])
    told = {one.item.source: one for one in await do(job, product)}
    assert str(told[str(tmp_path / "file")].status) == "uploaded"
    assert "is no file" in str(told[str(tmp_path / "pipe0")].error)
    assert len(told) == 4


def test_what_goes_while_a_folder_is_listed_is_left_out(tmp_path):
    for number in range(50):
        (tmp_path / f"{number}").write_bytes(b"x")
    listed = bulk.from_directory(tmp_path)
    first = next(listed)
    for path in tmp_path.iterdir():
        path.unlink()
    assert [first, *listed] == [first]


def test_a_link_to_itself_is_left_out(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "loop").symlink_to("loop")
    listed = bulk.from_directory(tmp_path, follow_symlinks=True)
    assert [one.name for one in listed] == ["file"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: bulk.from_glob("[z-a]*"),
        lambda: bulk.Item(source="domo-file:x"),
        lambda: bulk.Item(source="\ud800"),
        lambda: bulk.Item(source="a", name="a\ud800b"),
        lambda: bulk.Item(source="a", description="\ud800"),
        lambda: bulk.Item(source="a", data_file_id=2**63),
    ],
)
def test_what_no_journal_can_hold_is_refused(make):
    with pytest.raises(InvalidArgumentError):
        make()
