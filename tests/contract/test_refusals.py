"""What is refused on our side: nothing is sent, and the error says what to do."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from domo_files_async import (
    AppSession,
    DeveloperToken,
    DomoFilesError,
    DomoFilesSession,
    InvalidArgumentError,
    PermissionEntry,
    SessionStateError,
    Surface,
    TransferConfig,
)
from domo_files_async.emulator import Emulator


@pytest.fixture
async def emulator():
    """Where files are kept doesn't matter to what is never sent."""
    async with Emulator() as running:
        yield running


BAD_IDS = [-1, True, 1.0, "1", None]
BAD_NAMES = ["", "  ", "a\nb", "a\x00b", "a\x7fb", "\ud800", 7]


async def sleepy(_):
    """Be no plain function."""


def cases(argument, values, call):
    return [
        pytest.param(call, value, id=f"{argument}={getattr(value, '__name__', ascii(value))}")
        for value in values
    ]


WRONG = [
    *cases("get_file", BAD_IDS, lambda d, x: d.get_file(x)),
    *cases("get_permissions", BAD_IDS, lambda d, x: d.get_permissions(x)),
    *cases("upload_revision", BAD_IDS, lambda d, x: d.upload_revision(x, b"x")),
    *cases("delete_revision", BAD_IDS, lambda d, x: d.delete_revision(x, 1)),
    *cases("delete_revision-revision", BAD_IDS, lambda d, x: d.delete_revision(1, x)),
    *cases("grant_access", BAD_IDS, lambda d, x: d.grant_access(x, PermissionEntry("U", 1, "R"))),
    *cases("revoke_access", BAD_IDS, lambda d, x: d.revoke_access(x, ("USER", 1))),
    *cases("wait_for_scan", BAD_IDS, lambda d, x: d.wait_for_scan(x, timeout=1)),
    *cases("list_files", BAD_IDS, lambda d, x: d.list_files(ids=[1, x])),
    *cases(
        "update_session",
        BAD_IDS,
        lambda d, x: d.create_multipart_update_session(x, name="x", content_type="a/b"),
    ),
    *cases("upload_file-name", BAD_NAMES, lambda d, x: d.upload_file(b"x", name=x)),
    *cases("upload_file-no-name", [None], lambda d, x: d.upload_file(b"x", name=x)),
    *cases(
        "create_session-name",
        [*BAD_NAMES, None],
        lambda d, x: d.create_multipart_session(name=x, content_type="a/b"),
    ),
    *cases(
        "update_session-name",
        [*BAD_NAMES, None],
        lambda d, x: d.create_multipart_update_session(1, name=x, content_type="a/b"),
    ),
    *cases(
        "upload_file-type",
        ["csv", "text/csv\r\nX: y", "text/", "täxt/csv"],
        lambda d, x: d.upload_file(b"x", name="x", content_type=x),
    ),
    *cases(
        "create_session-type",
        ["csv", "", "text/csv\n", None],
        lambda d, x: d.create_multipart_session(name="x", content_type=x),
    ),
    *cases(
        "upload_file-description",
        [7, "a\x00b", "\udcff"],
        lambda d, x: d.upload_file(b"x", name="x", description=x),
    ),
    *cases(
        "upload_file-public", [1, "yes", None], lambda d, x: d.upload_file(b"", name="x", public=x)
    ),
    *cases("upload_file-source", [7, None, object], lambda d, x: d.upload_file(x, name="x")),
    *cases(
        "upload_part-index", [0, 10_001, -1, True, "1"], lambda d, x: d.upload_part("s", x, b"")
    ),
    *cases("upload_part-part", ["text", None, [1]], lambda d, x: d.upload_part("s", 1, x)),
    *cases(
        "upload_part-checksum",
        ["", "0" * 63, "g" * 64, b"0" * 64, 7],
        lambda d, x: d.upload_part("s", 1, b"x", checksum=x),
    ),
    *cases(
        "upload_part-type",
        ["", "a/b\r\nX: y", None],
        lambda d, x: d.upload_part("s", 1, b"x", content_type=x),
    ),
    *cases("upload_part-session", ["", "..", "a\nb", 7], lambda d, x: d.upload_part(x, 1, b"x")),
    *cases("commit-session", ["", ".", None], lambda d, x: d.commit_multipart_session(x)),
    *cases("abort-session", ["", ".", None], lambda d, x: d.abort_multipart_session(x)),
    *cases("expand", ["owner", ["revisions", "x"]], lambda d, x: d.get_file(1, expand=x)),
    *cases("list-expand", ["owner", ["x"]], lambda d, x: d.list_files(expand=x)),
    *cases("owned", [1, "true", None], lambda d, x: d.list_files(limit_to_owned=x)),
    *cases("scan-timeout", [-1, "1", None, True], lambda d, x: d.wait_for_scan(1, timeout=x)),
    *cases("ids", [7, "12", [None]], lambda d, x: d.list_files(ids=x)),
    *cases("upload-public", [1, "no"], lambda d, x: d.upload(b"x", name="x", public=x)),
    *cases(
        "upload-large-public", ["no"], lambda d, x: d.upload(bytes(17 << 20), name="x", public=x)
    ),
    *cases(
        "upload-revision-public",
        [0],
        lambda d, x: d.upload(b"x", data_file_id=1, public=x),
    ),
    *cases(
        "upload-verify", [None, "all", ["parts"]], lambda d, x: d.upload(b"", name="x", verify=x)
    ),
    *cases("upload-progress", [7, sleepy], lambda d, x: d.upload(b"", name="x", progress=x)),
    *cases("upload-type", ["", 7], lambda d, x: d.upload(b"x", name="x", content_type=x)),
    *cases("file-type", [""], lambda d, x: d.upload_file(b"x", name="x", content_type=x)),
    *cases("revision-type", [""], lambda d, x: d.upload_revision(1, b"x", content_type=x)),
    *cases("download-progress", [7, sleepy], lambda d, x: d.download(1, ".", progress=x)),
    *cases(
        "download-flags",
        ["verify", "overwrite", "resume"],
        lambda d, x: d.download(1, ".", **{x: 1}),
    ),
    *cases("download-destination", [None, 7, "", b"x"], lambda d, x: d.download(1, x)),
    *cases("download-revision", [-1, "1"], lambda d, x: d.download(1, ".", revision_id=x)),
    *cases("entries", [("USER", 1), None], lambda d, x: d.grant_access(1, x)),
    *cases(
        "principals",
        ["USER", ("USER",), 1, ("USER", None), (5, 5)],
        lambda d, x: d.revoke_access(1, x),
    ),
]


