"""A server, or whoever stands in its place, that answers with ill will."""

import json
import tracemalloc

import pytest

from domo_files_async import (
    BadRequestError,
    DeveloperToken,
    DomoFilesSession,
    RetryPolicy,
    TransportError,
    UnexpectedResponseError,
)
from tests.servers import ScriptedServer, answer

JSON = {"Content-Type": "application/json"}
ONE = b'[{"dataFileId":1,"name":"%s"}]'


@pytest.fixture
async def ask():
    """Ask a server that gives this answer for its files."""

    async def ask(text):
        async def script(connection):
            await connection.request()
            await connection.send(text)
            await connection.rest()

        async with (
            ScriptedServer(script) as server,
            DomoFilesSession(
                server.origin, auth=DeveloperToken("secret"), retry=RetryPolicy(max_attempts=1)
            ) as domo,
        ):
            return await domo.list_files()

    return ask


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 200_000,
        b"[" * 200_000 + b"]" * 200_000,
        b'[{"dataFileId":%s,"name":"x"}]' % (b"9" * 5000),
        b'[{"dataFileId":NaN,"name":"x"}]',
        b'[{"dataFileId":1e400,"name":"x"}]',
        b'[{"dataFileId":true,"name":"x"}]',
        b'[{"dataFileId":-1,"name":["x"]}]',
        b"\xff\xfe\x00",
        b"null",
        b'{"__class__":"os.system"}',
    ],
    ids=["deep", "deep and closed", "long", "NaN", "inf", "true", "list", "bytes", "null", "class"],
)
async def test_json_that_is_made_to_harm_is_an_error_of_ours(ask, body):
    with pytest.raises(UnexpectedResponseError):
        await ask(answer(200, body, JSON))


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Long": "a" * 1_000_000},
        {f"X-{number}": "a" for number in range(100_000)},
        {"X" * 100_000: "a"},
    ],
    ids=["a long value", "many", "a long name"],
)
async def test_headers_without_end_are_an_error_and_not_kept(ask, headers):
    text = answer(200, b"[]", headers)
    tracemalloc.start()
    try:
        with pytest.raises(TransportError, match="HTTP"):
            await ask(text)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < len(text) + 10 * 1024 * 1024


async def test_what_the_server_says_cant_write_lines_or_steer_a_terminal(ask):
    said = {"message": "\x1b[2J\r\nroot logged in \u202e\x9b", "toe": "A\nB\x1b[1m", "status": 400}
    with pytest.raises(BadRequestError) as caught:
        await ask(answer(400, json.dumps(said).encode(), JSON))
    assert str(caught.value).isprintable()
    assert caught.value.message.isprintable()
    assert caught.value.toe.isprintable()


async def test_a_long_message_of_the_server_is_cut(ask):
    with pytest.raises(BadRequestError) as caught:
        await ask(answer(400, json.dumps({"message": "x" * 60_000}).encode(), JSON))
    assert len(str(caught.value)) < 2000


async def test_a_name_comes_as_it_is_and_is_no_text_of_ours(ask):
    (file,) = await ask(answer(200, ONE % rb"../\u202e\u0000\r\n", JSON))
    assert file.name == "../\u202e\0\r\n"
    assert repr(file).isprintable()


async def test_a_second_answer_to_one_request_is_not_taken_for_the_next(ask):
    hidden = answer(200, ONE % b"smuggled", JSON)

    async def script(connection):
        await connection.request()
        await connection.send(answer(200, ONE % b"true", JSON) + hidden)
        while True:
            await connection.request()
            await connection.send(answer(200, ONE % b"next", JSON))

    async with (
        ScriptedServer(script) as server,
        DomoFilesSession(server.origin, auth=DeveloperToken("secret")) as domo,
    ):
        names = {(await domo.list_files())[0].name for _ in range(3)}
    assert "smuggled" not in names
