"""Answers that are lost to the endpoint coroutines: found out about, or said to be unknown."""

import pytest

from domo_files_async import (
    CommittedUpload,
    NotFoundError,
    OutcomeSought,
    OutcomeUnknownError,
    RetryPolicy,
    Surface,
)

DATA = bytes(range(256))


def count(emulator, operation):
    return sum(request.operation == operation for request in emulator.requests)


@pytest.fixture
async def product(emulator):
    policy = RetryPolicy(initial_backoff=0.001, max_backoff=0.01)
    async with emulator.session("ada", surface=Surface.PRODUCT, retry=policy) as session:
        yield session


@pytest.fixture
async def files(domo):
    return [await domo.upload_file(DATA * n, name=f"file {n}") for n in (1, 2)]


async def opened(domo, **target):
    if target:
        made = await domo.create_multipart_update_session(
            **target, name="x", content_type="text/csv"
        )
    else:
        made = await domo.create_multipart_session(name="x", content_type="text/csv")
    await domo.upload_part(made, 1, DATA)
    await domo.upload_part(made, 2, DATA)
    return made


async def test_an_upload_of_a_file(domo, emulator):
    emulator.faults.add("upload_file", reset="after")
    data_file_id = await domo.upload_file(DATA, name="x")
    assert list(emulator.files) == [data_file_id]
    assert count(emulator, "upload_file") == 1


async def test_an_upload_of_a_stream(domo, emulator):
    async def chunks():
        yield DATA
        yield DATA

    emulator.faults.add("upload_file", reset="after")
    data_file_id = await domo.upload_file(chunks(), name="x")
    assert await emulator.content(data_file_id) == DATA * 2


async def test_an_upload_of_a_revision(domo, emulator, files):
    emulator.faults.add("upload_revision", reset="after")
    revision_id = await domo.upload_revision(files[0], DATA)
    assert emulator.files[files[0]][-1] == revision_id
    assert len(emulator.files[files[0]]) == 2


@pytest.mark.parametrize("revise", [False, True])
async def test_a_commit(domo, emulator, files, revise):
    session_id = await opened(domo, **({"data_file_id": files[0]} if revise else {}))
    emulator.faults.add("commit_multipart_session", reset="after")
    made = await domo.commit_multipart_session(session_id)
    assert isinstance(made, CommittedUpload)
    assert emulator.files[made.data_file_id][-1] == made.revision_id
    assert count(emulator, "commit_multipart_session") == 1


async def test_a_commit_that_never_arrived_is_sent_again(domo, emulator):
    session_id = await opened(domo)
    emulator.faults.add("commit_multipart_session", reset="before")
    made = await domo.commit_multipart_session(session_id)
    assert list(emulator.files) == [made.data_file_id]


async def test_a_commit_of_a_session_that_was_opened_elsewhere(domo, emulator):
    async with emulator.session("ada") as other:
        session_id = await opened(other)
    emulator.faults.add("commit_multipart_session", reset="after")
    with pytest.raises(OutcomeUnknownError, match="committed already") as caught:
        await domo.commit_multipart_session(session_id)
    assert caught.value.session_id == session_id
    assert len(emulator.files) == 1


async def test_a_commit_that_is_refused_is_the_refusal(domo, emulator):
    with pytest.raises(NotFoundError):
        await domo.commit_multipart_session("12345")


async def test_a_copy(product, emulator):
    source = await product.upload_file(DATA, name="one")
    target = await product.upload_file(b"two", name="two")
    emulator.faults.add("copy_revision", reset="after")
    revision_id = await product.copy_revision(source, target)
    assert emulator.files[target][1:] == [revision_id]
    assert count(emulator, "copy_revision") == 1


async def test_a_duplicate(product, emulator):
    source = await product.upload_file(DATA, name="one")
    emulator.faults.add("duplicate_file", reset="after")
    duplicate = await product.duplicate_file(source)
    assert list(emulator.files) == [source, duplicate.data_file_id]


@pytest.mark.parametrize("operation", ["copy_revision", "duplicate_file"])
async def test_what_left_no_trace_is_unknown_and_never_repeated(product, emulator, operation):
    source = await product.upload_file(DATA, name="one")
    target = await product.upload_file(b"two", name="two")
    emulator.faults.add(operation, reset="before")
    arguments = (source, target) if operation == "copy_revision" else (source,)
    with pytest.raises(OutcomeUnknownError) as caught:
        await getattr(product, operation)(*arguments)
    assert caught.value.operation == operation
    assert count(emulator, operation) == 1


