from __future__ import annotations

import asyncio
import gc
import os
import sqlite3
from contextlib import aclosing
from pathlib import Path

import pytest

from domo_files_async import (
    AuthenticationError,
    DeveloperToken,
    DomoFilesSession,
    Grant,
    InvalidArgumentError,
    JournalError,
    OutcomeUnknownError,
    PermissionEntry,
    RateLimitedError,
    SessionStateError,
    TransferError,
    bulk,
)
from domo_files_async.bulk.journal import Journal
from tests.arrivals import Arrivals


async def test_all_files_of_a_folder_are_there_once_under_their_paths(
    job, domo, folder, do, stored, wanted
):
    assert await job.add(bulk.from_directory(folder)) == 12
    outcomes = await do(job, domo)
    assert {str(one.status) for one in outcomes} == {"uploaded"}
    assert await stored() == wanted(folder)
    assert {one.data_file_id for one in outcomes} == {
        one.data_file_id for one in await domo.list_files()
    }


async def test_a_file_is_one_item_from_wherever_and_however_it_is_named(
    job, domo, folder, do, tmp_path, monkeypatch
):
    monkeypatch.chdir(folder)
    assert await job.add(bulk.from_directory(".")) == 12
    monkeypatch.chdir(tmp_path)
    for same in (folder.name, f"./{folder.name}", f"{folder.name}/../{folder.name}/", folder):
        assert await job.add(bulk.from_directory(same)) == 0
    # A relative path of then is still the same file.
    monkeypatch.chdir("/")
    assert {str(one.status) for one in await do(job, domo)} == {"uploaded"}


async def test_what_is_done_is_skipped_without_a_request_in_the_same_job_and_a_later_one(
    path, product, emulator, folder, do
):
    for _ in range(3):
        async with bulk.Job(path) as job:
            await job.add(bulk.from_directory(folder))
            outcomes = await do(job, product)
            before = len(emulator.requests)
            again = await do(job, product)
        assert [str(one.status) for one in again] == ["skipped"] * 12
        assert {one.data_file_id for one in again} == {one.data_file_id for one in outcomes}
        assert len(emulator.requests) == before
    assert before == 13  # and one that asked the time


async def test_a_file_that_was_changed_becomes_a_revision_of_its_data_file(
    job, product, folder, do, emulator
):
    await job.add(bulk.from_directory(folder))
    first = {one.item.name: one.data_file_id for one in await do(job, product)}
    (folder / "part0" / "0.txt").write_bytes(b"other than before")
    await job.add(bulk.from_directory(folder))
    planned = [one async for one in job.plan() if one.action != "skip"]
    assert [(one.item.name, str(one.action)) for one in planned] == [("part0/0.txt", "revise")]
    (revised,) = [one for one in await do(job, product) if one.status == "revised"]
    assert revised.data_file_id == first["part0/0.txt"]
    assert await emulator.content(revised.data_file_id) == b"other than before"
    assert {str(one.status) for one in await do(job, product)} == {"skipped"}


async def test_the_plan_says_what_would_be_done_and_why_and_sends_nothing(
    job, product, emulator, tmp_path
):
    there = await product.upload_file(b"x", name="x")
    (tmp_path / "a.txt").write_bytes(b"a")
    (tmp_path / "plan.csv").write_text(
        f"source,data_file_id\na.txt,\na.txt,{there}\na.txt,{there + 1000}\nnone.txt,\n"
    )
    await job.add(bulk.from_manifest(tmp_path / "plan.csv"))
    before = len(emulator.requests)
    planned = [(str(one.action), one.because) async for one in job.plan(product)]
    assert planned == [
        ("upload", "new"),
        ("revise", "asked for"),
        ("skip", f"its source or data file {there + 1000} isn't there"),
        ("skip", "its source isn't there"),
    ]
    assert [one.operation for one in emulator.requests[before:]] == ["list_files"]


