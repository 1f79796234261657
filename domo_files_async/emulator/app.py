"""The emulator: routes of both surfaces to handlers, and the context manager that serves them."""

from __future__ import annotations

import asyncio
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import attrs
from aiohttp import ClientError, web

from domo_files_async.emulator import files, multipart, permissions
from domo_files_async.emulator.console import Console
from domo_files_async.emulator.content import read_blobs
from domo_files_async.emulator.exchange import Exchange, ResetError
from domo_files_async.emulator.faults import Behaviour, Fault, Faults, ReceivedRequest
from domo_files_async.emulator.rules import Refusal, error_body
from domo_files_async.emulator.store import Store

if TYPE_CHECKING:
    import os
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from domo_files_async.auth import Auth
    from domo_files_async.config import Surface
    from domo_files_async.emulator.store import User
    from domo_files_async.session import DomoFilesSession

__all__ = ("Emulator",)

_BASES = {"/domo/data-files/v1": False, "/api/data/v1/data-files": True}
_ME = "/api/content/v2/users/me"
_MAINTENANCE = "<html><head><title>Domo Maintenance</title></head><body>Be right back</body></html>"
_READ_BUFFER = 512 * 1024
_PATIENCE = 0.1
_DOWNLOAD = "open_download"
_INDEX = re.compile("[0-9]{1,9}")
_OPEN = frozenset({"open", "committing"})


@attrs.frozen
class Route:
    """One endpoint: the operation's name, how its path looks under a base, and who answers."""

    operation: str
    method: str
    pattern: re.Pattern[str]
    handler: Callable[[Exchange], Awaitable[web.StreamResponse]]
    product_only: bool


def _route(
    operation: str,
    method: str,
    path: str,
    handler: Callable[[Exchange], Awaitable[web.StreamResponse]],
    *,
    product_only: bool = False,
) -> Route:
    pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))
    return Route(operation, method, pattern, handler, product_only)


_FILE = "/{file_id}"
_REVISION = "/{file_id}/revisions/{revision_id}"
_SESSION = "/multipart/{session_id}"
_ROUTES = (
    _route("upload_file", "POST", "", files.upload_file),
    _route("list_files", "GET", "/details/?", files.list_files),
    _route("create_multipart_session", "POST", "/multipart", multipart.create_session),
    _route("upload_part", "PUT", _SESSION + "/part/{index}", multipart.upload_part),
    _route("commit_multipart_session", "POST", _SESSION + "/commit", multipart.commit),
    _route("abort_multipart_session", "POST", _SESSION + "/abort", multipart.abort),
    _route(
        "copy_revision",
        "POST",
        "/copy/{file_id}/revisions/current/{target_id}",
        files.copy_revision,
        product_only=True,
    ),
    _route("get_file", "GET", _FILE + "/details", files.get_file),
    _route("get_permissions", "GET", _FILE + "/permissions", permissions.get_permissions),
    _route("update_permissions", "PUT", _FILE + "/permissions", permissions.update_permissions),
    _route(
        "create_multipart_update_session",
        "POST",
        _FILE + "/multipart",
        multipart.create_update_session,
    ),
    _route(
        "list_revisions",
        "GET",
        _FILE + "/revisions/details",
        files.list_revisions,
        product_only=True,
    ),
    _route("get_revision", "GET", _REVISION + "/details", files.get_revision, product_only=True),
    _route("duplicate_file", "POST", _FILE + "/duplicate", files.duplicate_file, product_only=True),
    _route("open_download", "GET", _REVISION, files.download),
    _route("delete_revision", "DELETE", _REVISION, files.delete_revision),
    _route("upload_revision", "PUT", _FILE, files.upload_revision),
    _route("open_download", "GET", _FILE, files.download),
    _route("delete_file", "DELETE", _FILE, files.delete_file, product_only=True),
)
_ME_ROUTE = _route("get_current_user", "GET", "", files.get_current_user, product_only=True)


