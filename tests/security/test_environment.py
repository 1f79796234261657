"""What the environment, the network and this process's own sockets may do."""

import asyncio
import os
import re
import socket
import ssl
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

import domo_files_async
from domo_files_async import (
    ConnectError,
    DeveloperToken,
    DomoFilesSession,
    InvalidArgumentError,
    RetryPolicy,
)
from domo_files_async.emulator import Emulator
from tests.servers import ScriptedServer, answer

PROXIES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
ROOT = Path(domo_files_async.__file__).parent


@pytest.fixture
def emptied(monkeypatch, tmp_path):
    """Give an environment without proxies, and a home of its own."""
    for name in (*PROXIES, "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


async def reply(connection):
    while True:
        await connection.request()
        await connection.send(answer(200, b"[]", {"Content-Type": "application/json"}))


async def test_proxies_and_netrc_of_the_environment_are_used_only_where_asked(emptied, monkeypatch):
    (emptied / ".netrc").write_text("machine 127.0.0.1 login ada password lovelace")
    (emptied / ".netrc").chmod(0o600)
    async with ScriptedServer(reply) as proxy, ScriptedServer(reply) as server:
        for name in PROXIES:
            monkeypatch.setenv(name, proxy.origin)
        async with DomoFilesSession(server.origin, auth=DeveloperToken("secret")) as domo:
            await domo.list_files()
        assert not proxy.connections
        (head,) = server.connections[0].heads
        assert "authorization" not in head.headers
        async with DomoFilesSession(
            server.origin, auth=DeveloperToken("secret"), trust_env=True
        ) as domo:
            await domo.list_files()
        assert len(proxy.connections) == 1
        assert len(server.connections) == 1


@pytest.fixture
def listening(monkeypatch):
    """Give the addresses that anything in this process listens on from now on."""
    addresses = []
    listen = socket.socket.listen

    def noted(self, *arguments):
        listen(self, *arguments)
        addresses.append(self.getsockname()[0])

    monkeypatch.setattr(socket.socket, "listen", noted)
    return addresses


async def test_nothing_listens_but_an_emulator_and_that_on_loopback_only(
    listening, tmp_path, monkeypatch
):
    server = Emulator(tmp_path / "kept")
    assert listening == []
    async with server as emulator:
        assert listening == ["127.0.0.1"]
        async with emulator.session("ada") as domo:
            (tmp_path / "file").write_bytes(bytes(100_000))
            number = (await domo.upload(tmp_path / "file")).data_file_id
            await domo.download(number, tmp_path / "back")
        assert listening == ["127.0.0.1"]
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as gone:
        gone.settimeout(1)
        assert gone.connect_ex(("127.0.0.1", int(emulator.url.rpartition(":")[2]))) != 0


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
async def test_a_server_that_speaks_only_an_old_tls_gets_nothing(version, monkeypatch, tmp_path):
    authority = trustme.CA()
    old = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(old)
    old.minimum_version = old.maximum_version = version
    old.set_ciphers("ALL:@SECLEVEL=0")
    async with ScriptedServer(reply, tls=old) as server:
        ours = ssl.create_default_context()
        authority.configure_trust(ours)
        once = RetryPolicy(max_attempts=1)
        async with DomoFilesSession(
            server.origin, auth=DeveloperToken("secret"), ssl=ours, retry=once
        ) as domo:
            with pytest.raises(ConnectError):
                await domo.list_files()
        assert not [head for one in server.connections for head in one.heads]
        # The server does speak it to whoever asks for it.
        lenient = ssl.create_default_context()
        authority.configure_trust(lenient)
        lenient.minimum_version = version
        lenient.set_ciphers("ALL:@SECLEVEL=0")
        async with DomoFilesSession(
            server.origin, auth=DeveloperToken("secret"), ssl=lenient
        ) as domo:
            assert await domo.list_files() == []


def test_the_default_of_tls_is_verified_and_new_enough():
    from domo_files_async.transport import wire  # noqa: PLC0415 - to see what it hands to aiohttp

    default = wire.aiohttp.connector._SSL_CONTEXT_VERIFIED
    assert default.verify_mode is ssl.CERT_REQUIRED
    assert default.check_hostname
    assert default.minimum_version >= ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("flag", [False, True, 0, "no"])
def test_no_flag_turns_verification_off(flag):
    with pytest.raises(InvalidArgumentError, match="SSLContext"):
        DomoFilesSession("acme", auth=DeveloperToken("secret"), ssl=flag)


async def test_a_tls_connection_that_is_closed_with_its_answer_harms_nothing():
    authority = trustme.CA()
    theirs, ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(theirs)
    authority.configure_trust(ours)

    def serve(listener):
        raw, _ = listener.accept()
        raw.settimeout(10)
        with theirs.wrap_socket(raw, server_side=True) as connection, suppress(OSError):
            connection.recv(65536)
            connection.sendall(answer(200, b"[]", {"Connection": "close"}))
            connection.unwrap()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        serving = asyncio.create_task(asyncio.to_thread(serve, listener))
        origin = f"https://127.0.0.1:{listener.getsockname()[1]}"
        async with DomoFilesSession(origin, auth=DeveloperToken("secret"), ssl=ours) as domo:
            assert await domo.list_files() == []
        await serving


def test_no_line_of_the_package_turns_verification_off():
    words = re.compile(r"CERT_NONE|check_hostname *=|_create_unverified|verify *= *False|ssl=False")
    for path in ROOT.rglob("*.py"):
        assert not words.search(path.read_text("utf-8")), path


def test_no_line_of_the_package_loads_what_could_run():
    words = re.compile(r"\b(pickle\.loads?|marshal|yaml\.load|eval\(|exec\(|os\.system|shell=True)")
    for path in ROOT.rglob("*.py"):
        assert not words.search(path.read_text("utf-8")), path


def test_the_environment_is_read_in_few_places():
    found = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.py")
        if "os.environ" in path.read_text("utf-8")
    }
    assert found <= {
        "cli/bulk.py",
        "cli/credentials.py",
        "cli/doctor.py",
        "fsspec/filesystem.py",
        "session.py",
    }
    assert "DOMO_ACCESS_TOKEN" not in os.environ