async def test_a_line_of_a_manifest_may_say_all_that_an_upload_may(
    job, domo, do, tmp_path, emulator
):
    there = await domo.upload_file(b"old", name="kept")
    (tmp_path / "a.txt").write_bytes(b"a")
    user = emulator.user_id("grace")
    (tmp_path / "list.jsonl").write_text(
        '{"source": "a.txt", "name": "é&#.txt", "description": "what", "public": true, '
        f'"content_type": "text/x", "grants": ["USER:{user}:READ_WRITE"]}}\n\n'
        f'{{"source": "{tmp_path}/a.txt", "data_file_id": {there}}}\n'
    )
    await job.add(bulk.from_manifest(tmp_path / "list.jsonl"))
    made, revised = sorted(await do(job, domo), key=lambda one: str(one.status), reverse=True)
    file = await domo.get_file(made.data_file_id, expand=("metadata",))
    assert (file.name, file.metadata.description) == ("é&#.txt", "what")
    assert file.current_revision.content_type == "text/x"
    permissions = await domo.get_permissions(made.data_file_id)
    assert permissions.public_access
    assert PermissionEntry("USER", user, Grant.READ | Grant.WRITE).grant in {
        one.grant for one in permissions.entries if one.entity_id == str(user)
    }
    assert revised.status == "revised"
    assert (await domo.get_file(there)).name == "kept"
    assert await emulator.content(there) == b"a"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "sauce\nx\n", "line 1.*sauce"),
        ("a.csv", "source,name\nx\n", "line 2.*as many fields"),
        ("a.csv", "source,public\nx,perhaps\n", "line 2.*public"),
        ("a.jsonl", '{"source": "x"}\n[]\n', "line 2.*no JSON object"),
        ("a.jsonl", "nonsense\n", "line 1"),
        ("a.jsonl", '{"source": "x", "grants": ["me"]}\n', "line 1.*USER:"),
        ("a.txt", "x\n", "csv"),
    ],
)
def test_a_manifest_that_can_not_be_right_is_refused_with_its_line(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidArgumentError, match=said):
        list(bulk.from_manifest(tmp_path / name))


async def test_one_bad_file_fails_alone_and_is_done_once_it_is_good(
    job, product, folder, do, stored, wanted, tmp_path
):
    await job.add([bulk.Item(source=str(folder / "new.txt"), name="new.txt")])
    await job.add(bulk.from_directory(folder))
    outcomes = await do(job, product)
    (failed,) = [one for one in outcomes if one.status == "failed"]
    assert (str(failed.failure), failed.item.name) == ("person", "new.txt")
    assert "No such file" in str(failed.error)
    assert len(await stored()) == 12
    (folder / "new.txt").write_bytes(b"here now")
    outcomes = await do(job, product)
    assert sorted(str(one.status) for one in outcomes) == ["skipped"] * 12 + ["uploaded"]
    assert await stored() == wanted(folder)


async def test_what_could_be_mended_is_tried_in_later_passes(
    job, product, folder, do, emulator, stored, wanted
):
    emulator.faults.add("upload_file", status=429, times=17)
    await job.add(bulk.from_directory(folder))
    outcomes = await do(job, product, concurrency=3)
    assert {str(one.status) for one in outcomes} == {"uploaded"}
    assert not emulator.faults.pending
    assert await stored() == wanted(folder)


async def test_what_fails_in_all_passes_is_told_once_and_done_by_a_later_run(
    job, product, folder, do, emulator, stored, wanted
):
    emulator.faults.add("upload_file", status=429, times=None)
    await job.add(bulk.from_directory(folder))
    outcomes = await do(job, product, passes=2, max_failure_rate=None)
    assert [(str(one.status), str(one.failure)) for one in outcomes] == [("failed", "later")] * 12
    emulator.faults.clear()
    assert {str(one.status) for one in await do(job, product)} == {"uploaded"}
    assert await stored() == wanted(folder)


