"""Items that fsspec opens; its own file system in memory stands for all others."""

from __future__ import annotations

import fsspec
import pytest

from domo_files_async import InvalidArgumentError, SourceError, bulk


@pytest.fixture
def memory():
    system = fsspec.filesystem("memory")
    for name in ("/bulk/a.txt", "/bulk/deep/b.txt"):
        system.pipe(name, name.encode())
    yield system
    system.rm("/bulk", recursive=True)


@pytest.mark.usefixtures("memory")
async def test_files_of_a_url_are_uploaded_once_and_proven_by_digest(job, product, do, emulator):
    await job.add(bulk.from_urls("memory://bulk/**"))
    outcomes = await do(job, product)
    assert {(one.item.name, str(one.status)) for one in outcomes} == {
        ("a.txt", "uploaded"),
        ("b.txt", "uploaded"),
    }
    assert {await emulator.content(number) for number in emulator.files} == {
        b"/bulk/a.txt",
        b"/bulk/deep/b.txt",
    }
    assert [one async for one in bulk.verify(job, product)] == []
    await job.add(bulk.from_urls("memory://bulk/**"))
    assert {str(one.status) for one in await do(job, product)} == {"skipped"}


async def test_a_url_that_can_not_be_read_fails_alone(job, product, do):
    with pytest.raises(SourceError, match="nowhere"):
        list(bulk.from_urls("memory://nowhere/a"))
    await job.add([bulk.Item(source="memory://nowhere/a", name="a")])
    (failed,) = await do(job, product)
    assert (str(failed.status), str(failed.failure)) == ("failed", "person")


def test_a_credential_in_a_url_is_refused_and_not_shown():
    with pytest.raises(InvalidArgumentError, match="environment") as caught:
        bulk.Item(source="s3://key:hush@bucket/a")
    assert "hush" not in str(caught.value)