@pytest.mark.parametrize(("call", "value"), WRONG)
async def test_a_wrong_argument_is_refused_before_anything_is_sent(domo, emulator, call, value):
    with pytest.raises(InvalidArgumentError) as caught:
        await call(domo, value)
    assert isinstance(caught.value, ValueError)
    assert len(str(caught.value)) > 20
    assert emulator.requests == []


@pytest.mark.parametrize(
    "wrong",
    [
        *({"data_file_id": one} for one in BAD_IDS),
        {"data_file_id": 1, "revision_id": -1},
        {"data_file_id": 1, "byte_range": (5, 5)},
        {"data_file_id": 1, "byte_range": (5, 2)},
        {"data_file_id": 1, "byte_range": (-1, 2)},
        {"data_file_id": 1, "byte_range": ("0", 2)},
        {"data_file_id": 1, "byte_range": (0, -1)},
    ],
    ids=str,
)
async def test_a_wrong_download_is_refused_when_it_is_asked_for(domo, emulator, wrong):
    with pytest.raises(InvalidArgumentError):
        domo.open_download(**wrong)
    assert emulator.requests == []


async def test_an_upload_rate_must_be_above_zero(domo):
    for wrong in (0, -1, "fast", float("inf"), 10**400):
        with pytest.raises(InvalidArgumentError):
            domo.set_upload_rate(wrong)
    domo.set_upload_rate(10_000_000)
    domo.set_upload_rate(None)
    assert await domo.list_files() == []


