import asyncio
import gc
import os
import runpy
import socket
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request

import domo_files_async
from domo_files_async import (
    AccessNotSetError,
    OutcomeUnknownError,
    RetryPolicy,
    Timeouts,
    TransferConfig,
    errors,
)
from domo_files_async.emulator import Emulator
from domo_files_async.fastapi import (
    DomoFiles,
    add_error_handlers,
    file_response,
    lifespan,
    upload_from,
)
from domo_files_async.fastapi.forms import FormError, FormReader
from domo_files_async.protocol.headers import read_content_disposition

EXAMPLE = Path(domo_files_async.__file__).parent.parent / "examples" / "fastapi_app" / "main.py"
SMALL = TransferConfig(multipart_threshold=1000, part_size=1000)
QUICK = RetryPolicy(initial_backoff=0.001, max_backoff=0.01, max_attempts=2)
DATA = bytes(range(256)) * 40
MAX = 20_000


@pytest.fixture
async def emulator():
    async with Emulator() as running:
        yield running
    assert not running.open_sessions
    assert not running.faults.pending


@asynccontextmanager
async def serving(app, **options):
    """Run an application on uvicorn, on a port of its own."""
    config = uvicorn.Config(app, port=0, log_config=None, lifespan="on", **options)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    try:
        while not server.started:
            assert not running.done()
            await asyncio.sleep(0)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            yield server, client
    finally:
        server.should_exit = True
        await running


def make_app(emulator, *, stall=60.0):
    app = FastAPI(lifespan=lifespan(lambda: emulator.session("ada", transfer=SMALL, retry=QUICK)))
    add_error_handlers(app)

    @app.post("/files")
    async def form(request: Request, domo: DomoFiles):
        return vars_of(await upload_from(request, domo, max_bytes=MAX))

    @app.put("/files/{name}")
    async def raw(name: str, request: Request, domo: DomoFiles):
        return vars_of(await upload_from(request, domo, name=name, max_bytes=MAX, stall=stall))

    @app.api_route("/files/{number}", methods=["GET", "HEAD"])
    async def download(number: int, request: Request, domo: DomoFiles, rev: int | None = None):
        return await file_response(domo, number, request, revision_id=rev, stall=stall)

    @app.get("/fail/{name}")
    async def fail(name: str):
        raise FAILURES[name][0]

    return app


def vars_of(result):
    return {"id": result.data_file_id, "name": result.name, "type": result.content_type}


@pytest.fixture
async def served(emulator):
    async with serving(make_app(emulator)) as (server, client):
        yield server, client
        client.headers.clear()


@pytest.fixture
def client(served):
    return served[1]