async def test_when_nothing_can_be_asked_it_is_unknown(domo, emulator, files):
    emulator.faults.add("upload_revision", reset="after")
    emulator.faults.add("get_file", status=403, times=6)
    with pytest.raises(OutcomeUnknownError, match="403"):
        await domo.upload_revision(files[0], DATA)


@pytest.mark.parametrize("reset", ["before", "after"])
async def test_a_deletion(domo, emulator, files, reset):
    revision_id = emulator.files[files[0]][0]
    emulator.faults.add("delete_revision", reset=reset)
    await domo.delete_revision(files[0], revision_id)
    assert list(emulator.files) == files[1:]


async def test_a_deletion_of_what_was_never_there_is_an_error(domo, emulator, files):
    with pytest.raises(NotFoundError):
        await domo.delete_revision(files[0], 1)


async def test_an_abort(domo, emulator):
    session_id = await opened(domo)
    emulator.faults.add("abort_multipart_session", reset="after")
    await domo.abort_multipart_session(session_id)
    assert not emulator.open_sessions


async def test_a_change_of_permissions(domo, emulator, files):
    emulator.faults.add("update_permissions", reset="after")
    permissions = await domo.get_permissions(files[0])
    await domo.update_permissions(files[0], permissions.with_public_access(True))
    assert (await domo.get_permissions(files[0])).public_access


async def test_the_observer_is_told_what_was_found(emulator):
    seen = []
    async with emulator.session("ada", observer=seen.append) as domo:
        emulator.faults.add("upload_file", reset="after")
        await domo.upload_file(DATA, name="x")
    (sought,) = [event for event in seen if isinstance(event, OutcomeSought)]
    assert (sought.operation, sought.verdict) == ("upload_file", "made")


LAG = 3


async def test_a_file_that_shows_late_is_found(domo, emulator):
    emulator.behaviour.visibility_lag = LAG
    emulator.faults.add("upload_file", reset="after")
    data_file_id = await domo.upload_file(DATA, name="x")
    assert list(emulator.files) == [data_file_id]
    # All files are listed once a look, and those alike once more with their revisions.
    assert count(emulator, "list_files") == LAG + 1 + 1


async def test_many_files_are_listed_without_their_revisions(domo, emulator):
    for number in range(5):
        await domo.upload_file(DATA, name=f"{number}")
    emulator.faults.add("upload_file", reset="after")
    made = await domo.upload_file(DATA, name="3")
    everything, alike = [one for one in emulator.requests if one.operation == "list_files"]
    assert "expand" not in everything.query
    assert set(alike.query) & {"ids", "dataFileIds"}
    assert alike.query["expand"] == "revisions"
    assert str(made) in " ".join(alike.query.values())
    assert len(emulator.files) == 6


async def test_a_revision_that_shows_late_is_found(domo, emulator, files):
    emulator.behaviour.visibility_lag = LAG
    emulator.faults.add("upload_revision", reset="after")
    revision_id = await domo.upload_revision(files[0], DATA)
    assert emulator.files[files[0]][1:] == [revision_id]
    assert count(emulator, "upload_revision") == 1


@pytest.mark.parametrize("second", [409, 200, 404])
@pytest.mark.parametrize("revise", [False, True])
async def test_a_commit_that_shows_late_makes_one_revision(domo, emulator, files, revise, second):
    session_id = await opened(domo, **({"data_file_id": files[0]} if revise else {}))
    emulator.behaviour.visibility_lag = LAG
    emulator.behaviour.second_commit_status = second
    emulator.faults.add("commit_multipart_session", reset="after")
    made = await domo.commit_multipart_session(session_id)
    before = emulator.files
    assert before[made.data_file_id][-1] == made.revision_id
    assert sum(map(len, before.values())) == len(files) + 1


async def test_a_copy_that_shows_late_is_found(product, emulator):
    source = await product.upload_file(DATA, name="one")
    target = await product.upload_file(b"two", name="two")
    emulator.behaviour.visibility_lag = LAG
    emulator.faults.add("copy_revision", reset="after")
    revision_id = await product.copy_revision(source, target)
    assert emulator.files[target][1:] == [revision_id]


async def test_a_duplicate_that_shows_late_is_found(product, emulator):
    source = await product.upload_file(DATA, name="one")
    emulator.behaviour.visibility_lag = LAG
    emulator.faults.add("duplicate_file", reset="after")
    duplicate = await product.duplicate_file(source)
    assert list(emulator.files) == [source, duplicate.data_file_id]
