import asyncio
import hashlib
import io
import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from domo_files_async import (
    ChecksumMismatchError,
    DestinationError,
    DeveloperToken,
    DomoFilesSession,
    NotFoundError,
    PermissionDeniedError,
    Progress,
    RetryPolicy,
    ServerError,
    Throttled,
    Timeouts,
    TransferConfig,
    TransportError,
    UnexpectedResponseError,
)
from tests.servers import ScriptedServer, answer

DATA = os.urandom(100_000)
SIZE = 10_000
COUNT = len(DATA) // SIZE
QUICK = RetryPolicy(initial_backoff=0.001, max_backoff=0.01)
RANGED = TransferConfig(multipart_threshold=SIZE, part_size=SIZE, adaptive=False)
FIRST, MIDDLE, LAST = 1, COUNT // 2, COUNT


def names_in(folder):
    return [path.name for path in folder.iterdir()]


def asked(emulator):
    return [r.headers.get("Range") for r in emulator.requests if r.operation == "open_download"]


@pytest.fixture
async def domo(emulator):
    async with emulator.session(
        "ada", retry=QUICK, transfer=RANGED, timeouts=Timeouts(stall=1)
    ) as session:
        yield session


@pytest.fixture
async def data_file_id(domo):
    return (await domo.upload(DATA, name="x", part_size=50_000)).data_file_id


