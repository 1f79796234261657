"""`doctor`: the usual mistakes, looked for one after the other, and what to do about each."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
from email.parser import Parser
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import attrs
import typer

from domo_files_async.cli import running
from domo_files_async.cli.credentials import read_settings
from domo_files_async.cli.output import show
from domo_files_async.cli.target import (
    Json,
    Local,
    LocalUser,
    SurfaceChoice,
    Url,
    choose,
    open_emulator,
)
from domo_files_async.config import RetryPolicy, Surface, Timeouts
from domo_files_async.errors import (
    AuthenticationError,
    DomoFilesError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    UnexpectedResponseError,
)
from domo_files_async.protocol.surface import parse_instance, surface_rules

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from domo_files_async.auth import Auth
    from domo_files_async.protocol.surface import Instance

__all__ = ("register",)

_PATIENCE = 10
_SKEW = 300
_LONGEST_HEAD = 64 * 1024
_PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")


@attrs.frozen
class Finding:
    """What one check found, and what to do about it."""

    check: str
    ok: bool
    said: str
    advice: str = ""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(
    *,
    local: Local = None,
    user: LocalUser = "ada",
    url: Url = None,
    surface: SurfaceChoice = None,
    as_json: Json = False,
) -> None:
    """Look for the usual mistakes, and say what to do.

    Nothing is uploaded or changed, and no credential is shown.
    """

    async def work() -> bool:
        well = True
        async for found in _examine(local, user, url, surface):
            well = well and found.ok
            advice = f"\n        {found.advice}" if found.advice else ""
            mark = "ok    " if found.ok else "FAILED"
            show(found, as_json=as_json, text=f"{mark}  {found.check}: {found.said}{advice}")
        return well

    if not running.run(work()):
        raise typer.Exit(1)


async def _examine(
    local: Path | None, user: str, url: str | None, surface: Surface | None
) -> AsyncIterator[Finding]:
    """Check one thing after the other; what a failed one is needed for isn't checked."""
    if local is not None:
        if url is not None:
            raise InvalidArgumentError("Give --local or --url, not both")
        async with open_emulator(local) as emulator:
            yield Finding("settings", ok=True, said=f"an emulator kept in {local}")
            auth = emulator.auth(user, surface=surface)
            async for found in _examine_instance(emulator.url, auth, surface or Surface.PRODUCT):
                yield found
        return
    try:
        settings = read_settings()
        address, auth, chosen = choose(settings, url, surface)
    except InvalidArgumentError as error:
        yield Finding("settings", ok=False, said=str(error))
        return
    yield Finding("settings", ok=True, said=f"a {type(auth).__name__} from {settings.source}")
    async for found in _examine_instance(address, auth, chosen):
        yield found


async def _examine_instance(address: str, auth: Auth, surface: Surface) -> AsyncIterator[Finding]:
    try:
        instance = parse_instance(address)
    except InvalidArgumentError as error:
        advice = "It is the part before .domo.com in the browser's address, or that whole address"
        yield Finding("instance", ok=False, said=str(error), advice=advice)
        return
    yield Finding("instance", ok=True, said=f"{instance.origin}{instance.prefix}")
    yield _examine_proxy(instance)
    well = True
    async for found in _examine_line(instance):
        well = well and (found.ok or found.check == "clock")
        yield found
    if well:
        async for found in _examine_answer(address, auth, surface, instance.prefix):
            yield found


def _examine_proxy(instance: Instance) -> Finding:
    named = [name for name in _PROXIES if os.environ.get(name)]
    if not named or instance.is_loopback:
        return Finding("proxy", ok=True, said="none is used")
    return Finding(
        "proxy",
        ok=True,
        said=f"{named[0]} is set, and isn't used here",
        advice="If there is no other way out: a session in Python uses it with trust_env=True",
    )


