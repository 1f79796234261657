"""Each snippet of the documentation does what its page says, on the emulator.

A snippet without a test fails, and so does a page that shows what isn't run here.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib.util
import logging
import os
import re
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import aiohttp
import attrs
import httpx
import pytest
from distributed import LocalCluster

import domo_files_async
from domo_files_async import (
    AuthenticationError,
    ChecksumMismatchError,
    DomoFilesSession,
    PartUploadError,
    RetryPolicy,
    Throttled,
    TransferConfig,
    UploadJournal,
    bulk,
)
from domo_files_async.emulator import Emulator
from tests.integrations.test_fastapi import connected, serving, until

DOCS = Path(domo_files_async.__file__).parents[1] / "docs"
SNIPPETS = sorted((DOCS / "recipes").glob("*.py"))
PAGES = sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts)
MIB = 1024 * 1024
KIB = 1024
QUICK = RetryPolicy(initial_backoff=0.001, max_backoff=0.01)
SMALL = TransferConfig(part_size=64 * KIB, multipart_threshold=64 * KIB)
CHECKS = {}


def check(function):
    """Say that *function* is the test of the snippet that it is named after."""
    CHECKS[function.__name__] = function
    return function


@attrs.define
class World:
    """An emulator that the environment names, and an empty folder to work in."""

    emulator: Emulator
    folder: Path
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture

    def session(self, **options):
        return self.emulator.session("ada", **{"retry": QUICK, "transfer": SMALL} | options)

    def file(self, size, name="orders.csv"):
        path = self.folder / name
        path.write_bytes(hashlib.shake_128(name.encode()).digest(size))
        return path

    def sent(self, operation):
        return [one for one in self.emulator.requests if one.operation == operation]

    def said(self):
        return self.capsys.readouterr().out


@pytest.fixture
async def world(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    async with Emulator() as emulator:
        monkeypatch.setenv("DOMO_INSTANCE", emulator.url)
        monkeypatch.setenv("DOMO_ACCESS_TOKEN", emulator.credential("ada"))
        yield World(emulator, tmp_path, monkeypatch, capsys)
    assert not emulator.faults.pending


def load(path):
    """Import a snippet, each time anew."""
    spec = importlib.util.spec_from_file_location(f"snippet_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", SNIPPETS, ids=lambda path: path.stem)
async def test_a_snippet_does_what_its_page_says(path, world):
    assert path.stem in CHECKS, f"{path.name} has no test here: write one"
    await CHECKS[path.stem](path, world)


def test_every_test_has_its_snippet():
    assert set(CHECKS) == {path.stem for path in SNIPPETS}


def shown():
    """Give each file that a page includes, with the page."""
    for page in PAGES:
        for name in re.findall(
            r"^`{3,}\{literalinclude\} (.+)$", page.read_text("utf-8"), re.MULTILINE
        ):
            yield (page.parent / name).resolve(), page


def test_pages_include_what_is_run_and_all_of_it():
    assert {path for path, _ in shown()} == set(SNIPPETS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_no_page_holds_code_that_nobody_runs(page):
    assert not re.search(r"^`{3,} ?(python|py|pycon)\b", page.read_text("utf-8"), re.MULTILINE)


async def stream(count, size=MIB):
    for _ in range(count):
        yield bytes(size)


@check
async def quickstart(path, world):
    file = world.file(100_000)
    await load(path).main("orders.csv")
    (number,) = world.emulator.files
    assert len(world.emulator.files[number]) == 2
    assert (world.folder / "copy.csv").read_bytes() == file.read_bytes()
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert f"orders.csv is data file {number}, SHA-256 {digest}" in world.said()


def parts_under_way():
    """Give the tasks of the plain way that send a part."""
    names = ((task, task.get_coro().__qualname__) for task in asyncio.all_tasks())
    return [task for task, name in names if name == "upload.<locals>.send"]


@check
async def plain_way(path, world):
    snippet = load(path)
    snippet.PART = 64 * KIB
    file = world.file(300_000)
    way = (world.emulator.url, world.emulator.credential("ada"), str(file), "orders.csv")
    number = await snippet.upload(*way)
    assert await world.emulator.content(number) == file.read_bytes()
    # What the page says that it lacks: a checksum, a second attempt, an abort.
    assert all("checksum" not in one.query for one in world.sent("upload_part"))
    for status in (503, 429):
        world.emulator.faults.add("upload_part", part=2, status=status)
        with pytest.raises(aiohttp.ClientResponseError, match=f"{status}"):
            await snippet.upload(*way)
        # Nor does it wait for the parts that are still under way, or end them.
        await until(lambda: not parts_under_way())
    world.emulator.faults.add("upload_part", part=2, stall=60)
    uploading = asyncio.create_task(snippet.upload(*way))
    # A cancel would leave a file open that aiofiles is about to open.
    await until(lambda: not world.emulator.faults.pending and len(parts_under_way()) == 1)
    uploading.cancel()
    await asyncio.wait({uploading})
    assert uploading.cancelled()
    assert len(world.emulator.open_sessions) == 3
    assert not world.sent("abort_multipart_session")
    world.emulator.faults.add("commit_multipart_session", reset="after")
    with pytest.raises(aiohttp.ClientError):
        await snippet.upload(*way)
    assert len(world.emulator.files) == 2


@check
async def resume(path, world):
    snippet, file = load(path), world.file(256 * KIB)
    world.emulator.faults.add("upload_part", part=3, reset="body", times=5)
    one_by_one = TransferConfig(
        part_size=64 * KIB, multipart_threshold=64 * KIB, max_concurrency=1, adaptive=False
    )
    async with world.session(transfer=one_by_one) as domo:
        with pytest.raises(PartUploadError):
            await snippet.send(domo, str(file))
    assert len(world.emulator.open_sessions) == 1
    before = {one.path for one in world.sent("upload_part") if one.status == 200}
    world.emulator.requests.clear()
    async with world.session() as domo:
        number = await snippet.send(domo, str(file))
        assert await world.emulator.content(number) == file.read_bytes()
    assert before
    assert not before & {one.path for one in world.sent("upload_part")}
    async with UploadJournal("uploads.journal") as journal:
        assert not await journal.uploads()


@check
async def resume_download(path, world):
    snippet, data = load(path), bytes(range(256)) * 1024
    async with world.session() as domo:
        made = await domo.upload(data, name="big.bin")
        world.emulator.faults.add("open_download", status=404)
        got = await snippet.fetch(domo, made.data_file_id, world.folder / "big.bin")
    assert got.read_bytes() == data
    assert "isn't here yet" in world.said()
    assert [one.name for one in world.folder.iterdir()] == ["big.bin"]


@check
async def memory_ceiling(path, world):
    snippet = load(path)
    given = 0

    async def chunks():
        nonlocal given
        async for chunk in stream(64):
            given += len(chunk)
            yield chunk

    world.emulator.faults.add("upload_part", stall=0.2, times=4)
    ahead = []

    def look(progress):
        ahead.append(given - progress.bytes_done)

    async with snippet.open_session() as domo:
        plain = domo.upload
        domo.upload = lambda *source, **more: plain(*source, progress=look, **more)
        number = await snippet.pass_on(domo, chunks())
    assert len(await world.emulator.content(number)) == 64 * MIB
    assert max(ahead) <= 33 * MIB


@check
async def writing(path, world):
    snippet = load(path)

    async def rows(*, broken):
        yield "1,20"
        if broken:
            raise OSError("The database is gone")

    async with world.session() as domo:
        with pytest.raises(OSError, match="gone"):
            await snippet.export(domo, rows(broken=True))
        assert not world.emulator.files
        number = await snippet.export(domo, rows(broken=False))
    assert await world.emulator.content(number) == b"id,amount\n1,20\n"


@check
async def cancel(path, world):
    snippet, file = load(path), world.file(256 * KIB)
    world.emulator.faults.add("upload_part", part=2, stall=60)
    async with world.session() as domo:
        began = time.monotonic()
        assert await snippet.send_within(domo, str(file), 0.5) is None
        assert time.monotonic() - began < 30
        assert not world.emulator.open_sessions
        assert not world.emulator.files
        opened = world.sent("create_multipart_session")
        assert len(world.sent("abort_multipart_session")) == len(opened)
        made = await snippet.send_within(domo, str(file), 20)
        assert await world.emulator.content(made.data_file_id) == file.read_bytes()


@check
async def rate_limits(path, world):
    world.emulator.faults.add("list_files", status=429, headers={"Retry-After": "1"})
    events = []
    async with load(path).open_session() as domo, asyncio.TaskGroup() as group:
        with domo.observing(events.append):
            group.create_task(domo.list_files())
            await until(lambda: any(isinstance(one, Throttled) for one in events))
        group.create_task(domo.upload(b"x", name="x"))
    # The upload, which nobody had refused, was silent for that second, too.
    assert world.sent("upload_file")[0].at - world.sent("list_files")[0].at >= 950
    assert "Domo asks for 1 s of silence" in world.said()


@check
async def concurrency(path, world):
    snippet = load(path)
    for opened in (snippet.open_session(), snippet.open_fixed_session()):
        world.emulator.max_in_flight = 0
        world.emulator.faults.add("upload_file", stall=0.1, times=24)
        async with opened as domo, asyncio.TaskGroup() as group:
            for number in range(24):
                group.create_task(domo.upload(b"x", name=f"{number}"))
        assert 4 <= world.emulator.max_in_flight <= 8
    assert world.emulator.max_in_flight == 8


@check
async def orphans(path, world):
    snippet, file = load(path), world.file(256 * KIB)
    world.emulator.faults.add("upload_part", part=2, status=503, times=5)
    async with world.session() as domo:
        async with UploadJournal("uploads.journal") as journal:
            with pytest.raises(PartUploadError):
                await domo.upload(file, journal=journal)
        assert len(world.emulator.open_sessions) == 1
        assert await snippet.put_away(domo, "uploads.journal", timedelta(days=7)) == 0
        assert len(world.emulator.open_sessions) == 1
        assert await snippet.put_away(domo, "uploads.journal", timedelta(0)) == 1
        assert not world.emulator.open_sessions
        assert await snippet.put_away(domo, "uploads.journal", timedelta(0)) == 0


@check
async def fastapi_app(path, world):
    async with serving(load(path).app) as (_, client):
        form = {"file": ("orders.csv", b"a,b\n1,2\n", "text/csv")}
        sent = await client.post("/files", files=form)
        assert sent.status_code == 201
        got = await client.get(f"/files/{sent.json()['id']}")
        assert (got.status_code, got.content) == (200, b"a,b\n1,2\n")
        assert 'filename="orders.csv"' in got.headers["content-disposition"]
        missing = await client.get("/files/999")
        assert missing.status_code == 404
        assert missing.headers["content-type"] == "application/problem+json"


@check
async def disconnects(path, world):
    head = b"PUT /reports/may HTTP/1.1\r\nHost: x\r\nContent-Length: 20000000\r\n\r\n"
    async with serving(load(path).app) as (server, client):
        async with connected(client) as (_, writer):
            writer.write(head + bytes(17 * MIB))
            await until(lambda: world.emulator.open_sessions)
        await until(lambda: not world.emulator.open_sessions and not server.server_state.tasks)
        assert not world.emulator.files
        assert (await client.get("/reports/may")).json() == {"id": None}
        world.emulator.faults.add("commit_multipart_session", stall=0.05)
        async with connected(client) as (_, writer):
            writer.write(head + bytes(20_000_000))
            await until(lambda: world.sent("commit_multipart_session"))
        await until(lambda: world.emulator.files and not server.server_state.tasks)
        (number,) = world.emulator.files
        assert (await client.get("/reports/may")).json() == {"id": number}


@check
async def proxied_download(path, world):
    data = hashlib.shake_128(b"report").digest(16 * MIB)
    async with world.session() as domo:
        number = (await domo.upload(data, name="Überblick 5 €.csv")).data_file_id
    async with serving(load(path).app) as (_, client):
        for _ in range(10):
            async with connected(client) as (reader, writer):
                writer.write(f"GET /reports/{number} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            await until(lambda: world.emulator.in_flight == 0)
        whole = await client.get(f"/reports/{number}")
        assert whole.content == data
        assert "filename*=UTF-8''%C3%9Cberblick" in whole.headers["content-disposition"]
        assert whole.headers["x-content-type-options"] == "nosniff"
        assert whole.headers["cache-control"] == "private, max-age=60"
        some = await client.get(f"/reports/{number}", headers={"Range": "bytes=5-9"})
        assert (some.status_code, some.content) == (206, data[5:10])
        known = {"If-None-Match": whole.headers["etag"]}
        assert (await client.get(f"/reports/{number}", headers=known)).status_code == 304
        head = await client.head(f"/reports/{number}")
        assert (head.headers["content-length"], head.content) == (str(len(data)), b"")


@contextlib.asynccontextmanager
async def plain_proxy():
    """Serve as a proxy for plain HTTP, one request a connection; give its address and what came."""
    asked = []

    async def answer(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        method, url, _ = head.split(b" ", 2)
        asked.append((method.decode(), url.decode()))
        headers = dict(
            line.decode().split(": ", 1) for line in head.splitlines()[1:] if b": " in line
        )
        async with httpx.AsyncClient(trust_env=False) as client:
            got = await client.request(method.decode(), url.decode(), headers=headers)
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(got.content), got.content)
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


@check
async def network_proxy(path, world):
    snippet = load(path)
    authority = world.folder / "company.pem"
    authority.write_bytes(trusted_authority())
    async with plain_proxy() as (address, asked):
        async with snippet.open_session(address, str(authority)) as domo:
            assert await domo.list_files() == []
        assert len(asked) == 1
        assert asked[0][1].startswith(world.emulator.url)
        for name in ("NO_PROXY", "no_proxy", "http_proxy", "ALL_PROXY", "all_proxy"):
            world.monkeypatch.delenv(name, raising=False)
        world.monkeypatch.setenv("HTTP_PROXY", address)
        async with DomoFilesSession.from_env() as domo:
            await domo.list_files()
        assert len(asked) == 1
        async with snippet.open_session_as_the_environment_says() as domo:
            await domo.list_files()
        assert len(asked) == 2


def trusted_authority():
    import trustme  # noqa: PLC0415 - only here

    return trustme.CA().cert_pem.bytes()


@check
async def verify(path, world):
    snippet, file = load(path), world.file(50_000)
    async with world.session() as domo:
        number = await snippet.send(domo, file)
        assert await world.emulator.content(number) == file.read_bytes()
        world.emulator.faults.add("upload_file", corrupt=True)
        with pytest.raises(ChecksumMismatchError) as caught:
            await snippet.send(domo, file)
        assert caught.value.data_file_id in world.emulator.files
        # Without the whole being compared nobody would know: a simple upload has no checksum.
        world.emulator.faults.add("upload_file", corrupt=True)
        await domo.upload(file)


def run_pytest(path, folder):
    (folder / path.name).write_text(path.read_text("utf-8"), encoding="utf-8")
    plugins = ("-p", "pytest_asyncio.plugin", "-p", "domo_files_async.pytest_plugin")
    options = ("-W", "error", "-o", "asyncio_default_fixture_loop_scope=function")
    return subprocess.run(  # noqa: S603
        [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, *plugins, *options, path.name],
        cwd=folder,
        # Other plugins only take their time.
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(DOCS.parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@check
async def faults_in_tests(path, world):
    done = await asyncio.to_thread(run_pytest, path, world.folder)
    assert (done.returncode, "2 passed" in done.stdout) == (0, True), done.stdout + done.stderr


@check
async def faults_by_hand(path, world):
    await load(path).check_that_a_lost_answer_makes_one_file()


@check
async def token_refresh(path, world):
    snippet, secret = load(path), world.folder / "domo-token"
    secret.write_text("the old one\n")
    async with snippet.open_session(world.emulator.url) as domo:
        with pytest.raises(AuthenticationError):
            await domo.list_files()
        secret.write_text(world.emulator.credential("ada") + "\n")
        world.emulator.requests.clear()
        await asyncio.gather(*(domo.list_files() for _ in range(5)))
        refused = [one for one in world.emulator.requests if one.status == 401]
        assert 1 <= len(refused) <= 5
        assert [one.status for one in world.emulator.requests].count(200) == 5


@check
async def bandwidth(path, world):
    snippet = load(path)
    async with world.session() as domo:
        snippet.keep_the_line_free(domo, datetime(2026, 5, 4, 9, 0))  # noqa: DTZ001 - local time
        began = time.monotonic()
        await domo.upload(bytes(1_000_000), name="slow")
        slow = time.monotonic() - began
        snippet.keep_the_line_free(domo, datetime(2026, 5, 4, 20, 0))  # noqa: DTZ001
        began = time.monotonic()
        await domo.upload(bytes(1_000_000), name="fast")
    assert slow > 0.3
    assert time.monotonic() - began < slow


@check
async def progress(path, world):
    file = world.file(1_000_000)
    world.emulator.faults.add("upload_part", part=3, status=503)
    async with world.session() as domo:
        await load(path).send(domo, str(file))
    lines = world.said().splitlines()
    assert 2 <= len(lines) <= 11
    assert lines[-1].endswith("100 % of 1,000,000 bytes")
    shares = [int(line.split()[1]) for line in lines]
    assert shares == sorted(set(shares))


@check
async def tracing(path, world):
    from opentelemetry import trace  # noqa: PLC0415 - only here
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import (  # noqa: PLC0415
        InMemorySpanExporter,
    )

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    world.monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    world.monkeypatch.setattr(trace, "get_tracer", trace_getter(provider))
    snippet = load(path)
    async with snippet.open_session() as domo:
        await snippet.publish(domo, str(world.file(1000)))
    spans = {one.name: one for one in exporter.get_finished_spans()}
    upload = spans["domo_files upload"]
    assert upload.parent.span_id == spans["publish orders"].context.span_id
    request = spans["POST /api/data/v1/data-files"]
    assert request.parent.span_id == upload.context.span_id
    assert "orders.csv" not in str([one.to_json() for one in spans.values()])


def trace_getter(provider):
    def get(name, version=None, tracer_provider=None):
        return (tracer_provider or provider).get_tracer(name, version)

    return get


@check
async def logs(path, world):
    records = []
    logger = logging.getLogger("domo")
    handler = logging.Handler()
    handler.emit = records.append
    logger.addHandler(handler)
    world.emulator.faults.add("upload_file", status=429)
    try:
        async with load(path).open_session() as domo:
            await domo.upload(world.file(1000))
    finally:
        logger.removeHandler(handler)
    (retried,) = [one for one in records if one.domo_files["event"] == "request retried"]
    assert retried.levelno == logging.WARNING
    assert retried.domo_files["error"] == "RateLimitedError"
    assert not any("orders.csv" in one.getMessage() for one in records)


@check
async def exactly_once(path, world):
    snippet, file, asked = load(path), world.file(1000), []
    world.emulator.faults.add("upload_file", reset="after")
    async with world.session() as domo:
        number = await snippet.send(domo, str(file), asked)
        assert (list(world.emulator.files), asked) == ([number], [])
        world.emulator.behaviour.visibility_lag = 1000
        world.emulator.faults.add("upload_file", reset="after")
        assert await snippet.send(domo, str(file), asked) is None
    assert len(world.sent("upload_file")) == 2
    assert len(asked) == 1
    assert "Look before you send it again" in asked[0]


@check
async def bulk_job(path, world):
    snippet, folder = load(path), world.folder / "data"
    (folder / "may").mkdir(parents=True)
    for name in ("a.csv", "may/b.csv", "c.txt"):
        (folder / name).write_text(name)
    async with world.session() as domo:
        world.emulator.faults.add("upload_file", status=413)
        assert await snippet.send_folder(domo, str(folder)) == 2
        assert "failed" in world.said()
        assert len(world.emulator.files) == 1
        # What will always fail isn't tried again until its source has changed.
        world.emulator.requests.clear()
        assert await snippet.send_folder(domo, str(folder)) == 2
        assert not world.sent("upload_file")
        for name in ("a.csv", "may/b.csv"):
            (folder / name).write_text(f"{name}, corrected")
        assert await snippet.send_folder(domo, str(folder)) == 0
        assert [len(revisions) for revisions in world.emulator.files.values()] == [2, 1]
        world.emulator.requests.clear()
        assert await snippet.send_folder(domo, str(folder)) == 0
    # What is done costs no request: the one that was sent is the comparison's.
    assert {one.operation for one in world.emulator.requests} == {"list_files"}
    assert "<html" in (world.folder / "report.html").read_text()
    assert len((world.folder / "ids.csv").read_text().splitlines()) == 3


@check
async def migration(path, world):
    snippet = load(path)
    async with Emulator() as there, there.session("bob") as source, world.session() as target:
        number = await source.upload_file(b"first", name="orders.csv", description="All of them")
        await source.upload_revision(number, b"second")
        people = {str(there.user_id("bob")): str(world.emulator.user_id("ada"))}
        assert await snippet.move(source, target, people)
        assert await snippet.move(source, target, people)
    ((made, revisions),) = world.emulator.files.items()
    assert [await world.emulator.content(made, one) for one in revisions] == [b"first", b"second"]
    assert len((world.folder / "ids.csv").read_text().splitlines()) == 3


@check
async def wait_for_scan(path, world):
    snippet, file = load(path), world.file(1000)
    reader = world.emulator.user_id("grace")
    async with world.session() as domo:
        assert await snippet.publish(domo, str(file), reader)
        assert await readers(domo, max(world.emulator.files)) == {str(reader)}
        world.emulator.scan_state = "INFECTED"
        assert not await snippet.publish(domo, str(file), reader)
        assert await readers(domo, max(world.emulator.files)) == set()
        world.emulator.scan_state = "PENDING"
        plain = domo.wait_for_scan
        domo.wait_for_scan = lambda number, timeout: plain(number, timeout=timeout / 10_000)
        assert not await snippet.publish(domo, str(file), reader)
    assert "INFECTED: nobody gets it" in (said := world.said())
    assert "isn't scanned yet" in said


async def readers(domo, number):
    entries = (await domo.get_permissions(number)).entries
    return {one.entity_id for one in entries if str(one.grant) == "READ"}


@check
async def sharing(path, world):
    snippet = load(path)
    async with world.session() as domo:
        number = await domo.upload_file(b"x", name="x")
        before = await domo.get_permissions(number)
        await snippet.share(domo, number, 77)
        shared = {
            one.principal: str(one.grant) for one in (await domo.get_permissions(number)).entries
        }
        assert shared["GROUP", "77"] == "READ_SHARE"
        await snippet.take_back(domo, number, 77)
        assert await domo.get_permissions(number) == before


@check
async def tables(path, world):
    import fsspec  # noqa: PLC0415 - only here

    from domo_files_async.fsspec import DomoFileSystem  # noqa: PLC0415

    fsspec.register_implementation("domo", DomoFileSystem)
    async with world.session() as domo:
        number = await domo.upload_file(b"price,count\n2,3\n", name="orders.csv")
    await asyncio.to_thread(load(path).add_totals, f"domo://{number}", "domo://reports/totals.csv")
    made = max(world.emulator.files)
    assert await world.emulator.content(made) == b"price,count,total\n2,3,6\n"
    await asyncio.to_thread(fsspec.filesystem("domo").close)
    DomoFileSystem.clear_instance_cache()


@check
async def cluster(path, world):
    snippet = load(path)
    folder = world.folder / "data"
    folder.mkdir()
    for number in range(10):
        (folder / f"{number}.csv").write_text(f"{number}")
    async with LocalCluster(
        n_workers=2,
        processes=False,
        asynchronous=True,
        dashboard_address="127.0.0.1:0",
        local_directory=str(world.folder / "dask"),
    ) as made:
        outcomes = await snippet.send_folder(made.scheduler_address, str(folder))
    assert {one.status for one in outcomes} == {bulk.Status.UPLOADED}
    assert len(outcomes) == len(world.emulator.files) == 10


@check
async def timeouts(path, world):
    async with load(path).open_session() as domo:
        await domo.upload(world.file(1000))
    assert len(world.emulator.files) == 1
