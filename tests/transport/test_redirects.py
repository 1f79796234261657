"""Where redirects lead, and what goes there."""

from __future__ import annotations

import pytest
from yarl import URL

from domo_files_async.errors import AuthenticationError, UnexpectedResponseError
from domo_files_async.transport.credentials import Credential
from domo_files_async.transport.redirects import follow_redirect
from tests.servers import ScriptedServer, answer
from tests.transport.tools import SECRET, download, lent, opened, request

HOME = URL("https://acme.domo.com/domo/data-files/v1/7?expand=x")
MINE = Credential({"X-Token": SECRET})


def follow(location, *, mine=None, status=302, url=HOME):
    return follow_redirect(mine or request("GET"), status, url, location, MINE)


def moved(location, status=302):
    return answer(status, b"", {"Location": location})


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/there?a=%26#part", "https://acme.domo.com/there?a=%26"),
        ("8", "https://acme.domo.com/domo/data-files/v1/8"),
        ("https://acme.domo.com:443/x", "https://acme.domo.com/x"),
        ("https://acme.domo.com/authors/signing", "https://acme.domo.com/authors/signing"),
    ],
)
def test_a_read_goes_on_within_its_origin(location, target):
    assert str(follow(location)).replace(":443", "") == target


@pytest.mark.parametrize(
    "location",
    [
        "/login",
        "/auth/index?x=1",
        "/Login.jsp",
        "/app/sign-in",
        "/oauth2/authorize",
        "/home?redirect=login",
        "https://idp.example/saml/sso?SAMLRequest=x",
        "https://sso.example/start?next=auth",
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_redirect_to_a_login_page_is_an_authentication_error(location, method):
    with pytest.raises(AuthenticationError, match="login page") as caught:
        follow(location, mine=request(method), status=303)
    assert caught.value.status == 303


@pytest.mark.parametrize(
    ("location", "mine", "said"),
    [
        (None, request("GET"), "nowhere"),
        ("", request("GET"), "nowhere"),
        ("http://[", request("GET"), "nowhere"),
        ("ftp://acme.domo.com/x", request("GET"), "nowhere"),
        ("https://other.example:8/x?k=v", request("GET"), "other.example:8/x, another origin"),
        ("https://acme.domo.com:8443/", request("GET"), "another origin"),
        ("http://acme.domo.com/", request("GET"), "isn't encrypted"),
        ("http://store.example/", download(), "isn't encrypted"),
        (f"https://store.example/?t={SECRET}", download(), "credential in it"),
        ("/elsewhere", request("PUT"), "what writes"),
        ("/elsewhere", request("DELETE"), "what writes"),
    ],
)
def test_what_must_not_be_followed_is_an_error_that_says_so(location, mine, said):
    with pytest.raises(UnexpectedResponseError, match=said) as caught:
        follow(location, mine=mine)
    assert SECRET not in str(caught.value)
    assert "k=v" not in str(caught.value)


def test_a_download_goes_on_at_another_origin_whatever_its_query_and_its_folders_say():
    for path in ("auth.csv", "auth/signed", "sso/a/b"):
        location = f"https://bucket.store.example/{path}?X-Amz-Auth=1&login"
        assert follow(location, mine=download()) == URL(location, encoded=True)
    with pytest.raises(AuthenticationError):
        follow("https://idp.example/saml/sso?SAMLRequest=x", mine=download())


def test_a_user_in_the_address_is_left_out():
    assert follow("https://me:pw@acme.domo.com/x") == URL("https://acme.domo.com/x")


async def test_a_read_is_followed_with_the_credential_within_the_origin():
    async def script(connection):
        for text in (moved("/two", 307), moved("/three", 301), answer(200, b"1")):
            await connection.request()
            await connection.send(text)

    async with ScriptedServer(script) as server, opened(server) as http:
        assert await http.send(request("GET")) == b"1"
        heads = server.connections[0].heads
    assert [head.target for head in heads[1:]] == ["/two", "/three"]
    assert all(head.headers["x-domo-developer-token"] == SECRET for head in heads)


async def test_redirects_in_circles_end():
    async def script(connection):
        while True:
            await connection.request()
            await connection.send(moved("/again"))

    async with ScriptedServer(script) as server, opened(server) as http:
        with pytest.raises(UnexpectedResponseError, match="circles"):
            await http.send(request("GET"))
        assert sum(len(c.heads) for c in server.connections) == 6


async def test_a_download_elsewhere_gets_no_credential_and_never_again():
    async def store(connection):
        head = await connection.head()
        if head.target == "/file?sig=1":
            await connection.send(moved(f"{home.origin}/back"))
            await connection.head()
        await connection.send(answer(200, b"data"))

    async def start(connection):
        while True:
            head = await connection.head()
            there = moved(f"{far.origin}/file?sig=1")
            await connection.send(answer(200, b"data") if head.target == "/back" else there)

    async with ScriptedServer(store) as far, ScriptedServer(start) as home, opened(home) as http:
        async with http.open_stream(download(headers={"Range": "bytes=0-3"})) as stream:
            assert b"".join([chunk async for chunk in stream.chunks()]) == b"data"
        assert SECRET.encode() not in far.connections[0].received
        assert far.connections[0].heads[0].headers["range"] == "bytes=0-3"
        first, back = [head for c in home.connections for head in c.heads]
        assert (first.headers["x-domo-developer-token"], back.target) == (SECRET, "/back")
        assert SECRET not in back.headers.values()


async def test_nothing_is_sent_to_another_origin_that_an_upload_is_redirected_to():
    async def start(connection):
        while True:
            await connection.request()
            await connection.send(moved(f"{far.origin}/x", 307))

    async with (
        ScriptedServer(lambda c: c.rest()) as far,
        ScriptedServer(start) as home,
        opened(home) as http,
    ):
        for mine in (request("PUT"), request("GET")):
            with pytest.raises(UnexpectedResponseError, match="another origin"):
                await http.send(mine, lent(b"data") if mine.method == "PUT" else None)
        assert far.connections == []


async def test_an_early_redirect_of_an_upload_to_the_login_page_is_told():
    async def start(connection):
        await connection.head()
        await connection.send(moved("/login"))
        await connection.rest()

    async with ScriptedServer(start) as home, opened(home) as http:
        with pytest.raises(AuthenticationError):
            await http.send(request("PUT"), lent(bytes(64 * 1024 * 1024)))