async def test_what_was_refused_for_good_is_sent_again_once_a_person_says_so(
    job, product, do, emulator, tmp_path
):
    source = tmp_path / "one"
    source.write_bytes(b"1")
    emulator.faults.add("upload_file", status=413)
    await job.add([bulk.Item(source=source)])
    (failed,) = await do(job, product)
    assert (failed.status, failed.failure) == ("failed", "never")
    await job.resolve(str(source), data_file_id=None)
    (outcome,) = await do(job, product)
    assert outcome.status == "uploaded"
    # Somebody deleted it there.
    await product.delete_file(outcome.data_file_id)
    (skipped,) = await do(job, product)
    assert skipped.status == "skipped"
    await job.resolve(str(source), data_file_id=None)
    with pytest.raises(InvalidArgumentError, match="No item"):
        await job.resolve(str(source), data_file_id=None)
    (again,) = await do(job, product)
    assert again.status == "uploaded"
    assert [*emulator.files] == [again.data_file_id]


async def test_what_changed_and_is_told_once_its_turn_is_over_is_sent_in_the_same_run(
    job, product, emulator, tmp_path, do
):
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.write_bytes(b"1")
    await job.add([bulk.Item(source=path) for path in paths])
    await do(job, product)
    for path in paths:
        path.write_bytes(b"second")
    second = asyncio.Event()

    async def in_another_order():
        yield bulk.Item(source=paths[1])
        await second.wait()
        yield bulk.Item(source=paths[0])

    async def first_page():
        await job.add([bulk.Item(source=paths[1])])
        await job.add(in_another_order())

    adding = asyncio.create_task(first_page())
    revised = []
    async for outcome in job.run(product):
        if outcome.status == "revised":
            revised.append(outcome.item.source)
            second.set()
    await adding
    assert revised == [str(paths[1]), str(paths[0])]
    assert all(len(one) == 2 for one in emulator.files.values())
    status = await job.status()
    assert (status.done, status.items) == (2, 2)


