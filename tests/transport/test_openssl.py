"""The extra's TLS trusts whom the standard library trusts, and nobody else."""

from __future__ import annotations

import datetime as dt
import ssl

import pytest
import trustme

from domo_files_async import DeveloperToken, DomoFilesSession, InvalidArgumentError
from domo_files_async.errors import ConnectError
from domo_files_async.openssl import OpenSSLContext
from tests.servers import ScriptedServer, answer
from tests.transport.tools import opened, read, request

LONG_AGO = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)


async def script(connection):
    while True:
        await connection.head()
        await connection.send(answer(200, b"ok"))


def server_context(certificate, **versions):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    for name, version in versions.items():
        setattr(context, name, version)
    return context


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def trusted(authority, tmp_path_factory):
    path = tmp_path_factory.mktemp("authority") / "certificate.pem"
    authority.cert_pem.write_to_path(path)
    return path


@pytest.fixture(scope="module", params=["standard library", "extra"])
def trusting(request, trusted):
    """Give what trusts the authority, either way: what is refused is refused by both."""
    if request.param == "extra":
        return OpenSSLContext(trusted)
    return ssl.create_default_context(cafile=trusted)


async def asked(theirs, ours, *, host="127.0.0.1"):
    async with ScriptedServer(script, tls=theirs) as server:
        server.origin = f"https://{host}:{server.port}"
        async with opened(server, ssl=ours) as http:
            try:
                return await http.send(request("GET", reader=read))
            finally:
                assert len([one for one in server.connections if one.heads]) <= 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_server_of_its_name_is_trusted(authority, trusting, host, version):
    theirs = server_context(authority.issue_cert(host), maximum_version=version)
    assert await asked(theirs, trusting, host=host) == b"ok"


@pytest.mark.parametrize(
    ("issued", "host"),
    [
        ("localhost", "127.0.0.1"),
        ("127.0.0.1", "localhost"),
        ("127.0.0.2", "127.0.0.1"),
        ("*.localhost", "localhost"),
        ("localhost.example.com", "localhost"),
    ],
)
async def test_a_server_of_another_name_is_not_trusted(authority, trusting, issued, host):
    theirs = server_context(authority.issue_cert(issued))
    with pytest.raises(ConnectError, match="isn't trusted"):
        await asked(theirs, trusting, host=host)


async def test_a_certificate_that_has_expired_is_not_trusted(authority, trusting):
    theirs = server_context(authority.issue_cert("127.0.0.1", not_after=LONG_AGO))
    with pytest.raises(ConnectError, match=r"isn't trusted \(certificate has expired"):
        await asked(theirs, trusting)


async def test_a_certificate_of_a_stranger_is_not_trusted(trusting):
    stranger = server_context(trustme.CA().issue_cert("127.0.0.1"))
    with pytest.raises(ConnectError, match=r"isn't trusted \(unable to get local issuer"):
        await asked(stranger, trusting)


async def test_by_default_only_whom_the_system_trusts_is_trusted(authority):
    theirs = server_context(authority.issue_cert("127.0.0.1"))
    with pytest.raises(ConnectError, match="isn't trusted"):
        await asked(theirs, OpenSSLContext())


async def test_whom_the_environment_names_is_trusted(authority, trusted, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    theirs = server_context(authority.issue_cert("127.0.0.1"))
    assert await asked(theirs, OpenSSLContext()) == b"ok"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_a_server_that_speaks_only_what_is_old_is_refused(authority, trusting):
    theirs = server_context(authority.issue_cert("127.0.0.1"))
    theirs.set_ciphers("ALL:@SECLEVEL=0")
    theirs.minimum_version = ssl.TLSVersion.TLSv1
    theirs.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ConnectError, match="no connection could be made"):
        await asked(theirs, trusting)


async def test_what_is_no_tls_is_told(trusted):
    async def plain(connection):
        await connection.reader.read(1)
        await connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        connection.close()

    async with ScriptedServer(plain) as server:
        server.origin = server.origin.replace("http:", "https:")
        async with opened(server, ssl=OpenSSLContext(trusted)) as http:
            with pytest.raises(ConnectError, match="no TLS could be agreed on"):
                await http.send(request("GET"))


@pytest.mark.parametrize("content", [None, "no certificate", ""])
def test_a_file_without_certificates_is_refused(tmp_path, content):
    path = tmp_path / "x"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InvalidArgumentError, match="PEM certificates"):
        OpenSSLContext(path)
    with pytest.raises(InvalidArgumentError, match="PEM certificates"):
        OpenSSLContext(1)


@pytest.mark.parametrize("other", [{"proxy": "http://127.0.0.1:9"}, {"trust_env": True}])
def test_where_aiohttp_encrypts_it_is_refused(trusted, other):
    with pytest.raises(InvalidArgumentError, match=f"with {next(iter(other))}"):
        DomoFilesSession(
            "example.domo.com", auth=DeveloperToken("x"), ssl=OpenSSLContext(trusted), **other
        )
    with pytest.raises(
        InvalidArgumentError, match=r"must be an ssl\.SSLContext or an OpenSSLContext"
    ):
        DomoFilesSession("example.domo.com", auth=DeveloperToken("x"), ssl=OpenSSLContext)
