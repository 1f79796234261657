"""What only the real service can tell: whichever way it answers, the client is right."""

import pytest

from domo_files_async import (
    ApiError,
    AuthenticationError,
    DeveloperToken,
    DomoFilesSession,
    NotFoundError,
    OutcomeUnknownError,
    PartUploadError,
    PermissionDeniedError,
    RetryPolicy,
    TransferConfig,
    UploadJournal,
)
from domo_files_async.emulator import Emulator

QUICK = RetryPolicy(initial_backoff=0.001, max_backoff=0.01)
SMALL = TransferConfig(multipart_threshold=1000, part_size=1000)
DATA = bytes(range(256)) * 20


@pytest.fixture
async def emulator():
    async with Emulator() as running:
        yield running


@pytest.fixture
async def domo(emulator):
    async with emulator.session("ada", retry=QUICK, transfer=SMALL) as session:
        yield session


def sent(emulator, operation):
    return [one for one in emulator.requests if one.operation == operation]


@pytest.mark.parametrize("status", [404, 410, 409])
@pytest.mark.parametrize("life", [None, 0.0])
async def test_a_multipart_session_may_live_for_ever_or_not(emulator, domo, tmp_path, life, status):
    source, journal = tmp_path / "x.bin", UploadJournal(tmp_path / "journal")
    source.write_bytes(DATA)
    parked = emulator.faults.add("upload_part", part=4, status=500, times=None)
    with pytest.raises(PartUploadError):
        await domo.upload(source, journal=journal)
    emulator.faults.remove(parked)
    parts = len(sent(emulator, "upload_part"))
    emulator.behaviour.session_life, emulator.behaviour.lost_session_status = life, status

    with domo.observing(lambda event: _then_live(emulator, event)):
        made = await domo.upload(source, journal=journal)
    assert await emulator.content(made.data_file_id) == DATA
    assert sum(map(len, emulator.files.values())) == 1
    again = len(sent(emulator, "upload_part")) - parts
    # Of what was confirmed nothing goes again, unless nobody knows it any more.
    assert again < 6 if life is None else again >= 6
    assert not emulator.open_sessions


def _then_live(emulator, event):
    if type(event).__name__ == "SessionCreated":
        emulator.behaviour.session_life = None


async def test_a_multipart_session_that_ends_in_mid_upload_is_an_error_and_nothing_is_made(
    emulator, domo
):
    def end(event):
        if type(event).__name__ == "PartSent":
            emulator.behaviour.session_life = 0.0

    with domo.observing(end), pytest.raises(PartUploadError) as caught:
        await domo.upload(DATA, name="x")
    assert isinstance(caught.value.cause, NotFoundError)
    assert not emulator.files
    assert not emulator.open_sessions


@pytest.mark.parametrize("status", [0, 409, 400])
async def test_a_commit_with_a_part_missing_may_be_refused_or_make_a_file_of_the_others(
    emulator, domo, status
):
    emulator.behaviour.missing_part_status = status
    # By itself the client never sends one: an upload is whole under either answer.
    made = await domo.upload(DATA, name="whole")
    assert await emulator.content(made.data_file_id) == DATA
    session_id = await domo.create_multipart_session(name="gap", content_type="text/plain")
    await domo.upload_part(session_id, 1, b"one")
    await domo.upload_part(session_id, 3, b"three")
    if status:
        with pytest.raises(ApiError) as caught:
            await domo.commit_multipart_session(session_id)
        assert caught.value.status == status
        await domo.abort_multipart_session(session_id)
    else:
        committed = await domo.commit_multipart_session(session_id)
        assert await emulator.content(committed.data_file_id) == b"onethree"


@pytest.mark.parametrize("least", [None, 1000])
async def test_small_parts_may_be_refused_and_only_the_last_one_of_an_upload_is_small(
    emulator, domo, least, tmp_path
):
    emulator.behaviour.min_part_size = least

    async def chunks():
        for start in range(0, len(DATA), 7):
            yield DATA[start : start + 7]

    (tmp_path / "x").write_bytes(DATA)
    for source in (DATA, tmp_path / "x", chunks()):
        made = await domo.upload(source, name="x")
        assert await emulator.content(made.data_file_id) == DATA
    if least:
        with pytest.raises(ApiError, match="too small"):
            await domo.upload(DATA, name="x", part_size=999)
        assert not emulator.open_sessions


@pytest.mark.parametrize("limit", ["max_part_size", "max_file_size"])
async def test_what_is_too_large_is_told_and_leaves_nothing(emulator, domo, limit):
    setattr(emulator.behaviour, limit, 999)
    with pytest.raises((PartUploadError, ApiError)) as caught:
        await domo.upload(DATA, name="x")
    cause = getattr(caught.value, "cause", caught.value)
    assert cause.status == 413
    assert not emulator.files
    assert not emulator.open_sessions


