"""Each endpoint as the contract has it: names, arguments, results and errors."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import io
import json
import threading

import pytest

from domo_files_async import (
    COMPUTE,
    AuthenticationError,
    BadRequestError,
    ChecksumMismatchError,
    CommittedUpload,
    ConflictError,
    DataFile,
    DomoFilesSession,
    Grant,
    NotFoundError,
    PermissionDeniedError,
    PermissionEntry,
    RequestFinished,
    ScanRejectedError,
    ScanTimeoutError,
    Surface,
    TransferConfig,
    UnexpectedResponseError,
    UnsupportedOnSurfaceError,
)
from domo_files_async.auth import AppSession, DeveloperToken
from domo_files_async.protocol import responses
from tests.servers import ScriptedServer, answer

NAMES = [
    "orders 2024.csv",
    "a \"quoted\" & 'single' one.txt",
    "half=50%25 + more #1?.csv",
    "../up\\and/down;semi,comma.bin",
    "%22%0D%0A.txt",
    "Grüße, 売上 📈👩‍💻.parquet",
]
ALL = Grant.READ | Grant.WRITE | Grant.DELETE | Grant.SHARE | Grant.ADMIN


def digest(data):
    return hashlib.sha256(data).hexdigest()


async def multipart(domo, *parts, name="parts.bin", data_file_id=None):
    if data_file_id is None:
        session_id = await domo.create_multipart_session(name=name, content_type="text/plain")
    else:
        session_id = await domo.create_multipart_update_session(
            data_file_id, name=name, content_type="text/plain"
        )
    for index, part in enumerate(parts, 1):
        await domo.upload_part(session_id, index, part)
    return session_id


SIGNATURES = {
    "upload_file": "source, *, name, description, public, content_type",
    "upload_revision": "data_file_id, source, *, content_type",
    "list_files": "*, ids, expand, limit_to_owned",
    "get_file": "data_file_id, *, expand",
    "open_download": "data_file_id, *, revision_id, byte_range",
    "delete_revision": "data_file_id, revision_id",
    "get_permissions": "data_file_id",
    "update_permissions": "data_file_id, permissions",
    "create_multipart_session": "*, name, content_type, description",
    "create_multipart_update_session": "data_file_id, *, name, content_type, description",
    "upload_part": "session_id, index, part, *, content_type, checksum",
    "commit_multipart_session": "session_id",
    "abort_multipart_session": "session_id",
    "wait_for_scan": "data_file_id, *, timeout",
    "grant_access": "data_file_id, *entries",
    "revoke_access": "data_file_id, *principals",
    "copy_revision": "source_id, target_id",
    "get_revision": "data_file_id, revision_id",
    "list_revisions": "data_file_id",
    "duplicate_file": "data_file_id",
    "delete_file": "data_file_id",
}


@pytest.mark.parametrize("method", SIGNATURES)
def test_each_endpoint_takes_what_the_contract_says(method):
    words, starred = [], False
    for one in list(inspect.signature(getattr(DomoFilesSession, method)).parameters.values())[1:]:
        if one.kind is one.KEYWORD_ONLY and not starred:
            words.append("*")
        starred = starred or one.kind in {one.KEYWORD_ONLY, one.VAR_POSITIONAL}
        words.append(f"*{one.name}" if one.kind is one.VAR_POSITIONAL else one.name)
    assert ", ".join(words) == SIGNATURES[method]


async def test_a_file_is_uploaded_with_what_was_said_of_it(domo, emulator):
    data_file_id = await domo.upload_file(
        b"a,b\n1,2\n", name="orders.csv", description="all & more", content_type="text/csv"
    )
    assert isinstance(data_file_id, int)
    assert await emulator.content(data_file_id) == b"a,b\n1,2\n"
    file = await domo.get_file(data_file_id, expand=["metadata"])
    assert (file.data_file_id, file.name) == (data_file_id, "orders.csv")
    assert file.responsible_user_id == emulator.user_id("ada")
    assert file.current_revision.content_type == "text/csv"
    assert file.current_revision.size_bytes == 8
    assert file.current_revision.sha256_hash_value.lower() == digest(b"a,b\n1,2\n")
    assert file.metadata.description == "all & more"
    assert file.datetime_created.tzinfo is not None


@pytest.mark.parametrize("public", [False, True])
async def test_a_file_is_public_only_where_it_was_said(domo, public):
    data_file_id = await domo.upload_file(b"x", name="x", public=public)
    assert (await domo.get_permissions(data_file_id)).public_access is public


async def test_a_file_is_private_where_nothing_was_said(domo):
    data_file_id = await domo.upload_file(b"x", name="x")
    assert (await domo.get_permissions(data_file_id)).public_access is False


async def test_a_path_gives_its_name_and_its_type(domo, tmp_path):
    path = tmp_path / "report.json"
    path.write_bytes(b"{}")
    file = await domo.get_file(await domo.upload_file(path))
    assert file.name == "report.json"
    assert file.current_revision.content_type == "application/json"


async def chunks(*parts):
    for part in parts:
        yield part


@pytest.mark.parametrize(
    "source",
    [
        lambda: bytearray(b"abcdef"),
        lambda: memoryview(b"abcdef"),
        lambda: io.BytesIO(b"abcdef"),
        lambda: chunks(b"ab", b"", b"cdef"),
    ],
    ids=["bytearray", "memoryview", "file object", "async iterator"],
)
async def test_both_simple_uploads_take_any_source(domo, emulator, source):
    data_file_id = await domo.upload_file(source(), name="x")
    assert await emulator.content(data_file_id) == b"abcdef"
    revision_id = await domo.upload_revision(data_file_id, source())
    assert emulator.files[data_file_id][-1] == revision_id
    assert await emulator.content(data_file_id) == b"abcdef"


async def test_an_empty_file_is_a_file(domo, emulator):
    data_file_id = await domo.upload_file(b"", name="empty")
    assert await emulator.content(data_file_id) == b""
    async with domo.open_download(data_file_id) as stream:
        assert stream.size == 0
        assert await stream.read() == b""


async def test_a_revision_becomes_the_current_one_and_leaves_the_name(domo, emulator):
    data_file_id = await domo.upload_file(b"one", name="kept.txt")
    revision_id = await domo.upload_revision(data_file_id, b"two", content_type="text/markdown")
    file = await domo.get_file(data_file_id, expand=["revisions"])
    assert file.name == "kept.txt"
    assert file.current_revision.data_file_revision_id == revision_id
    assert file.current_revision.content_type == "text/markdown"
    assert sorted(one.data_file_revision_id for one in file.revisions) == sorted(
        emulator.files[data_file_id]
    )


async def test_a_revision_of_what_isnt_there_is_not_found(domo):
    with pytest.raises(NotFoundError) as caught:
        await domo.upload_revision(404404, b"x")
    assert caught.value.status == 404
    assert caught.value.method == "PUT"
    assert caught.value.path.endswith("/404404")


@pytest.mark.parametrize("name", NAMES)
async def test_any_name_comes_back_as_it_was_given(domo, name):
    data_file_id = await domo.upload_file(b"x", name=name, description=name)
    file = await domo.get_file(data_file_id, expand=["metadata"])
    assert file.name == name
    assert file.metadata.description == name
    assert [one.name for one in await domo.list_files()] == [name]
    async with domo.open_download(data_file_id) as stream:
        assert stream.filename == name


@pytest.mark.parametrize("name", NAMES)
async def test_any_name_comes_back_from_a_multipart_session(domo, name):
    made = await domo.commit_multipart_session(await multipart(domo, b"x", name=name))
    assert (await domo.get_file(made.data_file_id)).name == name


async def test_all_files_that_can_be_seen_are_listed(domo, open_as):
    own = await domo.upload_file(b"x", name="own")
    async with open_as("grace") as grace:
        shared = await grace.upload_file(b"x", name="shared", public=True)
        await grace.upload_file(b"x", name="hidden")
    assert {one.data_file_id for one in await domo.list_files()} == {own, shared}
    assert [one.name for one in await domo.list_files(limit_to_owned=True)] == ["own"]
    assert [one.name for one in await domo.list_files(ids=[shared, own], limit_to_owned=True)] == [
        "own"
    ]


@pytest.mark.parametrize(("files", "is_elsewhere"), [(2, False), (2_000, True)])
async def test_a_long_list_is_read_off_the_loop(monkeypatch, files, is_elsewhere):
    read, threads = responses.read_data_files, []

    def reader(reply):
        threads.append(threading.current_thread())
        return read(reply)

    monkeypatch.setattr(responses, "read_data_files", reader)
    said = [{"dataFileId": one, "name": f"file {one}"} for one in range(files)]

    async def script(connection):
        while True:
            await connection.request()
            await connection.send(answer(200, json.dumps(said).encode()))

    async with (
        ScriptedServer(script) as server,
        DomoFilesSession(server.origin, auth=DeveloperToken("secret")) as domo,
    ):
        assert [file.data_file_id for file in await domo.list_files()] == list(range(files))
        del said[0]["name"]
        with pytest.raises(UnexpectedResponseError, match="name"):
            await domo.list_files()
    here = threading.current_thread()
    assert [one is not here for one in threads] == [is_elsewhere] * 2


async def test_a_list_of_nothing_is_empty(domo):
    assert await domo.list_files() == []
    assert await domo.list_files(limit_to_owned=True) == []


async def test_a_list_shows_what_it_is_asked_to_expand(domo):
    await domo.upload_file(b"x", name="x", description="said")
    (bare,) = await domo.list_files()
    (full,) = await domo.list_files(expand=["revisions", "metadata"])
    assert (bare.revisions, bare.metadata) == ((), None)
    assert full.metadata.description == "said"
    assert [one.size_bytes for one in full.revisions] == [1]


async def test_a_thousand_ids_are_answered_in_the_order_asked(domo, emulator):
    made = [await domo.upload_file(b"x", name=f"{n}") for n in range(20)]
    wanted = [10**9 + n for n in range(980)]
    for place, one in enumerate(reversed(made)):
        wanted.insert(50 * place, one)
    assert len(wanted) == 1000
    emulator.requests.clear()
    files = await domo.list_files(ids=wanted)
    assert [file.data_file_id for file in files] == made[::-1]
    assert len(emulator.requests) > 1
    sent = []
    for request in emulator.requests:
        (text,) = [v for k, v in request.query.items() if k in {"ids", "dataFileIds"}]
        assert len(text) < 2000
        sent += [int(one) for one in text.split(",")]
    assert sent == wanted


async def test_each_file_is_listed_once_and_unknown_ones_not_at_all(domo):
    one, two = [await domo.upload_file(b"x", name=name) for name in ("one", "two")]
    files = await domo.list_files(ids=iter([two, 999999, one, two, one]))
    assert [file.data_file_id for file in files] == [two, one]


async def test_no_ids_are_no_request(domo, emulator):
    await domo.upload_file(b"x", name="x")
    emulator.requests.clear()
    assert await domo.list_files(ids=[]) == []
    assert await domo.list_files(ids=[], limit_to_owned=True) == []
    assert emulator.requests == []


async def test_a_file_that_isnt_there_is_not_found_by_any_endpoint(domo):
    calls = [
        domo.get_file(404404),
        domo.get_permissions(404404),
        domo.delete_revision(404404, 1),
        domo.grant_access(404404, PermissionEntry("USER", 1, Grant.READ)),
        domo.revoke_access(404404, ("USER", 1)),
        domo.create_multipart_update_session(404404, name="x", content_type="text/csv"),
        domo.wait_for_scan(404404, timeout=60),
    ]
    for call in calls:
        with pytest.raises(NotFoundError, match="404"):
            await call
    with pytest.raises(NotFoundError):
        async with domo.open_download(404404):
            pass


async def test_a_download_says_what_it_is_and_gives_all(domo):
    data = bytes(range(256)) * 9000
    data_file_id = await domo.upload_file(data, name="data.bin", content_type="application/x-data")
    async with domo.open_download(data_file_id) as stream:
        assert stream.size == len(data)
        assert stream.content_type == "application/x-data"
        assert stream.filename == "data.bin"
        assert stream.etag
        assert await stream.read() == data


async def test_a_download_is_read_in_chunks(domo):
    data = bytes(range(256)) * 9000
    data_file_id = await domo.upload_file(data, name="data.bin")
    async with domo.open_download(data_file_id) as stream:
        pieces = [chunk async for chunk in stream]
    assert len(pieces) > 1
    assert all(pieces)
    assert b"".join(pieces) == data


@pytest.mark.parametrize("honoured", [True, False], ids=["ranges", "no ranges"])
@pytest.mark.parametrize(
    ("byte_range", "expected"),
    [
        ((0, 1), b"0"),
        ((2, 5), b"234"),
        ((7, None), b"789"),
        ((0, None), b"0123456789"),
        ((8, 500), b"89"),
    ],
)
async def test_a_range_gives_just_its_bytes(domo, emulator, byte_range, expected, honoured):
    emulator.behaviour.ranges = honoured
    data_file_id = await domo.upload_file(b"0123456789", name="x")
    async with domo.open_download(data_file_id, byte_range=byte_range) as stream:
        assert stream.size == len(expected)
        assert await stream.read() == expected


async def test_a_range_behind_the_end_is_refused_by_the_server(domo):
    data_file_id = await domo.upload_file(b"0123456789", name="x")
    with pytest.raises(BadRequestError) as caught:
        async with domo.open_download(data_file_id, byte_range=(10, None)):
            pass
    assert caught.value.status == 416


async def test_each_revision_can_be_downloaded(domo, emulator):
    data_file_id = await domo.upload_file(b"first", name="x")
    await domo.upload_revision(data_file_id, b"second")
    first, second = emulator.files[data_file_id]
    for revision_id, data in ((first, b"first"), (second, b"second"), (None, b"second")):
        async with domo.open_download(data_file_id, revision_id=revision_id) as stream:
            assert await stream.read() == data
    with pytest.raises(NotFoundError):
        async with domo.open_download(data_file_id, revision_id=424242):
            pass


async def test_a_download_that_is_left_early_gives_back_its_place(open_as):
    async with open_as(transfer=TransferConfig(max_concurrency=1, adaptive=False)) as domo:
        data = bytes(8_000_000)
        data_file_id = await domo.upload_file(data, name="x")
        for _ in range(3):
            async with domo.open_download(data_file_id) as stream:
                async for chunk in stream:
                    assert chunk
                    break
        async with domo.open_download(data_file_id) as stream:
            assert len(await stream.read()) == len(data)


async def test_an_error_inside_of_a_download_comes_out_as_it_is(domo):
    data_file_id = await domo.upload_file(b"x", name="x")
    with pytest.raises(LookupError, match="mine"):
        async with domo.open_download(data_file_id):
            raise LookupError("mine")


async def test_a_deleted_revision_gives_way_to_the_one_before_it(domo, emulator):
    data_file_id = await domo.upload_file(b"first", name="x")
    second = await domo.upload_revision(data_file_id, b"second")
    assert await domo.delete_revision(data_file_id, second) is None
    assert await emulator.content(data_file_id) == b"first"
    with pytest.raises(NotFoundError):
        await domo.delete_revision(data_file_id, second)


async def test_with_its_last_revision_the_file_goes(domo, emulator):
    data_file_id = await domo.upload_file(b"x", name="x")
    await domo.delete_revision(data_file_id, emulator.files[data_file_id][0])
    with pytest.raises(NotFoundError):
        await domo.get_file(data_file_id)


async def test_the_owner_may_do_all(domo, emulator):
    permissions = await domo.get_permissions(await domo.upload_file(b"x", name="x"))
    (entry,) = permissions.entries
    assert entry.principal == ("USER", str(emulator.user_id("ada")))
    assert entry.grant == ALL
    assert str(entry.grant) == "READ_WRITE_DELETE_SHARE_ADMIN"
    assert entry.pass_ == "NONE"


async def test_permissions_are_read_changed_and_written(domo):
    data_file_id = await domo.upload_file(b"x", name="x")
    permissions = await domo.get_permissions(data_file_id)
    entry = PermissionEntry("GROUP", 77, Grant.READ | Grant.WRITE)
    changed = permissions.with_entry(entry).with_public_access(True)
    assert await domo.update_permissions(data_file_id, changed) is None
    assert await domo.get_permissions(data_file_id) == changed


async def test_what_isnt_known_of_permissions_survives_a_change(domo):
    data_file_id = await domo.upload_file(b"x", name="x")
    permissions = await domo.get_permissions(data_file_id)
    strange = PermissionEntry(
        "ROBOT", "r2", "FLY_HIGH", "SOME", extra={"expires": [1, {"at": "noon"}]}
    )
    await domo.update_permissions(data_file_id, permissions.with_entry(strange))
    read = await domo.get_permissions(data_file_id)
    await domo.update_permissions(data_file_id, read.with_public_access(True))
    after = await domo.get_permissions(data_file_id)
    assert after.public_access is True
    assert after.entries == (*permissions.entries, strange)
    assert after.entries[-1].extra == {"expires": [1, {"at": "noon"}]}


async def test_a_grant_opens_a_file_and_its_revocation_closes_it(domo, emulator, open_as):
    data_file_id = await domo.upload_file(b"x", name="x")
    grace_id = emulator.user_id("grace")
    async with open_as("grace") as grace:
        with pytest.raises(NotFoundError):
            await grace.get_file(data_file_id)
        now = await domo.grant_access(data_file_id, PermissionEntry("USER", grace_id, Grant.READ))
        assert now.entries[-1] == PermissionEntry("USER", str(grace_id), Grant.READ)
        assert now == await domo.get_permissions(data_file_id)
        assert isinstance(await grace.get_file(data_file_id), DataFile)
        for call in (
            grace.upload_revision(data_file_id, b"y"),
            grace.delete_revision(data_file_id, emulator.files[data_file_id][0]),
            grace.update_permissions(data_file_id, now),
        ):
            with pytest.raises(PermissionDeniedError):
                await call
        now = await domo.revoke_access(data_file_id, ("USER", grace_id))
        assert [one.entity_id for one in now.entries] == [str(emulator.user_id("ada"))]
        with pytest.raises(NotFoundError):
            await grace.get_file(data_file_id)


async def test_several_grants_are_one_change_and_the_same_again_is_none(domo, emulator):
    data_file_id = await domo.upload_file(b"x", name="x")
    entries = [PermissionEntry("USER", n, Grant.READ) for n in (1, 2)]
    emulator.requests.clear()
    await domo.grant_access(data_file_id, *entries)
    written = [one for one in emulator.requests if one.operation == "update_permissions"]
    assert len(written) == 1
    await domo.grant_access(data_file_id, *entries)
    await domo.revoke_access(data_file_id, ("USER", "999"))
    assert [o.operation for o in emulator.requests].count("update_permissions") == 1
    now = await domo.revoke_access(data_file_id, ("USER", 1), ("USER", "2"))
    assert len(now.entries) == 1


async def test_a_multipart_session_makes_a_file_of_its_parts(domo, emulator):
    session_id = await domo.create_multipart_session(
        name="big.csv", content_type="text/csv", description="in parts"
    )
    assert isinstance(session_id, str)
    assert emulator.open_sessions == [session_id]
    for index in (2, 1, 3):
        assert await domo.upload_part(session_id, index, f"part {index}.".encode()) is None
    made = await domo.commit_multipart_session(session_id)
    assert isinstance(made, CommittedUpload)
    assert await emulator.content(made.data_file_id, made.revision_id) == b"part 1.part 2.part 3."
    file = await domo.get_file(made.data_file_id, expand=["metadata"])
    assert (file.name, file.metadata.description) == ("big.csv", "in parts")
    assert file.current_revision.content_type == "text/csv"
    assert emulator.open_sessions == []


async def test_an_update_session_makes_a_revision(domo, emulator):
    data_file_id = await domo.upload_file(b"old", name="x")
    session_id = await multipart(domo, b"ne", b"w", name="renamed", data_file_id=data_file_id)
    made = await domo.commit_multipart_session(session_id)
    assert made.data_file_id == data_file_id
    assert emulator.files[data_file_id][-1] == made.revision_id
    assert await emulator.content(data_file_id) == b"new"
    assert (await domo.get_file(data_file_id)).name == "renamed"


async def test_of_two_parts_under_one_index_the_last_one_counts(domo, emulator):
    session_id = await multipart(domo, b"first")
    await domo.upload_part(session_id, 1, b"second")
    made = await domo.commit_multipart_session(session_id)
    assert await emulator.content(made.data_file_id) == b"second"


async def test_what_is_over_can_be_neither_committed_nor_continued(domo):
    session_id = await multipart(domo, b"x")
    await domo.commit_multipart_session(session_id)
    with pytest.raises(ConflictError):
        await domo.commit_multipart_session(session_id)
    with pytest.raises(ConflictError):
        await domo.upload_part(session_id, 2, b"y")


async def test_a_session_without_parts_or_with_a_gap_isnt_committed(domo):
    empty = await multipart(domo)
    gap = await multipart(domo)
    await domo.upload_part(gap, 2, b"y")
    for session_id in (empty, gap):
        with pytest.raises(ConflictError):
            await domo.commit_multipart_session(session_id)
        await domo.abort_multipart_session(session_id)


async def test_an_aborted_session_is_gone(domo, emulator):
    session_id = await multipart(domo, b"x")
    assert await domo.abort_multipart_session(session_id) is None
    assert emulator.open_sessions == []
    assert emulator.files == {}
    for call in (
        domo.upload_part(session_id, 1, b"x"),
        domo.commit_multipart_session(session_id),
        domo.abort_multipart_session(session_id),
    ):
        with pytest.raises(NotFoundError):
            await call


@pytest.mark.parametrize(
    ("checksum", "sent"),
    [(COMPUTE, digest(b"abc")), (None, None), (digest(b"abc").upper(), digest(b"abc"))],
    ids=["computed", "none", "given"],
)
async def test_a_part_goes_with_the_checksum_that_was_asked_for(domo, emulator, checksum, sent):
    session_id = await multipart(domo)
    await domo.upload_part(session_id, 1, memoryview(b"abc"), checksum=checksum)
    assert emulator.requests[-1].operation == "upload_part"
    assert emulator.requests[-1].query.get("checksum") == sent
    made = await domo.commit_multipart_session(session_id)
    assert await emulator.content(made.data_file_id) == b"abc"


async def test_a_part_with_another_checksum_is_refused(domo, emulator):
    session_id = await multipart(domo)
    with pytest.raises(ChecksumMismatchError):
        await domo.upload_part(session_id, 1, b"abc", checksum=digest(b"abd"))
    with pytest.raises(ConflictError):
        await domo.commit_multipart_session(session_id)
    assert emulator.files == {}


async def test_a_part_that_was_changed_on_its_way_is_sent_again(domo, emulator):
    session_id = await multipart(domo)
    emulator.faults.add("upload_part", corrupt=True)
    await domo.upload_part(session_id, 10, b"abc")
    assert [o.operation for o in emulator.requests].count("upload_part") == 2


async def test_a_safe_file_is_given_at_once(domo, emulator):
    data_file_id = await domo.upload_file(b"x", name="x")
    await emulator.set_scan_state(data_file_id, "SAFE")
    emulator.requests.clear()
    file = await domo.wait_for_scan(data_file_id, timeout=0)
    assert file.current_revision.scan_state == "SAFE"
    assert len(emulator.requests) == 1


@pytest.mark.parametrize("state", ["UNSAFE", "INFECTED", "REJECTED", "FAILED"])
async def test_a_file_that_the_scan_refused_is_an_error(domo, emulator, state):
    data_file_id = await domo.upload_file(b"x", name="x")
    await emulator.set_scan_state(data_file_id, state)
    with pytest.raises(ScanRejectedError, match=state) as caught:
        await domo.wait_for_scan(data_file_id, timeout=60)
    assert (caught.value.data_file_id, caught.value.scan_state) == (data_file_id, state)


@pytest.mark.parametrize("seconds", [0, 0.01])
async def test_a_scan_that_isnt_over_in_time_is_a_time_out(domo, emulator, seconds):
    data_file_id = await domo.upload_file(b"x", name="x")
    await emulator.set_scan_state(data_file_id, "NEVER_SCANNED")
    with pytest.raises(ScanTimeoutError, match=f"{data_file_id} .* within {seconds} s") as caught:
        await domo.wait_for_scan(data_file_id, timeout=seconds)
    assert isinstance(caught.value, TimeoutError)


async def test_a_scan_that_isnt_over_is_said_with_its_state(domo, emulator):
    data_file_id = await domo.upload_file(b"x", name="x")
    await emulator.set_scan_state(data_file_id, "NEVER_SCANNED")
    with pytest.raises(ScanTimeoutError, match="NEVER_SCANNED"):
        await domo.wait_for_scan(data_file_id, timeout=0)


async def test_a_scan_is_waited_for(open_as, emulator):
    looked, looks = asyncio.Event(), []

    def observer(event):
        if isinstance(event, RequestFinished) and event.operation == "get_file":
            looks.append(event)
            if len(looks) > 1:
                looked.set()

    async with open_as(observer=observer) as domo:
        data_file_id = await domo.upload_file(b"x", name="x")
        await emulator.set_scan_state(data_file_id, "SOMETHING_NEW")
        waiting = asyncio.create_task(domo.wait_for_scan(data_file_id, timeout=60))
        await looked.wait()
        assert not waiting.done()
        await emulator.set_scan_state(data_file_id, "SAFE")
        assert (await waiting).data_file_id == data_file_id


async def test_revisions_are_told_one_by_one_and_all_together(product, emulator):
    data_file_id = await product.upload_file(b"one", name="x")
    second = await product.upload_revision(data_file_id, b"second")
    revisions = await product.list_revisions(data_file_id)
    assert {one.data_file_revision_id for one in revisions} == set(emulator.files[data_file_id])
    for revision in revisions:
        got = await product.get_revision(data_file_id, revision.data_file_revision_id)
        assert got == revision
    newest = await product.get_revision(data_file_id, -1)
    assert (newest.data_file_revision_id, newest.size_bytes) == (second, 6)
    with pytest.raises(NotFoundError):
        await product.get_revision(data_file_id, 424242)


async def test_a_revision_is_copied_to_another_file(product, emulator):
    source = await product.upload_file(b"content", name="source", content_type="text/csv")
    target = await product.upload_file(b"old", name="target")
    revision_id = await product.copy_revision(source, target)
    assert emulator.files[target][-1] == revision_id
    assert await emulator.content(target) == b"content"
    file = await product.get_file(target)
    assert (file.name, file.current_revision.content_type) == ("target", "text/csv")


async def test_a_file_is_duplicated(product, emulator):
    source = await product.upload_file(b"content", name="source")
    made = await product.duplicate_file(source)
    assert isinstance(made, DataFile)
    assert made.data_file_id != source
    assert made.name == "source"
    assert await emulator.content(made.data_file_id) == b"content"


async def test_a_file_is_deleted_with_all_its_revisions(product, emulator):
    data_file_id = await product.upload_file(b"one", name="x")
    await product.upload_revision(data_file_id, b"two")
    assert await product.delete_file(data_file_id) is None
    assert emulator.files == {}
    with pytest.raises(NotFoundError):
        await product.delete_file(data_file_id)


PRODUCT_ONLY = {
    "get_revision": (1, 2),
    "list_revisions": (1,),
    "copy_revision": (1, 2),
    "duplicate_file": (1,),
    "delete_file": (1,),
}


@pytest.mark.parametrize("method", PRODUCT_ONLY)
async def test_what_only_the_product_surface_has_isnt_sent_to_the_other(emulator, method):
    async with emulator.session("ada", surface=Surface.APP) as app:
        with pytest.raises(UnsupportedOnSurfaceError, match=f"{method} .*product surface"):
            await getattr(app, method)(*PRODUCT_ONLY[method])
    assert emulator.requests == []


async def test_each_request_goes_to_the_sessions_own_surface(domo, emulator, surface):
    base, header = {
        Surface.APP: ("/domo/data-files/v1", "x-domo-ryuu-session"),
        Surface.PRODUCT: ("/api/data/v1/data-files", "x-domo-developer-token"),
    }[surface]
    await domo.get_file(await domo.upload_file(b"x", name="x"))
    await domo.abort_multipart_session(await multipart(domo, b"x"))
    assert domo.surface is surface
    assert len(emulator.requests) == 5
    credential = emulator.credential("ada")
    for request in emulator.requests:
        assert request.path.startswith(base)
        carrying = [name.lower() for name, value in request.headers.items() if value == credential]
        assert carrying == [header]


async def test_a_credential_that_isnt_known_is_an_authentication_error(emulator, surface):
    make = AppSession if surface is Surface.APP else DeveloperToken
    async with DomoFilesSession(emulator.url, auth=make("wrong-credential")) as domo:
        with pytest.raises(AuthenticationError) as caught:
            await domo.list_files()
    assert caught.value.status == 401
    assert "wrong-credential" not in f"{caught.value}{caught.value!r}{domo!r}"


async def test_another_users_multipart_session_isnt_found(domo, open_as):
    session_id = await multipart(domo, b"x")
    async with open_as("grace") as grace:
        for call in (
            grace.upload_part(session_id, 1, b"mine"),
            grace.commit_multipart_session(session_id),
            grace.abort_multipart_session(session_id),
        ):
            with pytest.raises(NotFoundError):
                await call
    await domo.abort_multipart_session(session_id)


async def test_what_the_engine_uploads_is_what_the_endpoints_see(domo, emulator):
    result = await domo.upload(b"0123456789", name="x.bin", part_size=4, verify="sha256")
    assert result.sha256 == digest(b"0123456789")
    file = await domo.get_file(result.data_file_id)
    assert file.current_revision.data_file_revision_id == result.revision_id
    buffer = io.BytesIO()
    back = await domo.download(result.data_file_id, buffer)
    assert buffer.getvalue() == b"0123456789"
    assert (back.path, back.size_bytes, back.sha256) == (None, 10, result.sha256)


async def test_what_is_written_is_one_file_and_what_fails_is_none(domo, emulator):
    async with domo.open_upload("x.csv", part_size=4) as writer:
        for chunk in (b"01", b"23456", b"789"):
            await writer.write(chunk)
    assert await emulator.content(writer.result.data_file_id) == b"0123456789"
    with pytest.raises(LookupError, match="mine"):
        async with domo.open_upload("y.csv", part_size=4) as writer:
            await writer.write(b"0123456789")
            raise LookupError("mine")
    assert [one.name for one in await domo.list_files()] == ["x.csv"]
    assert emulator.open_sessions == []
