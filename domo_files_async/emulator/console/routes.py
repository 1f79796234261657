"""Who may ask the console, and what its routes answer.

Rule 1: nothing here touches the API's paths, and what the page does to files goes over the API.
Rule 2: a web page from elsewhere gets nothing. The host must be a name of this machine, so that no
foreign name can be bound to it; the origin must be the console's own; and what tells or changes
anything wants the key, which is told to who started the emulator and is in no answer.
"""

from __future__ import annotations

import json
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from domo_files_async.emulator.console.view import show

if TYPE_CHECKING:
    from domo_files_async.emulator.app import Emulator
    from domo_files_async.emulator.store import Store

__all__ = ("Console",)

_ROUTES = "/_emulator/"
_FOLDER = Path(__file__).parent
_ASSETS = {
    "/": ("console.html", "text/html"),
    _ROUTES + "console.css": ("console.css", "text/css"),
    _ROUTES + "console.js": ("console.js", "text/javascript"),
}
_KEY = "X-Emulator-Key"
_LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)
_SAME_SITE = {"same-origin", "none"}
_ID = re.compile("[0-9]{1,18}")
_LARGEST_BODY = 64 * 1024
_NUMBER, _SECONDS, _FLAG, _TEXT = (int,), (int, float), (bool,), (str,)
_TYPES: dict[str, tuple[type, ...]] = {
    "operation": _TEXT,
    "part": _NUMBER,
    "nth": _NUMBER,
    "session_id": _TEXT,
    "times": (int, type(None)),
    "status": _NUMBER,
    "headers": (dict,),
    "body": (str, dict),
    "maintenance": _FLAG,
    "early": _FLAG,
    "reset": _TEXT,
    "stall": _SECONDS,
    "rate": _SECONDS,
    "corrupt": _FLAG,
    "truncate": _FLAG,
}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Console:
    """The page's files, and the routes that it asks.

    Args:
        emulator: What is shown, and given faults.
        store: Its facts.

    Attributes:
        key: What the routes want to be told.
    """

    def __init__(self, emulator: Emulator, store: Store) -> None:
        self._emulator = emulator
        self._store = store
        self.key = secrets.token_urlsafe(24)

    def serves(self, request: web.BaseRequest) -> bool:
        """Say whether a request is the console's and not the API's."""
        if request.path == "/":
            return request.method == "GET"
        return request.path.startswith(_ROUTES)

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Answer a request of the page's."""
        try:
            reply = await self._answer(request)
        except _RefusedError as refused:
            reply = web.json_response({"message": str(refused)}, status=refused.status)
        reply.headers.update(_HEADERS)
        return reply

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        host = request.headers.get("Host", "")
        if not _LOOPBACK.fullmatch(host):
            raise _RefusedError(403, "The console answers to the names of this machine only.")
        if request.method == "GET" and request.path in _ASSETS:
            name, content_type = _ASSETS[request.path]
            body = await self._store.workers.run((_FOLDER / name).read_bytes)
            return web.Response(body=body, content_type=content_type, charset="utf-8")
        self._check(request, f"http://{host}")
        return web.json_response(await self._perform(request))

    def _check(self, request: web.BaseRequest, own_origin: str) -> None:
        site = request.headers.get("Sec-Fetch-Site", "none")
        if request.headers.get("Origin", own_origin) != own_origin or site not in _SAME_SITE:
            raise _RefusedError(403, "Only the console's own page may ask this.")
        key = request.headers.get(_KEY, "").encode(errors="replace")
        if not secrets.compare_digest(key, self.key.encode()):
            raise _RefusedError(401, "Open the console by the address that the emulator gives.")

    async def _perform(self, request: web.BaseRequest) -> dict[str, Any]:
        faults = self._emulator.faults
        match request.method, *request.path.removeprefix(_ROUTES).split("/"):
            case "GET", "state":
                asked = request.query.get("file", "")
                return show(
                    self._store,
                    faults,
                    self._emulator.requests,
                    search=request.query.get("search", ""),
                    file_id=int(asked) if _ID.fullmatch(asked) else None,
                )
            case "POST", "users":
                name = (await _read(request)).get("name")
                if not isinstance(name, str) or not name.strip():
                    raise _RefusedError(400, "A user needs a name.")
                return {"id": self._emulator.user_id(name.strip())}
            case "POST", "faults":
                try:
                    return {"id": str(id(faults.add(**_words(await _read(request)))))}
                except (TypeError, ValueError) as error:
                    raise _RefusedError(400, str(error)) from None
            case "DELETE", "faults":
                faults.clear()
                return {}
            case "DELETE", "faults", fault_id:
                for fault in [one for one in faults if str(id(one)) == fault_id]:
                    faults.remove(fault)
                return {}
        raise _RefusedError(404, "There is no such path.")


class _RefusedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def _read(request: web.BaseRequest) -> dict[str, Any]:
    body = bytearray()
    while len(body) <= _LARGEST_BODY and (piece := await request.content.readany()):
        body += piece
    if len(body) > _LARGEST_BODY:
        raise _RefusedError(413, "The request body is too large.")
    try:
        value = json.loads(body)
    except ValueError:
        raise _RefusedError(400, "The request body is no JSON.") from None
    if not isinstance(value, dict):
        raise _RefusedError(400, "The request body must be a JSON object.")
    return value


def _words(said: dict[str, Any]) -> dict[str, Any]:
    """Read a fault's words; what they may be is the fault's to check, of what type isn't."""
    for word, value in said.items():
        types = _TYPES.get(word, ())
        if not isinstance(value, types) or isinstance(value, bool) > (bool in types):
            raise _RefusedError(400, f"A fault has no word {word}={value!r}.")
    headers = said.get("headers", {})
    if not all(isinstance(one, str) for one in headers.values()):
        raise _RefusedError(400, "Headers must be texts.")
    return said
