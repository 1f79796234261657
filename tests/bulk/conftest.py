"""An emulator, a session on it and a job; and what is on the server, counted without the client."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest

from domo_files_async import RetryPolicy, Surface, bulk
from domo_files_async.emulator import Emulator

QUICK = RetryPolicy(initial_backoff=0.001, max_backoff=0.01)
WRITES = {"upload_file", "upload_revision", "commit_multipart_session", "copy_revision"}


@pytest.fixture
async def emulator():
    async with Emulator() as running:
        yield running


@pytest.fixture(params=Surface, ids=lambda surface: surface.value)
async def domo(request, emulator):
    async with emulator.session("ada", surface=request.param, retry=QUICK) as session:
        yield session


@pytest.fixture
async def product(emulator):
    async with emulator.session("ada", retry=QUICK) as session:
        yield session


@pytest.fixture
def path(tmp_path):
    return tmp_path / "job.sqlite"


@pytest.fixture
async def job(path):
    async with bulk.Job(path) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path):
    """Give a folder of small files, two of them alike but for their names."""
    made = tmp_path / "data"
    for number in range(12):
        place = made / f"part{number % 3}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.txt").write_bytes(b"file %d" % (number // 2))
    return made


@pytest.fixture
def stored(emulator):
    """Count what the server has: name and digest of all revisions, in their order."""

    async def count():
        counted = Counter()
        for data_file_id, revisions in emulator.files.items():
            name = emulator._store.files[data_file_id].name
            digests = [
                hashlib.sha256(await emulator.content(data_file_id, one)).hexdigest()
                for one in revisions
            ]
            counted[name, *digests] += 1
        return counted

    return count


def expected(folder):
    """Give what a folder's files leave, each once."""
    files = (one for one in folder.rglob("*") if one.is_file())
    return Counter(
        (one.relative_to(folder).as_posix(), hashlib.sha256(one.read_bytes()).hexdigest())
        for one in files
    )


@pytest.fixture
def wanted():
    return expected


@pytest.fixture
def do():
    """Run a job to its end, quickly, and give its outcomes."""

    async def run(job, domo, **options):
        quick = {"pass_delay": 0, "settle": 0, **options}
        return [outcome async for outcome in job.run(domo, **quick)]

    return run


@pytest.fixture
def writes(emulator):
    """Count the requests that made revisions."""
    return lambda: sum(request.operation in WRITES for request in emulator.requests)