async def test_a_job_that_is_run_through_a_link_is_the_same(job, product, emulator, path, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(path)
    (tmp_path / "a").write_bytes(b"1")
    await job.add([bulk.Item(source=tmp_path / "a")])
    async with bulk.Job(link) as other:
        async for _ in job.run(product):
            with pytest.raises(JournalError, match="Another process"):
                await anext(other.run(product))
    assert len(emulator.files) == 1


async def test_a_journal_that_was_cut_short_is_damaged(path):
    path.write_bytes(b"S")
    with pytest.raises(JournalError, match="damaged"):
        async with bulk.Job(path):
            pass
    assert path.read_bytes() == b"S"


async def test_what_is_made_and_waits_for_its_access_is_not_as_it_should_be(
    job, product, emulator, do, tmp_path
):
    (tmp_path / "a").write_bytes(b"1")
    await job.add([bulk.Item(source=tmp_path / "a")])
    await do(job, product)
    await job.journal.write("UPDATE items SET state = 'made', needs_access = 1", ())
    (difference,) = [one async for one in bulk.verify(job, product)]
    assert (difference.kind, difference.detail) == ("undone", "it is made")


@pytest.mark.parametrize(
    ("status", "ended", "kind"),
    [(429, "failed", RateLimitedError), (503, "unknown", OutcomeUnknownError)],
)
async def test_what_is_told_at_the_end_of_a_run_has_its_error_and_not_only_the_words(
    job, product, do, emulator, tmp_path, status, ended, kind
):
    emulator.faults.add("upload_file", status=status, times=None)
    (tmp_path / "one").write_bytes(b"1")
    await job.add([bulk.Item(source=tmp_path / "one")])
    (outcome,) = await do(job, product, passes=1)
    assert (outcome.status, type(outcome.error)) == (ended, kind)
    # It keeps nothing of what was sent in memory.
    assert outcome.error.__traceback__ is None
    (outcome,) = await do(job, product, passes=0)
    assert (outcome.status, str(outcome.error)) == (ended, str(outcome.error))


async def test_what_the_server_refuses_for_good_is_not_sent_again(
    job, product, folder, do, emulator
):
    fault = emulator.faults.add("upload_file", status=400, times=1)
    await job.add(bulk.from_directory(folder))
    (failed,) = [one for one in await do(job, product) if one.status == "failed"]
    assert str(failed.failure) == "never"
    before = len(emulator.requests)
    again = [one for one in await do(job, product) if one.status != "skipped"]
    assert [(str(one.status), one.item) for one in again] == [("failed", failed.item)]
    assert len(emulator.requests) == before
    assert fault.met == 1


async def test_a_refused_credential_ends_the_run_marks_nothing_and_says_so(
    job, product, folder, do, emulator, stored, wanted
):
    await job.add(bulk.from_directory(folder))
    wrong = DomoFilesSession(emulator.url, auth=DeveloperToken("expired"))
    async with wrong:
        with pytest.raises(AuthenticationError, match="Check the credential"):
            await do(job, wrong)
    status = await job.status()
    assert (status.waiting, status.failed, status.is_running) == (12, 0, False)
    assert "401" in status.ended_because
    await do(job, product)
    assert await stored() == wanted(folder)


async def test_a_credential_that_expires_in_mid_run_ends_it_and_a_new_one_goes_on(
    job, product, folder, do, emulator, stored, wanted
):
    emulator.faults.add("upload_file", nth=5, times=None, status=401)
    await job.add(bulk.from_directory(folder))
    with pytest.raises(AuthenticationError):
        await do(job, product, concurrency=2)
    assert (await job.status()).failed == 0
    emulator.faults.clear()
    await do(job, product)
    assert await stored() == wanted(folder)


async def test_a_run_ends_at_the_first_failure_where_that_is_asked_for(
    job, product, folder, do, emulator
):
    emulator.faults.add("upload_file", nth=3, status=400)
    await job.add(bulk.from_directory(folder))
    with pytest.raises(TransferError, match="as asked"):
        await do(job, product, fail_fast=True, concurrency=1)
    assert (await job.status()).waiting == 9


async def test_a_run_pauses_when_most_items_fail(job, product, do, emulator, tmp_path):
    emulator.faults.add("upload_file", status=403, times=None)
    for number in range(150):
        (tmp_path / f"{number}.x").write_bytes(b"x")
    await job.add(bulk.from_directory(tmp_path, pattern="*.x"))
    with pytest.raises(TransferError, match="100% of the last 100"):
        await do(job, product, concurrency=4)
    assert (await job.status()).waiting > 0


async def test_a_server_that_is_down_is_waited_for(
    job, product, do, emulator, tmp_path, stored, wanted
):
    made = tmp_path / "many"
    made.mkdir()
    for number in range(200):
        (made / f"{number}.x").write_bytes(b"%d" % number)
    down = emulator.faults.add("upload_file", status=429, times=None)
    emulator.requests = Arrivals()
    emulator.faults.add("list_files", nth=2, maintenance=True, times=5)
    await job.add(bulk.from_directory(made))
    running = asyncio.create_task(do(job, product, concurrency=4, max_failure_rate=0.9))
    await emulator.requests.until("list_files", 2)
    assert len([one for one in emulator.requests if one.operation == "upload_file"]) < 800
    emulator.faults.clear()
    assert down.met
    assert {str(one.status) for one in await running} == {"uploaded"}
    assert await stored() == wanted(made)


async def test_a_server_that_stays_down_ends_the_run(job, product, do, emulator, tmp_path):
    for number in range(150):
        (tmp_path / f"{number}.x").write_bytes(b"x")
    emulator.faults.add("upload_file", status=429, times=None)
    await job.add(bulk.from_directory(tmp_path, pattern="*.x"))
    with pytest.raises(TransferError, match="of the last 100"):
        await do(job, product, patience=0)
    assert (await job.status()).waiting > 0


async def test_a_parked_run_finishes_what_is_under_way_and_goes_on_later(
    job, product, folder, do, emulator, stored, wanted
):
    await job.add(bulk.from_directory(folder))
    outcomes = []
    async for outcome in job.run(product, concurrency=2, settle=0):
        outcomes.append(outcome)
        job.park()
    assert 0 < len(outcomes) < 12
    status = await job.status()
    assert (status.done, status.ended_because) == (len(outcomes), "parked")
    assert len(emulator.files) == len(outcomes)
    await do(job, product)
    assert await stored() == wanted(folder)


async def test_a_run_that_is_left_early_sends_nothing_twice_when_it_is_run_again(
    job, product, folder, do, stored, wanted
):
    await job.add(bulk.from_directory(folder))
    for _ in range(3):
        run = job.run(product, settle=0.2)
        await anext(run)
        await run.aclose()
    await do(job, product, settle=0.2)
    assert await stored() == wanted(folder)


async def test_a_run_that_is_left_within_its_job_has_ended_when_the_job_is_closed(
    path, product, folder, stored, wanted, do
):
    unheard = []
    asyncio.get_running_loop().set_exception_handler(lambda _, said: unheard.append(said))
    async with bulk.Job(path) as job:
        await job.add(bulk.from_directory(folder))
        run = job.run(product, settle=0.2)
        await anext(run)
    async with bulk.Job(path) as again:
        assert not (await again.status()).is_running
        await do(again, product, settle=0.2)
    del run
    gc.collect()
    await asyncio.sleep(0)
    assert await stored() == wanted(folder)
    assert unheard == []


async def test_a_session_that_is_closed_before_its_job_leaves_nothing_failed(
    path, folder, emulator, stored, wanted, do
):
    emulator.faults.add("upload_file", rate=100, times=None)
    async with bulk.Job(path) as job:
        await job.add(bulk.from_directory(folder))
        async with emulator.session("ada") as domo:
            run = job.run(domo, concurrency=2)
            await anext(run)
        with pytest.raises(SessionStateError):
            assert [outcome async for outcome in run if outcome.error] == []
        assert (await job.status()).failed == 0
        emulator.faults.clear()
        async with emulator.session("ada") as again:
            await do(job, again, settle=0.2)
    assert await stored() == wanted(folder)


async def test_who_waits_for_an_outcome_when_the_job_is_closed_is_told(
    path, product, tmp_path, emulator
):
    emulator.requests = Arrivals()
    emulator.faults.add("upload_file", stall=60)
    (tmp_path / "one").write_bytes(b"1")
    async with bulk.Job(path) as job:
        await job.add([bulk.Item(source=tmp_path / "one")])
        run = job.run(product)
        waiting = asyncio.ensure_future(anext(run))
        await emulator.requests.until("upload_file")
    with pytest.raises(SessionStateError, match="run it again"):
        await waiting


@pytest.mark.parametrize(
    "options",
    [
        {"concurrency": 0},
        {"concurrency": 1.5},
        {"large_concurrency": True},
        {"passes": -1},
        {"pass_delay": -1},
        {"settle": float("nan")},
        {"patience": None},
        {"max_failure_rate": 50},
        {"max_failure_rate": "all"},
    ],
)
async def test_an_option_that_can_not_be_right_is_refused_before_anything_is_begun(
    job, product, options
):
    (name,) = options
    with pytest.raises(InvalidArgumentError, match=f"^{name} must be"):
        job.run(product, **options)


async def test_what_was_uploaded_and_is_gone_since_is_done(job, product, do, tmp_path, writes):
    gone = tmp_path / "gone.txt"
    gone.write_bytes(b"here")
    (tmp_path / "list.csv").write_text("source\ngone.txt\n")
    await job.add(bulk.from_manifest(tmp_path / "list.csv"))
    await do(job, product)
    gone.unlink()
    await job.add(bulk.from_manifest(tmp_path / "list.csv"))
    assert [planned.action async for planned in job.plan(product)] == ["skip"]
    assert [outcome.status for outcome in await do(job, product)] == ["skipped"]
    assert writes() == 1


async def test_items_added_while_it_runs_are_done_by_the_same_run(
    job, product, do, emulator, folder, stored, wanted
):
    *early, last = bulk.from_directory(folder)
    runs = asyncio.Event()

    async def late():
        await runs.wait()
        yield last

    emulator.requests = Arrivals()
    await job.add(early)
    adding = asyncio.create_task(job.add(late()))
    await asyncio.sleep(0)
    running = asyncio.create_task(do(job, product))
    await emulator.requests.until("upload_file", 11)
    runs.set()
    assert (len(await running), await adding) == (12, 1)
    assert await stored() == wanted(folder)


async def test_large_items_do_not_keep_small_ones_waiting(job, product, tmp_path, emulator):
    (tmp_path / "d").mkdir()
    for number in range(6):
        with (tmp_path / "d" / f"{number}.large").open("wb") as large:
            large.truncate(17_000_000)
    (tmp_path / "d" / "small").write_bytes(b"small")
    emulator.faults.add("upload_part", stall=0.3, times=None)
    await job.add(bulk.from_directory(tmp_path / "d"))
    run = job.run(product, large_concurrency=2)
    assert (await anext(run)).item.name == "small"
    assert len([one async for one in run]) == 6


async def test_a_file_of_several_parts_is_as_private_as_was_asked(
    job, domo, do, tmp_path, emulator
):
    with (tmp_path / "large").open("wb") as large:
        large.truncate(17_000_000)
    await job.add(bulk.from_directory(tmp_path, pattern="large"))
    (outcome,) = await do(job, domo)
    assert not (await domo.get_permissions(outcome.data_file_id)).public_access


async def test_two_runs_of_one_job_at_once_are_refused(path, job, product, folder):
    await job.add(bulk.from_directory(folder))
    run = job.run(product)
    await anext(run)
    async with bulk.Job(path) as other:
        assert (await other.status()).is_running
        with pytest.raises(JournalError, match="Another process"):
            await anext(other.run(product))
    await run.aclose()


async def test_a_file_that_is_no_journal_is_refused_and_left_as_it_was(tmp_path):
    text = tmp_path / "text"
    text.write_bytes(b"these are my notes, not a database" * 100)
    with sqlite3.connect(tmp_path / "other") as other:
        other.execute("CREATE TABLE mine (x)")
    other.close()
    for place, said in (
        (text, "can't be used"),
        (tmp_path / "other", "isn.t the journal of a job"),
    ):
        before = place.read_bytes()
        with pytest.raises(JournalError, match=said):
            async with bulk.Job(place):
                pass
        assert place.read_bytes() == before


async def test_a_journal_is_for_its_owner_and_holds_no_credential(
    path, product, emulator, folder, do
):
    async with bulk.Job(path) as job:
        await job.add(bulk.from_directory(folder))
        await do(job, product)
        assert path.stat().st_mode & 0o777 == 0o600
    assert emulator.credential("ada").encode() not in path.read_bytes()


@pytest.fixture
def odd(tmp_path):
    folder = tmp_path / "odd"
    folder.mkdir()
    for name in (b"n\xe9e.txt", b"new\nline", "ü".encode()):
        Path(os.fsdecode(bytes(folder) + b"/" + name)).write_bytes(name)
    return folder


async def test_paths_that_are_no_unicode_are_uploaded_too(job, product, do, odd):
    await job.add(bulk.from_directory(odd))
    outcomes = await do(job, product)
    assert sorted(one.item.name for one in outcomes) == ["n?e.txt", "new_line", "ü"]
    assert {str(one.status) for one in outcomes} == {"uploaded"}
    assert {str(one.status) for one in await do(job, product)} == {"skipped"}


async def test_what_callers_write_at_once_is_one_transaction(tmp_path):
    journal = Journal(tmp_path / "x")
    await journal.open()
    await journal.add([bulk.Item(source=f"{number}") for number in range(50)])
    statement = "UPDATE items SET because = ? WHERE number = ?"
    written = []
    await journal._do(lambda: journal._open_database.set_trace_callback(written.append))
    await asyncio.gather(*(journal.write(statement, ("x", n + 1)) for n in range(50)))
    assert written.count("BEGIN IMMEDIATE") <= 2
    assert await journal.ask("SELECT count(*) FROM items WHERE because = 'x'") == [(50,)]
    await journal.close()


async def test_patterns_stay_within_one_name_unless_they_say_otherwise(tmp_path):
    for name in ("a.txt", "b.csv", "x/c.txt", "x/y/d.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")

    def found(pattern):
        return sorted(one.name for one in bulk.from_directory(tmp_path, pattern=pattern))

    assert found("**/*") == ["a.txt", "b.csv", "x/c.txt", "x/y/d.txt"]
    assert found("*") == ["a.txt", "b.csv"]
    assert found("**/*.txt") == ["a.txt", "x/c.txt", "x/y/d.txt"]
    assert found("x/*.txt") == ["x/c.txt"]
    assert found("[!a].*") == ["b.csv"]
    assert sorted(one.name for one in bulk.from_glob(f"{tmp_path}/x/**/*.txt")) == [
        "c.txt",
        "y/d.txt",
    ]


async def test_links_are_left_out_unless_asked_for_and_never_end_in_a_circle(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "f").write_bytes(b"")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "g").symlink_to(tmp_path / "a" / "f")
    assert [one.name for one in bulk.from_directory(tmp_path)] == ["a/f"]
    followed = [one.name for one in bulk.from_directory(tmp_path, follow_symlinks=True)]
    assert {"a/f", "g"} <= set(followed)


