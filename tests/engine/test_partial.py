"""The file that a download goes into, as threads use it."""

from __future__ import annotations

import concurrent.futures
import hashlib
import os

import pytest

from domo_files_async.engine import partial as partial_module
from domo_files_async.engine.digest import Digest, DigestBeside
from domo_files_async.engine.partial import Partial

DATA = os.urandom(1_000_003)


@pytest.fixture
def partial(tmp_path):
    made = Partial(tmp_path / "x", None)
    yield made
    if not made._file.closed:
        made.close()


@pytest.fixture
def begin():
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        yield threads.submit


class Coming:
    """Gives *data* as `receive` does; no more than *soon* bytes come soon."""

    def __init__(self, data, soon=None):
        self.left = memoryview(data)[:soon]

    def __call__(self, view):
        count = min(len(view), len(self.left))
        view[:count], self.left = self.left[:count], self.left[count:]
        return count


def receive(partial, coming, begin, digest, *, at=0, size=None, memory=4000, record=None):
    partial.receive(
        coming,
        at,
        len(DATA) - at if size is None else size,
        memoryview(bytearray(memory)),
        digest=digest,
        record=record,
        begin=begin,
    )


def content(partial):
    return partial.path.read_bytes()


def test_what_comes_is_put_in_its_place_and_digested(partial, begin):
    digest = Digest(None)
    receive(partial, Coming(DATA), begin, digest)
    assert content(partial) == DATA
    assert digest.sha256 == hashlib.sha256(DATA).hexdigest()
    assert not digest.is_claimed


def test_no_more_is_put_there_than_came(partial, begin):
    digest = Digest(None)
    receive(partial, Coming(DATA, 12_345), begin, digest)
    assert content(partial) == DATA[:12_345]
    assert digest.at == 12_345
    receive(partial, Coming(DATA[12_345:]), begin, digest, at=12_345)
    assert content(partial) == DATA
    assert digest.sha256 == hashlib.sha256(DATA).hexdigest()


def test_no_more_is_taken_than_was_asked_for(partial, begin):
    digest, coming = Digest(None), Coming(DATA)
    receive(partial, coming, begin, digest, size=5_001)
    assert content(partial) == DATA[:5_001]
    assert bytes(coming.left) == DATA[5_001:]


def test_what_comes_before_its_turn_is_not_digested(partial, begin):
    digest = Digest(None)
    receive(partial, Coming(DATA[500:]), begin, digest, at=500)
    assert digest.at == 0
    partial.write(0, memoryview(DATA)[:500], digest=digest, record=None)
    assert digest.at == 500
    partial.digest(digest, len(DATA), memoryview(bytearray(4000)))
    assert digest.sha256 == hashlib.sha256(DATA).hexdigest()


def test_what_somebody_else_digests_is_left_to_him(partial, begin):
    digest = Digest(None)
    assert digest.claim(0)
    receive(partial, Coming(DATA), begin, digest)
    partial.write(0, memoryview(DATA), digest=digest, record=None)
    assert digest.at == 0
    assert digest.is_claimed
    assert content(partial) == DATA


def test_a_disk_that_is_full_ends_it(partial, begin, monkeypatch):
    def write_at(_file, offset, view):
        if offset > 100_000:
            raise OSError("No space left on device")
        return len(view)

    monkeypatch.setattr(partial_module, "_write_at", write_at)
    digest = Digest(None)
    with pytest.raises(OSError, match="No space"):
        receive(partial, Coming(DATA), begin, digest)
    assert digest.at == 101_000
    assert not digest.is_claimed


def test_the_record_goes_along_with_what_comes_in_order(partial, begin, monkeypatch):
    monkeypatch.setattr(partial_module, "_RECORD_EVERY", 1)
    digest, total = Digest(None), len(DATA) + 1
    receive(partial, Coming(DATA, 500_000), begin, digest, record=(total, 0))
    assert partial.take_up(total) == 499_000  # what the last piece found there


def test_the_record_does_not_speak_of_what_came_out_of_order(partial, begin, monkeypatch):
    monkeypatch.setattr(partial_module, "_RECORD_EVERY", 1)
    digest, total = Digest(None), len(DATA) + 1
    receive(partial, Coming(DATA[5000:]), begin, digest, at=5000, record=(total, 100))
    assert partial.take_up(total) == 100


def test_where_threads_have_ended_nothing_waits_for_them(partial):
    threads = concurrent.futures.ThreadPoolExecutor(1)
    digest = Digest(None)

    def begin_never(_function):
        job = concurrent.futures.Future()
        job.cancel()
        job.set_running_or_notify_cancel()
        return job

    with pytest.raises(concurrent.futures.CancelledError):
        receive(partial, Coming(DATA), begin_never, digest)
    threads.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        receive(partial, Coming(DATA), threads.submit, digest)
    assert not digest.is_claimed


def test_a_digest_beside_lets_go_of_what_was_waited_for(begin):
    digest = Digest(None)
    beside = DigestBeside(digest, begin)
    for offset in range(0, 4000, 1000):
        beside.put(memoryview(DATA)[offset : offset + 1000])
    beside.wait(1)
    assert digest.at >= 3000
    beside.wait(0)
    assert digest.at == 4000
    beside.close()
    assert digest.sha256 == hashlib.sha256(DATA[:4000]).hexdigest()


def test_a_file_that_is_closed_meanwhile_is_closed_in_the_end(partial, begin):
    coming = Coming(DATA)

    def close_and_receive(view):
        partial.close()
        assert not partial._file.closed
        return coming(view)

    digest = Digest(None)
    with pytest.raises(OSError, match="closed"):
        receive(partial, close_and_receive, begin, digest)
    assert partial._file.closed
    assert not partial.path.exists()