CALLS = {
    "get_file": lambda d: d.get_file(1),
    "list_files with no ids": lambda d: d.list_files(ids=[]),
    "upload_file": lambda d: d.upload_file(b"x", name="x"),
    "upload": lambda d: d.upload(b"x", name="x"),
    "download": lambda d: d.download(1, "."),
    "upload_part": lambda d: d.upload_part("s", 1, b"x"),
    "duplicate_file": lambda d: d.duplicate_file(1),
    "wait_for_scan": lambda d: d.wait_for_scan(1, timeout=1),
}
PLAIN = {
    "open_download": lambda d: d.open_download(1),
    "set_upload_rate": lambda d: d.set_upload_rate(None),
}


async def outcome(call, session):
    answer = call(session)
    if asyncio.iscoroutine(answer):
        await answer


@pytest.mark.parametrize("call", [*CALLS.values(), *PLAIN.values()], ids=[*CALLS, *PLAIN])
async def test_a_session_is_used_inside_of_its_block_only(emulator, surface, call):
    domo = emulator.session("ada", surface=surface)
    with pytest.raises(SessionStateError, match="before its `async with`"):
        await outcome(call, domo)
    async with domo:
        pass
    with pytest.raises(SessionStateError, match="after its `async with`"):
        await outcome(call, domo)
    assert emulator.requests == []


async def test_a_session_is_entered_once(domo, emulator, surface):
    with pytest.raises(SessionStateError, match="entered once"):
        await domo.__aenter__()
    assert await domo.list_files() == []
    other = emulator.session("ada", surface=surface)
    async with other:
        pass
    with pytest.raises(SessionStateError, match="entered once"):
        async with other:
            pass


@pytest.mark.parametrize("call", [*CALLS.values(), *PLAIN.values()], ids=[*CALLS, *PLAIN])
async def test_a_session_isnt_used_from_another_thread_or_loop(domo, emulator, call):
    def elsewhere():
        with pytest.raises(SessionStateError, match="another event loop, thread or process"):
            asyncio.run(outcome(call, domo))

    await asyncio.to_thread(elsewhere)
    assert emulator.requests == []


async def test_a_session_isnt_used_from_a_thread_without_a_loop(domo):
    with pytest.raises(SessionStateError, match="thread"):
        await asyncio.to_thread(domo.set_upload_rate, None)
    with pytest.raises(SessionStateError, match="thread"):
        await asyncio.to_thread(domo.open_download, 1)


async def test_a_session_isnt_left_before_it_was_entered(emulator, surface):
    with pytest.raises(SessionStateError, match="before its `async with`"):
        await emulator.session("ada", surface=surface).__aexit__(None, None, None)


async def test_what_a_session_opened_isnt_used_from_another_loop(domo, emulator):
    data_file_id = await domo.upload_file(b"data", name="x")

    def elsewhere(use):
        with pytest.raises(SessionStateError, match="another event loop, thread or process"):
            asyncio.run(use())

    async with domo.open_upload("y") as writer:
        await writer.write(b"one")
        await asyncio.to_thread(elsewhere, lambda: writer.write(b"two"))
    assert await emulator.content(writer.result.data_file_id) == b"one"
    async with domo.open_download(data_file_id) as stream:
        await asyncio.to_thread(elsewhere, stream.read)
        assert await stream.read() == b"data"


async def test_a_session_isnt_closed_from_another_loop(domo):
    def elsewhere():
        with pytest.raises(SessionStateError):
            asyncio.run(domo.__aexit__(None, None, None))

    await asyncio.to_thread(elsewhere)
    assert await domo.list_files() == []


