"""What can be seen of bodies without a server."""

from __future__ import annotations

import pytest

from domo_files_async.errors import ConnectError, InvalidArgumentError
from domo_files_async.transport.body import Outgoing
from domo_files_async.transport.credentials import Credential
from tests.servers import ScriptedServer, answer
from tests.transport.tools import lent, opened, request


async def test_lent_bytes_can_be_read_again_and_are_not_copied():
    data = memoryview(bytearray(b"abcd"))
    body = lent(data)
    assert (body.size, body.repeatable) == (4, True)
    for _ in range(2):
        (chunk,) = body.chunks()
        assert chunk.obj is data.obj


async def test_a_request_refuses_to_be_written_a_second_time(monkeypatch):
    written = []
    once = Outgoing.write_small

    async def twice(self, transport, head):
        await once(self, transport, head)
        with pytest.raises(ConnectionResetError):
            await once(self, transport, head)
        written.append(self.written)

    async def script(connection):
        _, body = await connection.request()
        assert body == b"abc"
        await connection.send(answer(200, b"1"))

    monkeypatch.setattr(Outgoing, "write_small", twice)
    async with ScriptedServer(script) as server, opened(server) as http:
        await http.send(request(), lent(b"abc"))
    assert written == [3]


@pytest.mark.parametrize("size", [3, 100_000])
async def test_a_connection_that_was_lost_before_it_was_used_is_known_to_be_unused(
    monkeypatch, size
):
    write, start = Outgoing.write_small, Outgoing.start

    async def late(self, transport, head):
        transport.abort()
        await write(self, transport, head)

    def start_late(self, writer, head):
        writer.transport.abort()
        start(self, writer, head)

    monkeypatch.setattr(Outgoing, "write_small", late)
    monkeypatch.setattr(Outgoing, "start", start_late)
    async with ScriptedServer(lambda c: c.rest()) as server, opened(server) as http:
        with pytest.raises(ConnectError) as caught:
            await http.send(request(), lent(bytes(size)))
        assert not caught.value.request_sent


@pytest.mark.parametrize(
    "shown",
    ["Bearer a/b+c", "a/b+c", "A/B+C", "a%2Fb%2Bc", "a%2fb%2bc", "a/b%2Bc"],
)
def test_a_credential_is_masked_in_all_its_forms(shown):
    hidden = Credential({"Authorization": "Bearer a/b+c", "X-Empty": ""}).hide(f"<{shown}>")
    assert hidden in {"<***>", "<Bearer ***>"}


def test_a_credential_is_masked_in_html_and_json():
    mine = Credential({"X-Token": 'a"b&c\\'})
    for shown in ("a&quot;b&amp;c\\", 'a\\"b&c\\\\'):
        assert mine.hide(f"<{shown}>") == "<***>"
    assert repr(mine) == "Credential(…)"


@pytest.mark.parametrize("value", ["a\nb", "a\x00", "ä"])
def test_what_no_header_can_carry_is_refused(value):
    with pytest.raises(InvalidArgumentError) as caught:
        Credential({"X-Token": value})
    assert value not in str(caught.value)
