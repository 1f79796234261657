"""Jobs on the command line, in this process and as processes."""

from __future__ import annotations

import json
import signal
import sqlite3

import pytest

from tests.arrivals import Arrivals


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(20):
        (folder / f"{number}.txt").write_text(str(number))
    return folder


def test_a_job_is_planned_run_verified_and_reported(local, run, files, tmp_path):
    planned = local("bulk", "plan", "job", files, "--json")
    assert [line["action"] for line in planned.lines] == ["upload"] * 20
    assert "20 to upload" in planned.err
    done = local("bulk", "run", "job", files)
    assert (done.code, done.out) == (0, "")
    assert "20 done, 0 were done before" in done.err
    again = local("bulk", "run", "job", files, "--json")
    assert [line["status"] for line in again.lines] == ["skipped"] * 20
    assert local("bulk", "verify", "job").code == 0
    reported = run("bulk", "report", "job", "--html", "r.html", "--id-map", "ids.csv")
    assert reported.code == 0
    assert "All 20 files are there" in (tmp_path / "r.html").read_text()
    assert len((tmp_path / "ids.csv").read_text().splitlines()) == 21
    (status,) = run("bulk", "status", "job", "--json").lines
    assert (status["done"], status["is_running"]) == (20, False)


def test_what_failed_is_said_and_the_exit_code_is_1(local, files, tmp_path):
    (tmp_path / "list.csv").write_text("source\ndata/1.txt\nnowhere.txt\n")
    done = local("bulk", "run", "job", "--manifest", "list.csv")
    assert done.code == 1
    assert "nowhere.txt failed" in done.err
    assert "1 done, 0 were done before, 1 failed" in done.err
    verified = local("bulk", "verify", "job", "--json")
    assert (verified.code, [line["kind"] for line in verified.lines]) == (1, ["undone"])