@pytest.mark.parametrize("etag", [True, False])
@pytest.mark.parametrize("ranges", [True, False])
async def test_downloads_may_have_ranges_and_an_etag_or_not(emulator, domo, tmp_path, ranges, etag):
    made = await domo.upload(DATA, name="x")
    emulator.behaviour.ranges, emulator.behaviour.etag = ranges, etag
    emulator.faults.add("open_download", nth=2, truncate=True)
    got = await domo.download(made.data_file_id, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA
    assert got.sha256
    emulator.faults.clear()


@pytest.mark.parametrize("most", [None, 1])
async def test_a_list_may_be_cut_and_what_is_not_in_it_is_not_taken_for_not_there(
    emulator, domo, most
):
    await domo.upload(b"first", name="first")
    emulator.behaviour.most_listed = most
    emulator.faults.add("upload_file", reset="after")
    if most is None:
        made = await domo.upload(b"second", name="second")
        assert await emulator.content(made.data_file_id) == b"second"
    else:
        with pytest.raises(OutcomeUnknownError):
            await domo.upload(b"second", name="second")
    # In no case is it sent twice.
    assert len(emulator.files) == 2
    assert len(sent(emulator, "upload_file")) == 2


@pytest.mark.parametrize(
    ("status", "error"), [(401, AuthenticationError), (403, PermissionDeniedError)]
)
async def test_a_bad_credential_may_be_401_or_403_and_is_told_at_once(emulator, status, error):
    emulator.behaviour.bad_credential_status = status
    async with DomoFilesSession(emulator.url, auth=DeveloperToken("wrong"), retry=QUICK) as domo:
        with pytest.raises(error):
            await domo.upload(b"x", name="x")
    assert len(emulator.requests) == 1
    assert not emulator.files


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("retry_after", [None, "0", "soon", "Wed, 21 Oct 2015 07:28:00 GMT"])
async def test_too_many_at_once_may_be_429_or_503_with_any_retry_after_and_all_arrives(
    emulator, status, retry_after
):
    emulator.behaviour.most_at_once = 2
    emulator.behaviour.too_many_status = status
    emulator.behaviour.retry_after = retry_after
    patient = RetryPolicy(initial_backoff=0.001, max_backoff=0.02, max_attempts=50, budget=10_000)
    async with emulator.session("ada", retry=patient, transfer=SMALL) as domo:
        made = await domo.upload(DATA * 2, name="x")
    assert await emulator.content(made.data_file_id) == DATA * 2
    assert sum(map(len, emulator.files.values())) == 1


@pytest.mark.parametrize("status", [400, 409, 422])
async def test_a_wrong_checksum_has_some_status_and_the_part_goes_again(emulator, domo, status):
    emulator.behaviour.checksum_status = status
    emulator.faults.add("upload_part", part=2, corrupt=True)
    made = await domo.upload(DATA, name="x")
    assert await emulator.content(made.data_file_id) == DATA


@pytest.mark.parametrize("second", [0, 404, 409, 410])
async def test_a_second_commit_or_abort_may_answer_as_it_likes(emulator, domo, second):
    emulator.behaviour.second_commit_status = second
    emulator.behaviour.second_abort_status = second
    emulator.behaviour.commit_after_abort_status = second or 410
    emulator.faults.add("commit_multipart_session", reset="after")
    made = await domo.upload(DATA, name="x")
    assert await emulator.content(made.data_file_id) == DATA
    assert sum(map(len, emulator.files.values())) == 1
    emulator.faults.add("abort_multipart_session", reset="after")
    emulator.faults.add("upload_part", part=2, status=400)
    with pytest.raises(PartUploadError):
        await domo.upload(DATA, name="y")
    assert not emulator.open_sessions
    assert len(emulator.files) == 1
    session_id = await domo.create_multipart_session(name="z", content_type="text/plain")
    emulator.faults.add("abort_multipart_session", reset="after")
    await domo.abort_multipart_session(session_id)
    assert not emulator.open_sessions


@pytest.mark.parametrize("lag", [0, 3])
async def test_a_revision_may_be_seen_at_once_or_later(emulator, domo, lag):
    made = await domo.upload(DATA, name="x")
    emulator.behaviour.visibility_lag = lag
    emulator.faults.add("commit_multipart_session", reset="after")
    again = await domo.upload(DATA[::-1], data_file_id=made.data_file_id)
    assert again.data_file_id == made.data_file_id
    assert len(emulator.files[made.data_file_id]) == 2
    assert await emulator.content(made.data_file_id, again.revision_id) == DATA[::-1]


@pytest.mark.parametrize("state", ["SAFE", "PENDING", "SOMETHING_NEW"])
async def test_a_scan_may_say_anything(emulator, domo, state):
    emulator.behaviour.scan_state = state
    made = await domo.upload(b"x", name="x")
    file = await domo.get_file(made.data_file_id)
    assert file.current_revision.scan_state == state