async def test_a_change_that_cannot_be_written_is_told_and_the_next_one_is_written(path):
    journal = Journal(path)
    await journal.open()
    try:
        with pytest.raises(JournalError):
            await journal.write("UPDATE nothing SET size = ?", (1,))
        with pytest.raises(OverflowError):
            await journal.write("UPDATE items SET size = ?", (2**70,))
        await journal.write("UPDATE items SET size = ?", (1,))
    finally:
        await journal.close()


@pytest.mark.parametrize("by_link", [False, True], ids=["itself", "a link"])
async def test_a_job_in_its_own_folder_leaves_out_its_journal_and_comes_to_rest(
    tmp_path, product, do, emulator, by_link
):
    folder = tmp_path / "proj"
    folder.mkdir()
    others = {"1.txt", "job", "job.csv", "job-lock.txt", "job-uploads.csv"}
    for name in others - {"job"}:
        (folder / name).touch()
    (folder / "in").mkdir()
    # Another job's, of the same name.
    (folder / "in" / "job").touch()
    # What a killed run leaves.
    (folder / "job-uploads-owner-0123456789abcdef").touch()
    path = folder / "job"
    if by_link:
        path = tmp_path / "linked"
        path.symlink_to(folder, target_is_directory=True)
        path /= "job"
    for run in range(3):
        async with bulk.Job(path) as job:
            await job.add(bulk.from_directory(folder))
            outcomes = await do(job, product)
            # All its files are there while it is open.
            async with aclosing(job.run(product)) as running:
                async for _ in running:
                    await job.add(bulk.from_directory(folder))
        assert {one.item.name for one in outcomes} == others - {"job"} | {"in/job"}
        assert {str(one.status) for one in outcomes} == {"skipped" if run else "uploaded"}
    assert len(emulator.files) == 5
    assert all(len(revisions) == 1 for revisions in emulator.files.values())


async def test_a_jobs_journal_is_left_out_by_its_relative_path_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with bulk.Job("job.sqlite") as job:
        (tmp_path / "job.sqlite-list").touch()
        sources = ("job.sqlite", "./job.sqlite-wal", "job.sqlite-uploads", "job.sqlite-list")
        assert await job.add(bulk.Item(source=one) for one in sources) == 1
        assert await job.add(bulk.Item(source=f"s3://bucket/{one}") for one in sources) == 4
