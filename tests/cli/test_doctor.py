import asyncio
import socket
import ssl
import time
from email.utils import formatdate

import pytest
import trustme

from domo_files_async.emulator import Emulator


@pytest.fixture(autouse=True)
def _at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (
        "HTTPS_PROXY",
        "https_proxy",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def examine(run):
    """Examine in a thread, while servers run here; give the exit code and each check."""

    async def examine(*words):
        ended = await asyncio.to_thread(run, "doctor", "--json", *words)
        assert ended.err == ""
        return ended.code, {one["check"]: one for one in ended.lines}

    return examine


@pytest.fixture
async def serve():
    """Serve one answer to all, over TLS or not."""
    servers = []

    async def serve(answer, context=None):
        async def handle(reader, writer):
            try:
                while await reader.readuntil(b"\r\n\r\n"):
                    writer.write(answer)
            except asyncio.IncompleteReadError:
                writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
        servers.append(server)
        return server.sockets[0].getsockname()[1]

    yield serve
    for server in servers:
        server.close()


@pytest.fixture
def use(monkeypatch):
    def use(url, credential="token", *, app=False):
        monkeypatch.setenv("DOMO_URL" if app else "DOMO_INSTANCE", url)
        monkeypatch.setenv("DOMO_APP_SESSION" if app else "DOMO_ACCESS_TOKEN", credential)

    return use


@pytest.mark.parametrize("app", [False, True])
async def test_where_all_is_well_each_check_says_so(examine, emulator, use, app):
    secret = emulator.credential("ada")
    use(emulator.url, secret, app=app)
    code, checks = await examine()
    assert code == 0
    assert list(checks) == [
        "settings", "instance", "proxy", "connection", "clock", "surface", "credential"
    ]  # fmt: skip
    assert all(one["ok"] and not one["advice"] for one in checks.values())
    assert secret not in str(checks)
    assert ("/domo/" in checks["surface"]["said"]) == app


@pytest.mark.parametrize("surface", ["app", "product"])
def test_an_emulator_in_a_folder_is_examined_as_well(run, tmp_path, surface):
    ended = run("doctor", "--local", tmp_path / "kept", "--surface", surface, "--json")
    assert (ended.code, ended.err) == (0, "")
    assert all(one["ok"] for one in ended.lines)
    assert ended.lines[0]["said"].startswith("an emulator kept in ")
    assert run("doctor", "--local", tmp_path, "--url", "acme").code == 2


async def test_a_person_gets_a_line_a_check(run, emulator, use):
    use(emulator.url, "wrong")
    ended = await asyncio.to_thread(run, "doctor")
    assert ended.code == 1
    lines = ended.out.splitlines()
    assert lines[0] == "ok      settings: a DeveloperToken from the environment"
    assert lines[-2].startswith("FAILED  credential: ")
    assert "admin pages" in lines[-1]


async def test_nothing_named_is_the_first_mistake(examine):
    code, checks = await examine()
    assert (code, list(checks)) == (1, ["settings"])
    assert "DOMO_ACCESS_TOKEN" in checks["settings"]["said"]


@pytest.mark.parametrize(
    ("instance", "said"),
    [("http://acme.domo.com", "Plain http"), ("https://user@acme", "user"), ("ac me", "spaces")],
)
async def test_an_instance_that_is_no_address_is_told(examine, use, instance, said):
    use(instance)
    code, checks = await examine()
    assert (code, checks["instance"]["ok"]) == (1, False)
    assert said in checks["instance"]["said"]
    assert ".domo.com" in checks["instance"]["advice"]


async def test_a_token_with_a_line_break_is_told_and_not_shown(examine, use):
    use("acme", "secret\nX-Evil: 1")
    code, checks = await examine()
    assert code == 1
    assert "line" in checks["settings"]["said"]
    assert "secret" not in str(checks)


async def test_a_name_that_nobody_has_is_told(examine, use, monkeypatch):
    def nobody(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    use("acme")
    code, checks = await examine()
    assert code == 1
    assert checks["connection"]["said"] == "no host is called acme.domo.com"


async def test_a_port_that_nobody_listens_on_is_told(examine, use):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        use(f"http://127.0.0.1:{taken.getsockname()[1]}")
        code, checks = await examine()
    assert code == 1
    assert "firewall" in checks["connection"]["advice"]
    assert "credential" not in checks


async def test_a_credential_of_another_instance_is_told(examine, emulator, use):
    async with Emulator() as other:
        use(emulator.url, other.credential("ada"))
        code, checks = await examine()
    assert code == 1
    assert not checks["credential"]["ok"]
    assert "401" in checks["credential"]["said"]


async def test_a_place_without_the_files_api_is_told(examine, serve, use):
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    use(f"http://127.0.0.1:{await serve(page)}")
    code, checks = await examine()
    assert (code, checks["surface"]["ok"]) == (1, False)
    assert "--surface" in checks["surface"]["advice"]
    assert checks["clock"]["said"] == "the server doesn't say its time"


@pytest.mark.parametrize(("seconds", "where"), [(-4000, "ahead of"), (4000, "behind")])
async def test_a_clock_that_is_wrong_is_told_and_the_rest_is_still_checked(
    examine, serve, use, seconds, where
):
    date = formatdate(time.time() + seconds, usegmt=True)
    answer = f"HTTP/1.1 401 No\r\nDate: {date}\r\nContent-Length: 0\r\n\r\n"
    use(f"http://127.0.0.1:{await serve(answer.encode())}")
    code, checks = await examine()
    assert code == 1
    assert where in checks["clock"]["said"]
    assert "credential" in checks


async def test_a_certificate_that_isnt_trusted_is_told(examine, serve, use):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    use(f"https://localhost:{await serve(b'', context)}")
    code, checks = await examine()
    assert (code, list(checks)[-1]) == (1, "TLS")
    assert "isn't trusted" in checks["TLS"]["said"]
    assert "SSL_CERT_FILE" in checks["TLS"]["advice"]


async def test_what_speaks_no_tls_is_told(examine, emulator, use):
    use(emulator.url.replace("http:", "https:"))
    code, checks = await examine()
    assert (code, checks["TLS"]["ok"]) == (1, False)
    assert "doesn't speak TLS" in checks["TLS"]["said"]


async def test_a_trusted_certificate_is_well(start, finish, serve, tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"
    process = await start(
        "doctor",
        DOMO_INSTANCE=f"https://localhost:{await serve(answer, context)}",
        DOMO_ACCESS_TOKEN="token",
        SSL_CERT_FILE=str(tmp_path / "ca.pem"),
    )
    ended = await finish(process)
    assert (ended.code, ended.err) == (0, "")
    assert "TLS: TLSv1.3, with a certificate that is trusted" in ended.out


async def test_a_proxy_of_the_environment_is_told(examine, use, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    use("https://localhost.invalid:1")
    code, checks = await examine()
    assert code == 1
    assert checks["proxy"]["said"] == "HTTPS_PROXY is set, and isn't used here"
    assert "trust_env=True" in checks["proxy"]["advice"]