@pytest.mark.parametrize(
    "words",
    [
        ("bulk", "status", "nowhere"),
        ("bulk", "resolve", "job", "x"),
        ("bulk", "resolve", "job", "x", "--made", "1", "--send-again"),
        ("bulk", "run", "job", "--manifest", "list.txt", "--local", "there"),
        ("migrate", "job"),
        ("migrate", "job", "--local", "here"),
        ("migrate", "job", "--from-local", "a", "--local", "b", "--principals", "nowhere.csv"),
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(run, words):
    ended = run(*words)
    assert ended.code == 2
    assert "Traceback" not in ended.err


def test_an_instance_is_moved_to_another(run, files, tmp_path):
    run("bulk", "run", "up", files, "--local", "there")
    words = ("--from-local", "there", "--local", "here")
    moved = run("migrate", "job", *words, "--id-map", "ids.json")
    assert moved.code == 0, moved.err
    assert len(json.loads((tmp_path / "ids.json").read_text())) == 20
    assert run("bulk", "verify", "job", "--local", "here").code == 0


def test_sources_are_folders_files_and_patterns(local, files):
    done = local("bulk", "run", "job", "data/1.txt", "data/*2.txt", "--json")
    assert sorted(line["item"]["name"] for line in done.lines) == ["1.txt", "12.txt", "2.txt"]


def test_a_file_that_is_not_there_fails_and_is_done_once_it_is(local, files, tmp_path):
    ended = local("bulk", "run", "job", "data/1.txt", "data/late.txt", "--json")
    found = {line["item"]["name"]: line["status"] for line in ended.lines}
    assert (ended.code, found) == (1, {"1.txt": "uploaded", "late.txt": "failed"})
    (tmp_path / "data" / "late.txt").write_text("late")
    assert local("bulk", "run", "job").code == 0
    (tmp_path / "data" / "late.txt").unlink()
    again = local("bulk", "run", "job", "data/1.txt", "data/late.txt", "--json")
    assert (again.code, [line["status"] for line in again.lines]) == (0, ["skipped"] * 2)


def test_a_pattern_that_nothing_matches_is_told(local, files):
    ended = local("bulk", "run", "job", "data/*.zip", "--json")
    assert (ended.code, ended.out) == (0, "")
    assert "Nothing matches data/*.zip" in ended.err


def test_an_id_that_is_not_there_fails_the_migration(run, files):
    run("bulk", "run", "up", "data/1.txt", "--local", "there")
    moved = run(
        "migrate", "job", "401", "999", "--from-local", "there", "--local", "here", "--json"
    )
    assert moved.code == 1
    found = {line["item"]["source"]: line["status"] for line in moved.lines}
    assert found == {"domo-file:401": "uploaded", "domo-file:999": "failed"}
    assert "1 done, 0 were done before, 1 failed" in moved.err


def test_a_report_and_a_decision_are_told_as_json_too(run, local, files, tmp_path):
    local("bulk", "run", "job", "data/1.txt")
    (status,) = run("bulk", "report", "job", "--html", "r.html", "--json").lines
    assert (status["items"], status["done"]) == (1, 1)
    with sqlite3.connect(tmp_path / "job") as database:
        database.execute("UPDATE items SET state = 'unknown'")
    database.close()
    (decided,) = run("bulk", "resolve", "job", "data/1.txt", "--made", "7", "--json").lines
    assert decided == {"source": "data/1.txt", "data_file_id": 7}


def test_what_nobody_can_know_is_decided_by_a_person(run, local, files, tmp_path):
    local("bulk", "run", "job", "data/1.txt", "data/2.txt")
    for name in ("1.txt", "2.txt"):
        with sqlite3.connect(tmp_path / "job") as database:
            database.execute("UPDATE items SET state = 'unknown' WHERE name = ?", (name,))
        database.close()
    assert run("bulk", "resolve", "job", "data/1.txt", "--made", "7").code == 0
    assert run("bulk", "resolve", "job", "data/2.txt", "--send-again").code == 0
    assert run("bulk", "resolve", "job", "data/2.txt", "--send-again").code == 2
    done = local("bulk", "run", "job", "--json")
    found = {line["item"]["name"]: (line["status"], line["data_file_id"]) for line in done.lines}
    assert found["1.txt"] == ("skipped", 7)
    assert found["2.txt"][0] == "uploaded"


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_users_are_mapped_by_a_file(run, files, tmp_path, suffix):
    run("bulk", "run", "up", "data/1.txt", "--local", "there")
    text = {"csv": "1, 2\n\n3,4\n", "json": '{"1": 2}'}[suffix]
    (tmp_path / f"users.{suffix}").write_text(text)
    words = ("--from-local", "there", "--local", "here", "--principals", f"users.{suffix}")
    assert run("migrate", "job", *words).code == 0
    (tmp_path / f"users.{suffix}").write_text("[")
    wrong = run("migrate", "job", *words)
    assert wrong.code == 2
    assert "an old and a new id" in wrong.err


def test_status_may_follow_a_job_to_its_end(run, local, files):
    local("bulk", "run", "job", files)
    ended = run("bulk", "status", "job", "--follow")
    assert (ended.code, "20 of 20 files" in ended.out) == (0, True)


async def test_a_refused_credential_ends_the_job_with_1_and_shows_nothing_of_it(
    start, finish, emulator, settings, files
):
    wrong = {**settings, "DOMO_ACCESS_TOKEN": "hush-hush"}
    ended = await finish(await start("bulk", "run", "job", files, **wrong))
    assert ended.code == 1
    assert "Check the credential" in ended.err
    assert "20 left: run it again" in ended.err
    assert "hush-hush" not in ended.err


async def test_the_first_interrupt_parks_the_job_while_others_may_look_at_it(
    start, finish, emulator, settings, files
):
    emulator.requests = Arrivals()
    emulator.faults.add("upload_file", nth=4, times=None, stall=1)
    process = await start("bulk", "run", "job", files, "--concurrency", "2", **settings)
    # One of two workers stands still with the fourth, so the third was answered.
    await emulator.requests.until("upload_file", 5)
    looker = await start("bulk", "status", "job", "--json", "--follow")
    assert json.loads(await looker.stdout.readline())["is_running"]
    process.send_signal(signal.SIGINT)
    ended = await finish(process)
    assert ended.code == 130, ended.err
    assert "Parking" in ended.err
    last = (await finish(looker)).lines[-1]
    assert (last["is_running"], last["ended_because"]) == (False, "parked")
    made = len(emulator.files)
    assert f"{made} done" in ended.err
    emulator.faults.clear()
    ended = await finish(await start("bulk", "run", "job", **settings))
    assert ended.code == 0
    assert len(emulator.files) == 20


async def test_the_second_interrupt_ends_at_once(start, finish, emulator, settings, files):
    emulator.requests = Arrivals()
    emulator.faults.add("upload_file", times=None, stall=600)
    process = await start("bulk", "run", "job", files, **settings)
    await emulator.requests.until("upload_file")
    process.send_signal(signal.SIGINT)
    line = await process.stderr.readline()
    assert b"Parking" in line
    process.send_signal(signal.SIGINT)
    assert (await finish(process)).code == 130
