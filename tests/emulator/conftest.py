"""The emulator spoken to over real sockets, by hand: no line of the client is run here."""

import io
import json
from dataclasses import dataclass, field

import aiohttp
import pytest

from domo_files_async.emulator import Emulator

BASES = {"app": "/domo/data-files/v1", "product": "/api/data/v1/data-files"}
HEADERS = {"app": "X-DOMO-Ryuu-Session", "product": "X-DOMO-Developer-Token"}


@dataclass
class Reply:
    status: int
    headers: dict
    body: bytes
    json: object = field(init=False)

    def __post_init__(self):
        try:
            self.json = json.loads(self.body)
        except ValueError:
            self.json = None


class Caller:
    """One user on one surface."""

    def __init__(self, http, emulator, surface, name):
        self.http = http
        self.emulator = emulator
        self.surface = surface
        self.name = name
        self.base = BASES[surface]

    def be(self, name):
        return Caller(self.http, self.emulator, self.surface, name)

    @property
    def headers(self):
        return {HEADERS[self.surface]: self.emulator.credential(self.name)}

    def open(self, method, path, *, headers=None, **options):
        if isinstance(options.get("data"), bytes):
            options["data"] = io.BytesIO(options["data"])
        given = {**self.headers, **(headers or {})}
        url = self.emulator.url + self.base + path
        return self.http.request(method, url, headers=given, **options)

    async def call(self, method, path, **options):
        async with self.open(method, path, **options) as reply:
            return Reply(reply.status, reply.headers, await reply.read())

    async def ok(self, method, path, **options):
        reply = await self.call(method, path, **options)
        assert reply.status == 200, reply
        return reply

    def body(self, data, content_type="text/plain"):
        if self.surface == "product":
            return {"data": data, "headers": {"Content-Type": content_type}}
        form = aiohttp.FormData()
        data = io.BytesIO(data) if isinstance(data, bytes) else data
        form.add_field("file", data, filename="x", content_type=content_type)
        return {"data": form}

    async def upload(self, data=b"data", name="x", content_type="text/plain", **query):
        params = {"name": name, "public": "false", **query}
        reply = await self.ok("POST", "", params=params, **self.body(data, content_type))
        return reply.json["dataFileId"]

    async def revise(self, file_id, data=b"more", content_type="text/plain", **query):
        reply = await self.ok("PUT", f"/{file_id}", params=query, **self.body(data, content_type))
        return reply.json["revisionId"]

    async def begin(self, file_id=None, name="x", content_type="text/plain", **more):
        path = "/multipart" if file_id is None else f"/{file_id}/multipart"
        said = {"name": name, "contentType": content_type, **more}
        return (await self.ok("POST", path, json=said)).json["sessionId"]

    async def part(self, session_id, index, data, **query):
        path = f"/multipart/{session_id}/part/{index}"
        return await self.call("PUT", path, data=data, params=query)

    async def commit(self, session_id):
        path = f"/multipart/{session_id}/commit"
        return await self.call("POST", path, json={"sessionId": session_id})

    async def abort(self, session_id):
        return await self.call("POST", f"/multipart/{session_id}/abort")

    async def details(self, file_id, **query):
        return (await self.ok("GET", f"/{file_id}/details", params=query)).json

    async def grant(self, file_id, words, *, public=False, to="grace"):
        entry = {
            "entityType": "USER",
            "entityId": str(self.emulator.user_id(to)),
            "grant": words,
            "pass": "NONE",
        }
        said = {"publicAccess": public, "entries": [entry]}
        await self.ok("PUT", f"/{file_id}/permissions", json=said)


@pytest.fixture(params=["memory", "folder"])
def folder(request, tmp_path):
    return tmp_path / "kept" if request.param == "folder" else None


@pytest.fixture
async def emulator(folder):
    async with Emulator(folder) as running:
        yield running
        assert not running.in_flight


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        # It would send what was reset once more by itself, unseen.
        session._retry_connection = False
        yield session


@pytest.fixture
def make_caller():
    return Caller


@pytest.fixture
def app(http, emulator):
    return Caller(http, emulator, "app", "ada")


@pytest.fixture
def product(http, emulator):
    return Caller(http, emulator, "product", "ada")


@pytest.fixture(params=["app", "product"])
def ada(request, http, emulator):
    return Caller(http, emulator, request.param, "ada")


@pytest.fixture
def grace(ada):
    return ada.be("grace")
