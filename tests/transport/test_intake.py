import hashlib
import json
import os
import ssl

import pytest
import trustme

from domo_files_async import DeveloperToken, DomoFilesSession, RetryPolicy, TransferConfig
from tests.servers import ScriptedServer, answer
from tests.transport.tools import WAY

DATA = os.urandom(1_500_000)
QUICK = RetryPolicy(initial_backoff=0.001, max_backoff=0.01)
ONE = TransferConfig(max_concurrency=1, part_size=500_000, multipart_threshold=1)

pytestmark = pytest.mark.usefixtures("way")


class Origin:
    """Serves DATA in ranges; *spoil* may change what a connection is sent, or close it."""

    def __init__(self, spoil=None):
        self.spoil = spoil
        self.asked = []

    def details(self):
        revision = {
            "dataFileRevisionId": 7,
            "sizeBytes": len(DATA),
            "sha256HashValue": hashlib.sha256(DATA).hexdigest(),
        }
        return answer(
            200,
            json.dumps({"dataFileId": 1, "name": "x", "currentRevision": revision}).encode(),
            {"Content-Type": "application/json"},
        )

    async def __call__(self, connection):
        while True:
            head = await connection.head()
            if "/details" in head.target:
                await connection.send(self.details())
                continue
            self.asked.append(head.headers["range"])
            start, last = map(int, head.headers["range"][6:].split("-"))
            reply = answer(
                206,
                DATA[start : last + 1],
                {"Content-Range": f"bytes {start}-{last}/{len(DATA)}"},
            )
            sent = self.spoil(len(self.asked), reply) if self.spoil else reply
            await connection.send(sent)
            if len(sent) < len(reply):
                connection.close()


async def fetched(origin, path, *, tls=None, trust=None):
    async with (
        ScriptedServer(origin, tls=tls) as server,
        DomoFilesSession(
            server.origin,
            auth=DeveloperToken("secret"),
            retry=QUICK,
            transfer=ONE,
            ssl=trust,
            **WAY,
        ) as domo,
    ):
        await domo.download(1, path)
        assert path.read_bytes() == DATA
        return len(server.connections)


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
async def test_a_connection_serves_one_long_body_after_another(tmp_path, is_tls):
    tls = trust = None
    if is_tls:
        authority = trustme.CA()
        tls, trust = (
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH),
            ssl.create_default_context(),
        )
        authority.issue_cert("127.0.0.1").configure_cert(tls)
        authority.configure_trust(trust)
    origin = Origin()
    assert await fetched(origin, tmp_path / "x", tls=tls, trust=trust) == 1
    assert len(origin.asked) == 3


async def test_a_long_body_that_breaks_off_goes_on_where_it_was(tmp_path):
    origin = Origin(lambda nth, reply: reply[:400_000] if nth == 2 else reply)
    assert await fetched(origin, tmp_path / "x") == 2
    starts = {int(asked[6:].split("-")[0]) for asked in origin.asked}
    (again,) = starts - {0, 500_000, 1_000_000}
    assert 890_000 < again < 900_000


async def test_bytes_behind_a_long_body_are_none_of_it(tmp_path):
    origin = Origin(lambda nth, reply: reply + b"more" if nth == 2 else reply)
    await fetched(origin, tmp_path / "x")