async def test_each_byte_is_asked_for_once(domo, emulator, data_file_id, tmp_path):
    result = await domo.download(data_file_id, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA
    assert result.sha256 == hashlib.sha256(DATA).hexdigest()
    assert sorted(asked(emulator)) == [
        f"bytes={i * SIZE}-{(i + 1) * SIZE - 1}" for i in range(COUNT)
    ]
    assert names_in(tmp_path) == ["x"]


async def test_a_short_file_is_one_plain_request(domo, emulator, tmp_path):
    uploaded = await domo.upload(DATA[:SIZE], name="x")
    await domo.download(uploaded.data_file_id, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA[:SIZE]
    assert asked(emulator) == [None]


async def test_a_server_without_ranges_is_asked_once(domo, emulator, data_file_id, tmp_path):
    emulator.behaviour.ranges = False
    await domo.download(data_file_id, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA
    assert asked(emulator) == [f"bytes=0-{SIZE - 1}"]


async def test_a_writable_gets_the_bytes_in_order_as_one_stream(domo, emulator, data_file_id):
    written = io.BytesIO()
    await domo.download(data_file_id, written)
    assert written.getvalue() == DATA
    assert asked(emulator) == [None]


@pytest.mark.parametrize("nth", [FIRST, MIDDLE, LAST], ids=["first", "middle", "last"])
@pytest.mark.parametrize(
    "fault",
    [
        {"reset": "before"},
        {"reset": "body"},
        {"reset": "after"},
        {"truncate": True},
        {"stall": 5},
        {"rate": 100_000},
        {"status": 503},
        {"status": 429, "headers": {"Retry-After": "0.01"}},
        {"maintenance": True},
        {"maintenance": True, "status": 200},
    ],
    ids=lambda fault: "-".join(f"{name}-{value}" for name, value in fault.items())[:25],
)
async def test_what_befalls_a_range_is_mended(domo, emulator, data_file_id, tmp_path, fault, nth):
    seen = []
    emulator.faults.add("open_download", nth=nth, **fault)
    await domo.download(data_file_id, tmp_path / "x", progress=seen.append)
    assert (tmp_path / "x").read_bytes() == DATA
    done = [one.bytes_done for one in seen]
    assert done == sorted(set(done))
    assert seen[-1] == Progress(len(DATA), len(DATA), 0, 0)
    assert len(asked(emulator)) == (COUNT if "rate" in fault else COUNT + 1)


async def test_after_a_drop_only_what_is_missing_of_the_range_is_asked_for(
    domo, emulator, data_file_id, tmp_path
):
    emulator.faults.add("open_download", nth=MIDDLE, reset="body")
    await domo.download(data_file_id, tmp_path / "x")
    whole = {f"bytes={i * SIZE}-{(i + 1) * SIZE - 1}" for i in range(COUNT)}
    (again,) = set(asked(emulator)) - whole
    start, stop = map(int, re.findall(r"\d+", again))
    assert start % SIZE > 0
    assert (stop + 1) % SIZE == 0


@pytest.mark.parametrize("nth", [FIRST, MIDDLE, LAST], ids=["first", "middle", "last"])
async def test_a_range_refused_for_good_ends_it_with_that_error(
    domo, emulator, data_file_id, tmp_path, nth
):
    emulator.faults.add("open_download", nth=nth, status=403)
    with pytest.raises(PermissionDeniedError):
        await domo.download(data_file_id, tmp_path / "x")
    left = [path.read_bytes() for path in tmp_path.iterdir()]
    assert all(one and DATA.startswith(one) for one in left)
    before = len(asked(emulator))
    await domo.download(data_file_id, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA
    kept = len(left[0]) if left else 0
    assert asked(emulator)[before].startswith(f"bytes={kept}-") or kept == len(DATA) - SIZE
    assert names_in(tmp_path) == ["x"]


@pytest.mark.parametrize("nth", [FIRST, MIDDLE, LAST], ids=["first", "middle", "last"])
async def test_a_range_out_of_attempts_ends_it_with_the_last_error(
    domo, emulator, data_file_id, tmp_path, nth
):
    emulator.faults.add("open_download", nth=nth, status=503, times=None)
    with pytest.raises(ServerError):
        await domo.download(data_file_id, tmp_path / "x", resume=False)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("nth", [FIRST, MIDDLE, LAST], ids=["first", "middle", "last"])
async def test_a_damaged_range_publishes_nothing(domo, emulator, data_file_id, tmp_path, nth):
    emulator.faults.add("open_download", nth=nth, corrupt=True)
    with pytest.raises(ChecksumMismatchError):
        await domo.download(data_file_id, tmp_path / "x")
    assert names_in(tmp_path) == []


async def test_what_the_server_asks_to_wait_is_kept_by_all(emulator, tmp_path):
    events = []
    async with emulator.session(
        "ada", retry=QUICK, transfer=RANGED, observer=events.append
    ) as domo:
        uploaded = await domo.upload(DATA, name="x")
        emulator.faults.add(
            "open_download", nth=MIDDLE, status=429, headers={"Retry-After": "0.05"}
        )
        await domo.download(uploaded.data_file_id, tmp_path / "x")
    assert [event.delay for event in events if isinstance(event, Throttled)] == [0.05]


async def test_an_exception_of_the_progress_function_ends_it(domo, data_file_id, tmp_path):
    def progress(_):
        raise LookupError

    with pytest.raises(LookupError):
        await domo.download(data_file_id, tmp_path / "x", progress=progress, resume=False)
    assert names_in(tmp_path) == []


async def test_what_came_meanwhile_is_left_as_it_is(domo, data_file_id, tmp_path):
    with pytest.raises(DestinationError, match="exists"):
        await domo.download(
            data_file_id, tmp_path / "x", progress=lambda _: (tmp_path / "x").write_bytes(b"mine")
        )
    assert (tmp_path / "x").read_bytes() == b"mine"


async def test_uploads_and_downloads_do_not_wait_for_each_other(emulator, tmp_path):
    (tmp_path / "up").write_bytes(bytes(3_000_000))
    config = TransferConfig(
        multipart_threshold=1, part_size=250_000, memory_budget=2**20, max_concurrency=1
    )
    async with emulator.session("ada", retry=QUICK, transfer=config) as domo:
        made = await domo.upload(tmp_path / "up")
        await asyncio.gather(
            *(domo.download(made.data_file_id, tmp_path / f"{i}") for i in range(3)),
            *(domo.upload(tmp_path / "up") for _ in range(3)),
        )
        assert domo._shared.buffers.held == 0
    assert all((tmp_path / f"{i}").stat().st_size == 3_000_000 for i in range(3))


CHILD = """
import asyncio, sys
from domo_files_async import DeveloperToken, DomoFilesSession, TransferConfig
async def main(url, token, number, path):
    config = TransferConfig(multipart_threshold=10_000, part_size=10_000)
    async with DomoFilesSession(url, auth=DeveloperToken(token), transfer=config) as domo:
        await domo.download(int(number), path, progress=lambda done: print(done.bytes_done))
asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
async def killed(domo, emulator, data_file_id, tmp_path):
    """Give the partial file of a download that was killed with one range missing in the middle."""
    emulator.faults.add("open_download", nth=4, stall=30)
    token = (await emulator.auth("ada").headers())["X-DOMO-Developer-Token"]
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-c", CHILD, emulator.url, token),
        *(str(data_file_id), str(tmp_path / "x")),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    async for line in child.stdout:
        if int(line) >= len(DATA) - SIZE:
            break
    child.send_signal(signal.SIGKILL)
    await child.wait()
    (partial,) = tmp_path.iterdir()
    assert partial.stat().st_size > len(DATA)
    return partial


async def test_after_a_kill_it_goes_on_from_where_all_bytes_are_there(
    domo, emulator, data_file_id, tmp_path, killed
):
    before = len(asked(emulator))
    await domo.download(data_file_id, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA
    missing, start = (int(re.findall(r"\d+", asked(emulator)[number])[0]) for number in (3, before))
    assert 0 < start <= missing
    assert names_in(tmp_path) == ["x"]


@pytest.mark.parametrize("verify", [True, False])
async def test_holes_that_a_partial_file_does_not_own_up_to_are_never_published(
    domo, data_file_id, tmp_path, killed, verify
):
    os.truncate(killed, len(DATA))
    await domo.download(data_file_id, tmp_path / "x", verify=verify)
    assert (tmp_path / "x").read_bytes() == DATA
    assert names_in(tmp_path) == ["x"]


async def test_a_record_that_is_damaged_is_not_believed(
    domo, emulator, data_file_id, tmp_path, killed
):
    with killed.open("r+b") as opened:
        opened.seek(len(DATA) + 9)
        opened.write(b"\1")
    before = len(asked(emulator))
    await domo.download(data_file_id, tmp_path / "x")
    assert asked(emulator)[before].startswith("bytes=0-")
    assert (tmp_path / "x").read_bytes() == DATA


class Origin:
    """A server of one file, each of whose replies can be other than it should be."""

    def __init__(self, reply=None, *, data=DATA, digest=True):
        self.data = data
        self.digest = digest
        self.heads = []
        self._reply = reply or (lambda origin, _, start, stop: origin.range(start, stop))
        self.now = self.peak = 0

    def etag(self):
        return f'"{hashlib.sha256(self.data).hexdigest()}"'

    def range(self, start, stop, *, body=None, total=None, given=None, **headers):
        stop = min(stop, len(self.data))
        body = self.data[start:stop] if body is None else body
        first, last = given or (start, stop - 1)
        headers = {"Content-Range": f"bytes {first}-{last}/{total or len(self.data)}", **headers}
        return answer(206, body, {"ETag": self.etag()} | headers)

    def whole(self, **headers):
        return answer(200, self.data, {"ETag": self.etag(), **headers})

    def details(self):
        revision = {"dataFileRevisionId": 7, "sizeBytes": len(self.data)}
        if self.digest:
            revision["sha256HashValue"] = hashlib.sha256(self.data).hexdigest().upper()
        body = {"dataFileId": 1, "name": "x", "currentRevision": revision}
        return answer(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    async def __call__(self, connection):
        while True:
            head = await connection.head()
            if "/details" in head.target:
                await connection.send(self.details())
                continue
            self.heads.append(head)
            self.now += 1
            self.peak = max(self.peak, self.now)
            await asyncio.sleep(0.001)
            asked = re.findall(r"\d+", head.headers.get("range", "bytes=0-"))
            start, stop = int(asked[0]), int(asked[1]) + 1 if asked[1:] else len(self.data)
            reply = self._reply(self, head, start, stop)
            await connection.send(reply)
            self.now -= 1
            head_of_reply, _, body = reply.partition(b"\r\n\r\n")
            if len(body) < int(re.search(rb"Content-Length: (\d+)", head_of_reply)[1]):
                connection.close()

    async def download(self, path, **config):
        policy = RetryPolicy(max_attempts=3, initial_backoff=0.001, max_backoff=0.01)
        transfer = TransferConfig(
            **{"multipart_threshold": SIZE, "part_size": SIZE, "adaptive": False} | config
        )
        async with (
            ScriptedServer(self) as server,
            DomoFilesSession(
                server.origin, auth=DeveloperToken("secret"), retry=policy, transfer=transfer
            ) as domo,
        ):
            return await domo.download(1, path)


async def test_several_ranges_come_at_once_but_no_more_than_may(tmp_path):
    origin = Origin()
    await origin.download(tmp_path / "x", max_concurrency=4)
    assert (tmp_path / "x").read_bytes() == DATA
    assert 2 <= origin.peak <= 4


async def test_later_ranges_depend_on_the_first_ones_validator(tmp_path):
    origin = Origin()
    await origin.download(tmp_path / "x")
    assert [head.headers.get("if-range") for head in origin.heads] == [
        None,
        *[origin.etag()] * (COUNT - 1),
    ]


def shorter(origin, head, start, stop):
    return origin.range(start, min(stop, start + 6_000))


def longer(origin, head, start, stop):
    return origin.range(start, stop + 5)


def sometimes_whole(origin, head, start, stop):
    return origin.range(start, stop) if start != 3 * SIZE else origin.whole()


def wrong_place(origin, head, start, stop):
    if start == 0 or "range" not in head.headers:
        return origin.range(start, stop) if "range" in head.headers else origin.whole()
    return origin.range(start, stop, given=(start + 1, stop))


def without_a_content_range(origin, head, start, stop):
    return answer(206, origin.data[start:stop]) if "range" in head.headers else origin.whole()


def several_parts(origin, head, start, stop):
    if "range" not in head.headers:
        return origin.whole()
    kind = {"Content-Type": "multipart/byteranges; boundary=b", "ETag": origin.etag()}
    return answer(206, b"--b\r\n\r\n" + origin.data[start:stop] + b"\r\n--b--", kind)


def refused(origin, head, start, stop):
    if "range" not in head.headers:
        return origin.whole()
    return answer(416, b"", {"Content-Range": f"bytes */{len(DATA)}"})


def refused_later(origin, head, start, stop):
    if start == 0:
        return origin.range(start, stop) if "range" in head.headers else origin.whole()
    return refused(origin, head, start, stop)


def unknown_total(origin, head, start, stop):
    return origin.range(start, stop, total="*")


def weak(origin, head, start, stop):
    assert "if-range" not in head.headers
    return origin.range(start, stop, ETag='W/"a"')


def labelled_as_gzip(origin, head, start, stop):
    assert head.headers["accept-encoding"] == "identity"
    return origin.range(start, stop, **{"Content-Encoding": "gzip"})


def ends_early(origin, head, start, stop):
    if stop - start == SIZE and start % 20_000 == 0:
        reply = origin.range(start, stop)
        return reply[: len(reply) - 4_000]
    return origin.range(start, stop)


def says_more_than_it_has(origin, head, start, stop):
    if stop - start == SIZE and start == 50_000:
        return origin.range(start, stop, body=origin.data[start : stop - 4_000])
    return origin.range(start, stop)


@pytest.mark.parametrize(
    "reply",
    [
        shorter,
        longer,
        sometimes_whole,
        wrong_place,
        without_a_content_range,
        several_parts,
        refused,
        refused_later,
        unknown_total,
        weak,
        labelled_as_gzip,
        ends_early,
        says_more_than_it_has,
    ],
    ids=lambda reply: reply.__name__,
)
async def test_a_server_may_answer_in_strange_ways(tmp_path, reply):
    origin = Origin(reply)
    await origin.download(tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA
    assert names_in(tmp_path) == ["x"]
    assert len(origin.heads) < 40


def in_the_wrong_place_always(origin, head, start, stop):
    return origin.range(start, stop, given=(start + 1, stop))


def never_more(origin, head, start, stop):
    return origin.range(start, stop, body=b"")


@pytest.mark.parametrize(
    ("reply", "error"),
    [(in_the_wrong_place_always, UnexpectedResponseError), (never_more, TransportError)],
    ids=lambda one: one.__name__,
)
async def test_a_server_that_never_makes_sense_is_given_up_on(tmp_path, reply, error):
    with pytest.raises(error):
        await Origin(reply).download(tmp_path / "x")
    assert names_in(tmp_path) == []


NEW = os.urandom(100_000)


@pytest.mark.parametrize("keeps_if_range", [True, False])
async def test_bytes_that_changed_are_fetched_anew(tmp_path, keeps_if_range):
    def reply(origin, head, start, stop):
        if start == 3 * SIZE:
            origin.data = NEW
        if keeps_if_range and head.headers.get("if-range", origin.etag()) != origin.etag():
            return origin.whole()
        return origin.range(start, stop)

    origin = Origin(reply, digest=False)
    await origin.download(tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == NEW
    assert origin.heads[-1].headers.get("range") is None


async def test_bytes_that_change_again_are_an_error(tmp_path):
    def reply(origin, head, start, stop):
        if start == 3 * SIZE or start % SIZE:
            origin.data = os.urandom(len(DATA))
        if "range" in head.headers:
            return origin.range(start, stop)
        whole = origin.whole()
        return whole[: len(whole) - 5_001]

    origin = Origin(reply, digest=False)
    with pytest.raises(UnexpectedResponseError, match="begins anew"):
        await origin.download(tmp_path / "x")
    assert names_in(tmp_path) == []


async def test_without_a_digest_nothing_is_left_to_go_on_from(tmp_path):
    def reply(origin, head, start, stop):
        return origin.range(start, stop) if start < 3 * SIZE else answer(404)

    with pytest.raises(NotFoundError):
        await Origin(reply, digest=False).download(tmp_path / "x")
    assert names_in(tmp_path) == []