@asynccontextmanager
async def connected(client):
    """Give a plain connection, whose receive buffer is small."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", client.base_url.port))
    reader, writer = await asyncio.open_connection(sock=sock)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def until(condition):
    while not condition():
        await asyncio.sleep(0.001)


async def answer(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1])


async def test_the_example_takes_and_gives_files(emulator, monkeypatch):
    monkeypatch.setenv("DOMO_INSTANCE", emulator.url)
    monkeypatch.setenv("DOMO_ACCESS_TOKEN", emulator.credential("ada"))
    app = runpy.run_path(str(EXAMPLE))["app"]
    data = os.urandom(3_000_000)
    before = gc.get_threshold()
    async with serving(app) as (_, client):
        assert gc.get_freeze_count()
        assert gc.get_threshold()[2] > 1_000_000
        running = {task.get_coro().__name__ for task in asyncio.all_tasks()}
        assert {"collect_young", "collect_when_quiet"} <= running
        assert (await client.get("/health")).json() == {"status": "ok"}
        assert "<form" in (await client.get("/")).text
        raw = await client.put("/files/a%20b.bin", content=data)
        form = await client.post("/files", files={"file": ("c.bin", data)})
        assert (raw.status_code, form.status_code) == (201, 201)
        assert raw.json()["name"] == "a b.bin"
        for one in (raw.json(), form.json()):
            assert (await client.get(f"/files/{one['id']}")).content == data
        assert (await client.get("/files/999")).status_code == 404
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)


async def test_an_applications_own_lifespan_runs_while_the_session_is_open(emulator):
    seen = []

    @asynccontextmanager
    async def own(app):
        seen.append(app)
        yield {"mine": "kept"}
        seen.append("over")

    app = FastAPI(lifespan=lifespan(lambda: emulator.session("ada"), own))

    @app.get("/")
    async def root(request: Request, domo: DomoFiles):
        return [request.state.mine, len(await domo.list_files())]

    for _ in range(2):
        async with serving(app) as (_, client):
            assert (await client.get("/")).json() == ["kept", 0]
    assert seen == [app, "over"] * 2


async def test_an_application_without_the_lifespan_is_told_so():
    app = FastAPI()
    add_error_handlers(app)

    @app.get("/")
    async def root(domo: DomoFiles):
        return None

    async with serving(app) as (_, client):
        assert (await client.get("/")).status_code == 500


@pytest.mark.parametrize("http", ["h11", "httptools"])
@pytest.mark.parametrize("size", [0, 10, 10_240])
async def test_a_raw_body_arrives_as_it_was_sent(emulator, http, size):
    data = DATA[:size]
    async with serving(make_app(emulator), http=http) as (_, client):
        sent = await client.put("/files/x", content=data)
        assert await emulator.content(sent.json()["id"]) == data

        async def pieces():
            for start in range(0, size, 300):
                yield data[start : start + 300]

        sent = await client.put("/files/x", content=pieces())
        assert await emulator.content(sent.json()["id"]) == data


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("plain.txt", "plain.txt"),
        ("schön — 文件 🎉.txt", "schön — 文件 🎉.txt"),
        ('a "quote".txt', 'a "quote".txt'),
        ("C:\\fakepath\\x.txt", "x.txt"),
        ("../../etc/passwd", "passwd"),
        ("semi;colon=1.txt", "semi;colon=1.txt"),
    ],
)
async def test_a_forms_file_keeps_its_name_and_loses_its_path(client, emulator, sent, kept):
    reply = await client.post("/files", files={"file": (sent, DATA, "text/x")}, data={"a": "b"})
    assert reply.json() == {"id": 401, "name": kept, "type": "text/x"}
    assert await emulator.content(401) == DATA


async def test_a_type_that_says_nothing_gives_way_to_a_guess(client):
    said = await client.put("/files/x.txt", content=b"x", headers={"content-type": "text/csv"})
    assert said.json()["type"] == "text/csv"
    for nothing in ("application/octet-stream", "application/x-www-form-urlencoded"):
        told = await client.put("/files/x.txt", content=b"x", headers={"content-type": nothing})
        assert told.json()["type"] == "text/plain"


async def test_a_body_that_says_it_is_too_large_is_refused_unread(client, emulator):
    async with connected(client) as (reader, writer):
        writer.write(b"PUT /files/x HTTP/1.1\r\nHost: x\r\nContent-Length: 20001\r\n\r\n")
        assert await answer(reader) == 413
    assert not emulator.requests
    refused = await client.post("/files", files={"file": ("x", bytes(MAX + 70_000))})
    assert refused.status_code == 413
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["detail"] == "At most 20000 bytes are taken"


async def test_a_body_that_grows_too_large_is_refused_and_aborted(client, emulator):
    async def endless():
        while True:
            yield bytes(500)

    form = await client.post("/files", files={"file": ("x", bytes(MAX + 1))})
    assert form.status_code == 413
    async with connected(client) as (reader, writer):
        writer.write(b"PUT /files/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"1000\r\n" + bytes(4096) + b"\r\n")
        writer.write((b"1000\r\n" + bytes(4096) + b"\r\n") * 4)
        assert await answer(reader) == 413
    assert not emulator.files
    most = await client.post("/files", files={"file": ("x", bytes(MAX))})
    assert most.status_code == 200


@pytest.mark.parametrize(
    ("kind", "body", "detail"),
    [
        ("multipart/form-data", b"x", "The form's boundary is missing"),
        (f"multipart/form-data; boundary={'b' * 300}", b"x", "boundary is longer than 70 bytes"),
        ("multipart/form-data; boundary=b", b"nonsense", "isn't the form that"),
        ("multipart/form-data; boundary=b", b"--b--\r\n", "holds no file"),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\nhalf',
            "ended before it was complete",
        ),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\none\r\n' * 2
            + b"--b--\r\n",
            "more than one file",
        ),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\n' + bytes(66_000),
            "too much beside",
        ),
    ],
)
async def test_what_is_no_form_with_one_file_is_refused(client, emulator, kind, body, detail):
    reply = await client.post("/files", content=body, headers={"content-type": kind})
    assert reply.status_code == 400
    assert detail in reply.json()["detail"]
    assert not emulator.files


async def test_a_body_is_held_back_while_domo_takes_nothing(emulator):
    emulator.faults.add("upload_part", stall=60, times=None)
    config = TransferConfig(multipart_threshold=1, part_size=100_000, memory_budget=1024 * 1024)
    # The request ends with its upload, some time after the client was held back.
    ends = {"timeouts": Timeouts(stall=1.5), "retry": RetryPolicy(max_attempts=1)}
    app = FastAPI(lifespan=lifespan(lambda: emulator.session("ada", transfer=config, **ends)))
    add_error_handlers(app)

    @app.put("/")
    async def put(request: Request, domo: DomoFiles):
        await upload_from(request, domo, name="x", max_bytes=10**10)

    async with serving(app) as (_, client), connected(client) as (_, writer):
        writer.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536
        )
        writer.write(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000\r\n\r\n")
        written = 0
        with pytest.raises(TimeoutError):
            while True:
                writer.write(bytes(100_000))
                async with asyncio.timeout(0.3):
                    await writer.drain()
                written += 100_000
        # The budget, uvicorn's buffer, and what the system's own buffers hold
        assert 1_000_000 < written < 20_000_000


async def test_an_encoded_body_is_refused(client, emulator):
    reply = await client.put("/files/x", content=b"x", headers={"content-encoding": "gzip"})
    assert (reply.status_code, reply.headers["accept-encoding"]) == (415, "identity")
    assert not emulator.requests


async def test_a_client_that_leaves_in_mid_body_has_its_upload_aborted(served, emulator):
    server, client = served
    async with connected(client) as (_, writer):
        writer.write(b"PUT /files/x HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n")
        writer.write(bytes(2500))
        await until(lambda: emulator.open_sessions)
    await until(lambda: not emulator.open_sessions and not server.server_state.tasks)
    assert not emulator.files
    assert emulator.requests[-1].operation == "abort_multipart_session"


async def test_a_hundred_clients_that_leave_in_mid_body_leave_nothing_behind(emulator):
    made = []

    def make():
        made.append(emulator.session("ada", transfer=SMALL, retry=QUICK))
        return made[-1]

    app = FastAPI(lifespan=lifespan(make))
    add_error_handlers(app)

    @app.put("/files/{name}")
    async def raw(name: str, request: Request, domo: DomoFiles):
        await upload_from(request, domo, name=name, max_bytes=MAX)

    async with serving(app) as (server, client):
        async with AsyncExitStack() as leaving:
            for number in range(100):
                _, writer = await leaving.enter_async_context(connected(client))
                head = f"PUT /files/{number} HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n"
                writer.write(head.encode() + bytes(2500))
            await until(lambda: len(emulator.open_sessions) == 100)
        await until(lambda: not emulator.open_sessions and not server.server_state.tasks)
        await until(lambda: emulator.in_flight == 0)
        assert not server.server_state.connections
        # What the session holds is whole: as many uploads as fit go through at once.
        kept = await asyncio.gather(*(made[0].upload(DATA, name="x") for _ in range(40)))
        assert len(kept) == len(emulator.files) == 40


async def test_a_client_that_leaves_after_its_last_byte_has_its_upload_finished(served, emulator):
    _, client = served
    emulator.faults.add("commit_multipart_session", stall=0.05)
    async with connected(client) as (_, writer):
        writer.write(b"PUT /files/x HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n")
        writer.write(bytes(10000))
        await until(lambda: "commit_multipart_session" in {r.operation for r in emulator.requests})
    await until(lambda: emulator.files)
    assert await emulator.content(401) == bytes(10000)
    await until(lambda: emulator.requests[-1].operation.endswith("permissions"))


async def test_a_client_that_stands_still_is_not_waited_for(emulator):
    async with (
        serving(make_app(emulator, stall=0.05)) as (_, client),
        connected(client) as (reader, writer),
    ):
        writer.write(b"PUT /files/x HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n")
        writer.write(bytes(2500))
        assert await answer(reader) == 408
    assert not emulator.files


async def test_a_client_is_not_blamed_while_domo_is_slow(emulator):
    emulator.faults.add("create_multipart_session", stall=0.2)
    async with serving(make_app(emulator, stall=0.05)) as (_, client):
        assert (await client.put("/files/x", content=bytes(MAX))).status_code == 200


async def test_an_upload_that_domo_refuses_is_a_bad_gateway(client, emulator, caplog):
    emulator.faults.add("upload_part", status=403, body={"message": "Domo's own words"}, times=None)
    reply = await client.put("/files/x", content=DATA)
    assert reply.status_code == 502
    assert "own words" not in reply.text
    assert "own words" in caplog.text


@pytest.fixture
async def stored(emulator):
    async with emulator.session("ada") as domo:
        result = await domo.upload(DATA, name="x.bin")
    emulator.requests.clear()
    return result.data_file_id


@pytest.mark.parametrize(
    ("asked", "status", "start", "stop"),
    [
        ("bytes=0-99", 206, 0, 100),
        ("bytes=10000-", 206, 10_000, 10_240),
        ("bytes=-1", 206, 10_239, 10_240),
        ("bytes=-99999", 206, 0, 10_240),
        ("bytes=5-999999", 206, 5, 10_240),
        ("Bytes = 5-6", 206, 5, 7),
        ("bytes=0-1,5-6", 200, 0, 10_240),
        ("bytes=6-5", 200, 0, 10_240),
        ("bytes=-", 200, 0, 10_240),
        ("lines=1-2", 200, 0, 10_240),
        ("bytes=10240-", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
    ],
)
@pytest.mark.parametrize("ranges", [True, False])
async def test_one_range_is_given_and_of_several_the_whole(
    client, emulator, stored, asked, status, start, stop, ranges
):
    emulator.behaviour.ranges = ranges
    reply = await client.get(f"/files/{stored}", headers={"range": asked})
    assert (reply.status_code, reply.content) == (status, DATA[start:stop])
    if status == 206:
        assert reply.headers["content-range"] == f"bytes {start}-{stop - 1}/10240"
    if status == 416:
        assert reply.headers["content-range"] == "bytes */10240"
    else:
        assert reply.headers["content-length"] == str(stop - start)


async def test_a_browser_that_has_it_is_told_so(client, emulator, stored):
    etag = (await client.get(f"/files/{stored}")).headers["etag"]
    emulator.requests.clear()
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        reply = await client.get(f"/files/{stored}", headers={"if-none-match": known})
        assert (reply.status_code, reply.content, reply.headers["etag"]) == (304, b"", etag)
    assert {one.operation for one in emulator.requests} == {"get_file"}
    other = await client.get(f"/files/{stored}", headers={"if-none-match": '"other"'})
    assert other.content == DATA
    for wanted, status in (('"other"', 412), (etag, 200), ("*", 200), (f"W/{etag}", 412)):
        reply = await client.get(f"/files/{stored}", headers={"if-match": wanted})
        assert reply.status_code == status


@pytest.mark.parametrize(("name", "status"), [("if-none-match", 304), ("if-match", 200)])
async def test_each_line_of_a_condition_counts(client, stored, name, status):
    etag = (await client.get(f"/files/{stored}")).headers["etag"]
    lines = [(name, '"other"'), (name, etag), (name, '"third"')]
    assert (await client.get(f"/files/{stored}", headers=lines)).status_code == status


MOST = 2**63 - 1


@pytest.mark.parametrize("number", [MOST + 1, 10**30, -1])
async def test_an_id_that_can_be_nobodys_is_the_clients_mistake(
    client, emulator, stored, caplog, number
):
    for path in (f"/files/{number}", f"/files/{stored}?rev={number}"):
        reply = await client.get(path)
        assert reply.status_code in {400, 404}, path
    assert (await client.get(f"/files/{MOST}")).status_code == 404
    assert not [one for one in caplog.records if one.levelname == "ERROR"]
    assert not [one for one in emulator.requests if f"/{number}/" in f"{one.path}/"]


async def test_a_range_of_what_changed_is_the_whole(client, emulator, stored):
    asked = {"range": "bytes=5-6"}
    etag = (await client.get(f"/files/{stored}")).headers["etag"]
    same = await client.get(f"/files/{stored}", headers=asked | {"if-range": etag})
    assert (same.status_code, same.content) == (206, DATA[5:7])
    async with emulator.session("ada") as domo:
        await domo.upload_revision(stored, b"new content")
    changed = await client.get(f"/files/{stored}", headers=asked | {"if-range": etag})
    assert (changed.status_code, changed.content) == (200, b"new content")
    old = etag.strip('"').partition("-")[2]
    before = await client.get(f"/files/{stored}", params={"rev": old})
    assert before.content == DATA
    assert (await client.get(f"/files/{stored}", params={"rev": 1})).status_code == 404


async def test_a_head_gives_what_a_get_would_and_opens_no_download(client, emulator, stored):
    got = await client.get(f"/files/{stored}")
    emulator.requests.clear()
    reply = await client.head(f"/files/{stored}", headers={"range": "bytes=1-2"})
    assert (reply.status_code, reply.content) == (200, b"")
    same = ("content-length", "etag", "content-type", "content-disposition", "accept-ranges")
    assert [reply.headers[one] for one in same] == [got.headers[one] for one in same]
    assert {one.operation for one in emulator.requests} == {"get_file"}


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("report.csv", "report.csv"),
        ("schön — 文件 🎉.txt", "schön — 文件 🎉.txt"),
        ("100% & more; 'x'.txt", "100% & more; 'x'.txt"),
        ('a "b"\\c.txt', "a _b__c.txt"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("evil\u202ecod.exe", "evilcod.exe"),
        ("..", "data-file-401"),
        ("n" * 5000, "n" * 200),
    ],
)
async def test_any_name_is_told_to_the_browser_and_harms_nobody(client, emulator, name, kept):
    async with emulator.session("ada") as domo:
        await domo.upload(b"x", name=name, content_type="text/html")
    reply = await client.get("/files/401")
    said = reply.headers["content-disposition"]
    assert said.startswith("attachment; ")
    assert said.isascii()
    assert read_content_disposition(said) == kept
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["content-type"] == "text/html"


async def test_a_download_that_breaks_off_goes_on_from_there(client, emulator, stored):
    emulator.faults.add("open_download", reset="body")
    emulator.faults.add("open_download", truncate=True)
    reply = await client.get(f"/files/{stored}")
    assert reply.content == DATA


async def test_a_failure_before_the_first_byte_is_still_an_answer(client, emulator, stored):
    emulator.faults.add("open_download", status=503, times=None)
    reply = await client.get(f"/files/{stored}")
    assert reply.status_code == 502
    assert reply.headers["content-type"] == "application/problem+json"


async def test_a_browser_that_leaves_gives_the_connection_back(served, emulator):
    _, client = served
    async with emulator.session("ada") as domo:
        result = await domo.upload(bytes(30_000_000), name="big")
    for _ in range(5):
        async with connected(client) as (reader, writer):
            writer.write(f"GET /files/{result.data_file_id} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert await answer(reader) == 200
            assert emulator.in_flight == 1
        await until(lambda: emulator.in_flight == 0)
    assert (await client.get(f"/files/{result.data_file_id}")).status_code == 200


async def test_a_browser_that_takes_nothing_gives_the_connection_back(emulator):
    async with emulator.session("ada") as domo:
        result = await domo.upload(bytes(30_000_000), name="big")
    async with (
        serving(make_app(emulator, stall=0.05)) as (_, client),
        connected(client) as (reader, writer),
    ):
        writer.write(f"GET /files/{result.data_file_id} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert await answer(reader) == 200
        writer.transport.pause_reading()
        await until(lambda: emulator.in_flight == 0)


SAID = {"status": 401, "method": "GET", "path": "/secret", "toe": "ABC"}
LOST = errors.ServerError("secret", **(SAID | {"status": 500}))
FAILURES = {
    "missing": (errors.NotFoundError("secret", **SAID), 404, "about:blank"),
    "large": (errors.PayloadTooLargeError("secret", **SAID), 413, "about:blank"),
    "conflict": (errors.ConflictError("secret", **SAID), 409, "about:blank"),
    "argument": (errors.InvalidArgumentError("secret"), 400, "about:blank"),
    "login": (errors.AuthenticationError("secret", **SAID), 502, "about:blank"),
    "forbidden": (errors.PermissionDeniedError("secret", **SAID), 502, "about:blank"),
    "rate": (errors.RateLimitedError("secret", retry_after=2.2, **SAID), 503, "about:blank"),
    "maintenance": (errors.MaintenanceError("secret", **SAID), 503, "about:blank"),
    "server": (LOST, 502, "about:blank"),
    "stalled": (errors.StalledError("secret"), 504, "about:blank"),
    "network": (errors.ConnectError("secret"), 502, "about:blank"),
    "odd": (
        errors.UnexpectedResponseError("secret", status=200, method="GET", path="/secret"),
        502,
        "about:blank",
    ),
    "part": (
        errors.PartUploadError(
            index=1, attempts=5, cause=errors.RateLimitedError("secret", retry_after=2.2, **SAID)
        ),
        503,
        "about:blank",
    ),
    "unknown": (
        OutcomeUnknownError(operation="secret", seen="secret", cause=LOST),
        504,
        "tag:domo-files-async,2026:outcome-unknown",
    ),
    "access": (
        AccessNotSetError(data_file_id=7, revision_id=8, public=True, cause=LOST),
        502,
        "tag:domo-files-async,2026:access-not-set",
    ),
    "scan": (
        errors.ScanRejectedError(data_file_id=7, scan_state="secret"),
        422,
        "tag:domo-files-async,2026:scan-rejected",
    ),
    "state": (errors.SessionStateError("secret"), 500, "about:blank"),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_an_error_is_a_problem_that_gives_nothing_away(client, caplog, name):
    error, status, kind = FAILURES[name]
    reply = await client.get(f"/fail/{name}")
    told = reply.json()
    assert (reply.status_code, told["status"], told["type"]) == (status, status, kind)
    assert reply.headers["content-type"] == "application/problem+json"
    assert "secret" not in reply.text
    assert "ABC" not in reply.text
    assert told["title"]
    assert len(told["detail"]) > 20
    assert ("secret" in caplog.text or "Data file 7" in caplog.text) == (status >= 500)
    assert reply.headers.get("retry-after") == ("3" if name in {"rate", "part"} else None)
    assert told.get("data_file_id") == (7 if name == "access" else None)
    error.__traceback__ = None


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_form_may_come_in_pieces_of_any_size(step):
    form = (
        b'preamble\r\n--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nvalue\r\n'
        b'--b\r\nContent-Disposition: form-data; name="f"; filename="x.bin"\r\n'
        b"Content-Type: text/x\r\n\r\n" + b"\r\n--data\r\n--b-\r\n" * 10 + b"\r\n--b--\r\n"
    )
    form = form.removeprefix(b"preamble\r\n")
    reader = FormReader(b"b")
    found = b""
    for start in range(0, len(form), step):
        found += b"".join(reader.feed(form[start : start + step]))
    assert found == b"\r\n--data\r\n--b-\r\n" * 10
    assert reader.is_complete
    assert (reader.file.name, reader.file.content_type) == ("x.bin", "text/x")


def test_a_field_without_a_file_name_is_no_file():
    reader = FormReader(b"b")
    reader.feed(
        b'--b\r\nContent-Disposition: form-data; name="f"; filename=""\r\n\r\n\r\n--b--\r\n'
    )
    assert reader.is_complete
    assert reader.file is None
    with pytest.raises(FormError):
        FormReader(b"b").feed(b"no form at all, however long it is")