async def _examine_line(instance: Instance) -> AsyncIterator[Finding]:
    """Check the way to the instance: its name, the connection, TLS and the clocks."""
    parts = urlsplit(instance.origin)
    is_tls = parts.scheme == "https"
    host, port = instance.host, parts.port or (443 if is_tls else 80)
    try:
        async with asyncio.timeout(_PATIENCE):
            reader, writer = await asyncio.open_connection(host, port, limit=_LONGEST_HEAD)
    except socket.gaierror:
        yield Finding(
            "connection",
            ok=False,
            said=f"no host is called {host}",
            advice="Check the instance's name: it is the part before .domo.com in the browser",
        )
        return
    except OSError as error:
        why = "doesn't answer" if isinstance(error, TimeoutError) else f"can't be reached: {error}"
        yield Finding(
            "connection",
            ok=False,
            said=f"{host} port {port} {why}",
            advice="Is there a firewall between, or a proxy that must be used?",
        )
        return
    yield Finding("connection", ok=True, said=f"{host} port {port} answers")
    try:
        if is_tls:
            found = await _examine_tls(writer, host)
            yield found
            if not found.ok:
                return
        yield await _examine_clock(reader, writer, parts.netloc)
    finally:
        writer.close()


async def _examine_tls(writer: asyncio.StreamWriter, host: str) -> Finding:
    try:
        async with asyncio.timeout(_PATIENCE):
            await writer.start_tls(ssl.create_default_context(), server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        return Finding(
            "TLS",
            ok=False,
            said=f"the certificate of {host} isn't trusted: {error.verify_message}",
            advice="If a proxy of your company's looks into TLS, let SSL_CERT_FILE name its "
            "certificate; if the name doesn't match, the instance is misspelt",
        )
    except OSError as error:
        why = error.reason if isinstance(error, ssl.SSLError) else error
        return Finding(
            "TLS",
            ok=False,
            said=f"{host} doesn't speak TLS 1.2 or newer ({why})",
            advice="Is the port right, and is nothing between here and Domo?",
        )
    version = writer.get_extra_info("ssl_object").version()
    return Finding("TLS", ok=True, said=f"{version}, with a certificate that is trusted")


async def _examine_clock(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, netloc: str
) -> Finding:
    writer.write(f"HEAD / HTTP/1.1\r\nHost: {netloc}\r\nConnection: close\r\n\r\n".encode())
    try:
        async with asyncio.timeout(_PATIENCE):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        theirs = parsedate_to_datetime(Parser().parsestr(head.partition("\r\n")[2])["date"])
    except (OSError, ValueError, TypeError, EOFError, asyncio.LimitOverrunError):
        return Finding("clock", ok=True, said="the server doesn't say its time")
    ahead = time.time() - theirs.timestamp()
    if abs(ahead) <= _SKEW:
        return Finding("clock", ok=True, said="agrees with the server's")
    where = "ahead of" if ahead > 0 else "behind"
    return Finding(
        "clock",
        ok=False,
        said=f"this machine's clock is {abs(ahead):.0f} s {where} the server's",
        advice="Set it: certificates and credentials are valid by the clock",
    )


async def _examine_answer(
    address: str, auth: Auth, surface: Surface, prefix: str
) -> AsyncIterator[Finding]:
    """Ask for one data file, which need not be there, to see whether the credential is taken."""
    # What moves bytes takes longer to import than help does to show.
    from domo_files_async.session import DomoFilesSession  # noqa: PLC0415

    base = surface_rules(surface, prefix=prefix).base
    said = f"the Files API answers under {base}"
    try:
        async with DomoFilesSession(
            address,
            auth=auth,
            surface=surface,
            retry=RetryPolicy(max_attempts=1),
            timeouts=Timeouts(connect=_PATIENCE, stall=_PATIENCE),
        ) as domo:
            await domo.list_files(ids=[1])
    except (AuthenticationError, PermissionDeniedError) as error:
        yield Finding(
            "credential",
            ok=False,
            said=str(error),
            advice="An access token is made in the admin pages of this very instance, and is for "
            f"the product surface; this was the {surface.value} surface",
        )
    except (NotFoundError, UnexpectedResponseError) as error:
        yield Finding(
            "surface",
            ok=False,
            said=f"there is no Files API under {base}: {error}",
            advice="Services with an access token use --surface product, Domo apps --surface app",
        )
    except DomoFilesError as error:
        yield Finding("surface", ok=False, said=str(error))
    else:
        yield Finding("surface", ok=True, said=said)
        yield Finding("credential", ok=True, said="is taken")