class Emulator:
    """The Files API on a loopback address, for as long as its `async with` lasts.

    Args:
        folder: Where files are kept; `None` for memory.
        port: By default any that is free.
        behaviour: What the real service may do in one way or another.

    Attributes:
        url: Where it is.
        behaviour: The same; may be changed while it runs.
        faults: What goes wrong on purpose.
        requests: What arrived, in order.
        in_flight: Requests that are being answered.
        max_in_flight: The most that there were at once.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        port: int = 0,
        behaviour: Behaviour | None = None,
    ) -> None:
        self._store = Store(None if folder is None else Path(folder))
        self._folder = folder
        self._port = port
        self._runner: web.ServerRunner | None = None
        self._closing = asyncio.Event()
        self.url = ""
        self._console = Console(self, self._store)
        self.behaviour = behaviour or Behaviour()
        self.faults = Faults()
        self.requests: list[ReceivedRequest] = []
        self.in_flight = 0
        self.max_in_flight = 0

    async def __aenter__(self) -> Self:
        if self._runner is not None:
            raise RuntimeError("An emulator can be entered once: make another one of its folder")
        server = web.Server(self._answer, access_log=None, read_bufsize=_READ_BUFFER)
        self._runner = web.ServerRunner(server, shutdown_timeout=_PATIENCE)
        try:
            await self._store.open()
            await self._runner.setup()
            await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        except BaseException:
            await self._close(self._runner)
            raise
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._runner is not None
        await self._close(self._runner)

    async def _close(self, runner: web.ServerRunner) -> None:
        self._closing.set()
        await runner.cleanup()
        await self._store.close()

    def __repr__(self) -> str:
        where = "memory" if self._folder is None else str(self._folder)
        return f"<Emulator of {where} at {self.url or 'no address yet'}>"

    @property
    def console_url(self) -> str:
        """Where a browser shows what is here; who has this address may see and do everything."""
        return f"{self.url}/#key={self._console.key}"

    def credential(self, name: str) -> str:
        """Give a user's credential, the same for both surfaces.

        Args:
            name: The user's; who wasn't named before comes into being.

        Returns:
            What `DeveloperToken` and `AppSession` take.
        """
        return self._store.user(name).credential

    def user_id(self, name: str) -> int:
        """Give a user's id.

        Args:
            name: The user's; who wasn't named before comes into being.

        Returns:
            The id, as `PermissionEntry` takes it.
        """
        return self._store.user(name).id

    def auth(self, name: str, surface: Surface | None = None) -> Auth:
        """Give a user's credential: a `DeveloperToken`, on the app surface an `AppSession`.

        Args:
            name: The user's; who wasn't named before comes into being.
            surface: Which of the two; `None` for the product surface.

        Returns:
            The credential, as a session takes it.

        Raises:
            InvalidArgumentError: *surface* is something else.
        """
        from domo_files_async.emulator import conveniences  # noqa: PLC0415 - a server needs none

        return conveniences.make_auth(self.credential(name), surface)

    def session(
        self, name: str, *, surface: Surface | None = None, **options: Any
    ) -> DomoFilesSession:
        """Give a session of a user's on this emulator.

        Args:
            name: The user's; who wasn't named before comes into being.
            surface: Which of the two; `None` for the product surface.
            options: Keywords of `DomoFilesSession`, but for `auth`.

        Returns:
            A session that isn't entered yet.

        Raises:
            InvalidArgumentError: The emulator wasn't entered yet, or an argument can't be right.
        """
        from domo_files_async.emulator import conveniences  # noqa: PLC0415 - a server needs none

        return conveniences.make_session(self.url, self.credential(name), surface, **options)

    @property
    def scan_state(self) -> str:
        """What the virus scan says of new revisions; the same as `behaviour.scan_state`."""
        return self.behaviour.scan_state

    @scan_state.setter
    def scan_state(self, state: str) -> None:
        self.behaviour.scan_state = state

    @property
    def open_sessions(self) -> list[str]:
        """Ids of the multipart sessions that are neither committed nor aborted."""
        return [one.id for one in self._store.sessions.values() if one.state in _OPEN]

    @property
    def files(self) -> dict[int, list[int]]:
        """Ids of the data files, with those of their revisions, oldest first."""
        return {file.id: [one.id for one in file.revisions] for file in self._store.files.values()}

    async def content(self, data_file_id: int, revision_id: int | None = None) -> bytes:
        """Give the bytes of a revision.

        Args:
            data_file_id: The data file.
            revision_id: Which revision; `None` for the current one.

        Returns:
            All of them.

        Raises:
            KeyError: There is none.
        """
        revisions = {one.id: one for one in self._store.files[data_file_id].revisions}
        chosen = revisions[max(revisions) if revision_id is None else revision_id]
        store = self._store
        chunks = read_blobs(store.vault, store.workers, chosen.blobs, 0, chosen.size)
        return b"".join([chunk async for chunk in chunks])

    async def set_scan_state(self, data_file_id: int, state: str) -> None:
        """Change what the virus scan says of the current revision."""
        file = self._store.files[data_file_id]
        file.revisions[-1].scan_state = state
        await self._store.save(file)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._console.serves(request):
            return await self._console.answer(request)
        is_product, route, parameters = _find_route(request)
        received = ReceivedRequest(
            route.operation if route else "",
            request.method,
            request.raw_path.partition("?")[0],
            dict(request.query.items()),
            request.headers,
            at=files.now(),
        )
        index = parameters.get("index", "")
        fault = self.faults.take(
            received.operation,
            int(index) if _INDEX.fullmatch(index) else None,
            parameters.get("session_id"),
        )
        received.fault = fault
        exchange = Exchange(
            request,
            store=self._store,
            behaviour=self.behaviour,
            closing=self._closing,
            fault=fault,
            received=received,
            parameters=parameters,
            is_product=is_product is not False,
        )
        self.requests.append(received)
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            reply = await self._reply(exchange, fault, route, is_known=is_product is not None)
        except (ResetError, ConnectionError, ClientError):
            # Nobody is there any more; what is given back here is not sent.
            return web.Response()
        finally:
            self.in_flight -= 1
            received.took = files.now() - received.at
        received.status = reply.status
        return reply

    async def _reply(
        self, exchange: Exchange, fault: Fault | None, route: Route | None, *, is_known: bool
    ) -> web.StreamResponse:
        if fault and fault.reset == "before":
            exchange.reset()
        if fault and fault.reset == "body" and not (route and route.operation == _DOWNLOAD):
            await exchange.drain()
        if fault and (fault.status or fault.maintenance):
            return await _faulty(exchange, fault)
        try:
            reply = await self._handle(exchange, route, is_known=is_known)
        except Refusal as refusal:
            reply = _refused(refusal)
        if not reply.prepared:
            await exchange.strike()
        if fault and fault.reset == "after":
            exchange.reset()
        return reply

    async def _handle(
        self, exchange: Exchange, route: Route | None, *, is_known: bool
    ) -> web.StreamResponse:
        if not is_known:
            raise Refusal(404, "There is no such path.")
        self._check_number()
        exchange.user = self._user(exchange)
        if route is None:
            raise Refusal(404, "There is no such path.")
        if route.product_only and not exchange.is_product:
            raise Refusal(404, "There is no such path on this surface.")
        return await route.handler(exchange)

    def _check_number(self) -> None:
        most, wait = self.behaviour.most_at_once, self.behaviour.retry_after
        if most is not None and self.in_flight > most:
            headers = {} if wait is None else {"Retry-After": wait}
            status = self.behaviour.too_many_status
            raise Refusal(status, "There are too many requests at once.", headers)

    def _user(self, exchange: Exchange) -> User:
        if exchange.is_product:
            given = exchange.headers.get("X-DOMO-Developer-Token")
        else:
            given = exchange.headers.get("X-DOMO-Ryuu-Session")
            given = given or exchange.headers.get("X-DOMO-Ryuu-Token")
        user = self._store.user_of(given) if given else None
        if user is None:
            status = self.behaviour.bad_credential_status
            raise Refusal(status, "The credential is missing or not known.")
        return user


def _find_route(request: web.BaseRequest) -> tuple[bool | None, Route | None, dict[str, str]]:
    """Say which surface it is (`None`: neither), which endpoint, and with which parameters."""
    path = request.path
    if path == _ME and request.method == "GET":
        return True, _ME_ROUTE, {}
    for base, is_product in _BASES.items():
        if path.startswith(base):
            rest = path[len(base) :]
            for route in _ROUTES:
                match = route.pattern.fullmatch(rest)
                if match is not None and route.method == request.method:
                    return is_product, route, match.groupdict()
            return is_product, None, {}
    return None, None, {}


async def _faulty(exchange: Exchange, fault: Fault) -> web.StreamResponse:
    if not fault.early:
        await exchange.drain()
    await exchange.strike()
    status = fault.status or 503
    if fault.maintenance:
        reply = web.Response(text=_MAINTENANCE, status=status, content_type="text/html")
    elif fault.body is None or isinstance(fault.body, dict):
        said = fault.body or error_body(status, "A fault was asked for.", _toe())
        reply = web.json_response(said, status=status)
    else:
        data = fault.body.encode() if isinstance(fault.body, str) else fault.body
        reply = web.Response(body=data, status=status)
    reply.headers.update(fault.headers)
    if fault.early:
        reply.force_close()
    return reply


def _refused(refusal: Refusal) -> web.Response:
    said = error_body(refusal.status, refusal.message, _toe())
    return web.json_response(said, status=refusal.status, headers=refusal.headers)


def _toe() -> str:
    return secrets.token_hex(5).upper()