FORKED = """
import asyncio, os, sys
from domo_files_async import DeveloperToken, DomoFilesSession, SessionStateError

async def main():
    async with DomoFilesSession("http://127.0.0.1:1", auth=DeveloperToken("x")) as domo:
        child = os.fork()
        if not child:
            try:
                domo.get_file(1).send(None)
            except SessionStateError:
                os._exit(7)
            os._exit(1)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

sys.exit(asyncio.run(main()))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="This system doesn't fork")
def test_a_session_isnt_used_from_a_forked_process():
    done = subprocess.run([sys.executable, "-c", FORKED], check=False, timeout=60)  # noqa: S603
    assert done.returncode == 7


async def test_a_download_that_was_asked_for_before_the_end_isnt_opened_after_it(emulator):
    async with emulator.session("ada") as domo:
        opening = domo.open_download(1)
    with pytest.raises(SessionStateError, match="after"):
        async with opening:
            pass
    assert emulator.requests == []


async def test_the_environment_names_the_product_surface(emulator, monkeypatch):
    monkeypatch.setenv("DOMO_INSTANCE", emulator.url)
    monkeypatch.setenv("DOMO_ACCESS_TOKEN", emulator.credential("ada"))
    async with DomoFilesSession.from_env() as domo:
        assert domo.surface is Surface.PRODUCT
        assert await domo.list_files() == []
    assert emulator.requests[0].path.startswith("/api/data/v1/data-files")


async def test_the_environment_names_the_app_surface(emulator, monkeypatch):
    monkeypatch.setenv("DOMO_URL", emulator.url)
    monkeypatch.setenv("DOMO_APP_SESSION", emulator.credential("ada"))
    async with DomoFilesSession.from_env(transfer=TransferConfig(max_concurrency=2)) as domo:
        assert domo.surface is Surface.APP
        assert await domo.list_files() == []
    assert emulator.requests[0].path.startswith("/domo/data-files/v1")


@pytest.mark.parametrize("names", [[], ["DOMO_INSTANCE"], ["DOMO_ACCESS_TOKEN", "DOMO_URL"]])
def test_an_environment_that_says_too_little_is_told_what_to_say(monkeypatch, names):
    for name in names:
        monkeypatch.setenv(name, "hushed-value")
    with pytest.raises(InvalidArgumentError) as caught:
        DomoFilesSession.from_env()
    for name in ("DOMO_INSTANCE", "DOMO_ACCESS_TOKEN", "DOMO_URL", "DOMO_APP_SESSION"):
        assert name in str(caught.value)
    assert "hushed-value" not in str(caught.value)


@pytest.mark.parametrize("instance", ["", "  ", "two words", "http://acme.domo.com", "ftp://x", 7])
def test_an_instance_that_cant_be_right_is_refused(instance):
    with pytest.raises(InvalidArgumentError):
        DomoFilesSession(instance, auth=DeveloperToken("x"))


class Half:
    """Has half of the Auth protocol."""

    async def headers(self):
        return {}


class Astray(Half):
    surface = "app"

    async def refresh(self):
        return False


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("auth", one) for one in ("hushed-token", None, DeveloperToken, Half(), Astray())),
        *(("surface", one) for one in ("app", True)),
        *(("transfer", one) for one in ({"part_size": 1}, None, TransferConfig)),
        ("retry", None),
        ("timeouts", 30),
        ("ssl", False),
        *(("http", one) for one in ("http://x", object())),
        *(("observer", one) for one in (7, sleepy)),
        *(("proxy", one) for one in ("proxy:3128", "socks5://proxy:1", "http://:1", "http://[", 7)),
        *(("user_agent", one) for one in ("a\r\nX: y", "ü", "", 7)),
        ("trust_env", "no"),
        ("allow_insecure", 1),
    ],
    ids=lambda value: getattr(value, "__name__", None) or type(value).__name__,
)
def test_a_session_that_couldnt_work_is_never_made(option, value):
    with pytest.raises(InvalidArgumentError, match=option) as caught:
        DomoFilesSession("acme", **{"auth": DeveloperToken("x"), option: value})
    assert "hushed-token" not in str(caught.value)


def test_plain_http_to_another_machine_must_be_allowed():
    with pytest.raises(InvalidArgumentError, match="allow_insecure"):
        DomoFilesSession("http://acme.example", auth=DeveloperToken("x"))
    assert DomoFilesSession("http://acme.example", auth=DeveloperToken("x"), allow_insecure=True)


@pytest.mark.parametrize("make", [DeveloperToken, AppSession])
def test_a_session_never_shows_its_credential(make):
    session = DomoFilesSession("acme", auth=make("hush-hush"))
    assert "hush-hush" not in f"{session!r}{session}{make('hush-hush')!r}"
    assert "acme.domo.com" in repr(session)


@pytest.mark.parametrize("secret", ["", " x", "x\n", "x\r\nX: y", "ü", 7])
def test_a_credential_that_no_header_can_carry_is_refused_unseen(secret):
    with pytest.raises(DomoFilesError) as caught:
        DeveloperToken(secret)
    assert "X: y" not in str(caught.value)
