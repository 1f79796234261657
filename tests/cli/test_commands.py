"""What each command does, on an emulator that is kept in a folder."""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
import sys

import pytest

from domo_files_async.version import __version__

COMMANDS = ["demo", "upload", "download", "ls", "show", "emulator"]


@pytest.fixture
def stdin(monkeypatch):
    def give(data):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return give


@pytest.fixture
def uploaded(local, tmp_path):
    """Give the id of a file that was uploaded."""
    (tmp_path / "orders.csv").write_bytes(b"a,b\n1,2\n")
    (result,) = local("upload", "orders.csv", "--json").lines
    return result["data_file_id"]


def test_help_names_every_command(run):
    ended = run("--help")
    assert ended.code == 0
    for name in (*COMMANDS, "DOMO_INSTANCE", "--local"):
        assert name in ended.out


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(run, command):
    ended = run(command, "--help")
    assert ended.code == 0
    assert f"domo-files {command}" in ended.out
    assert ended.err == ""


def test_the_version_is_told(run):
    assert run("--version").out == f"domo-files {__version__}\n"


def test_no_command_is_wrong_usage_and_gets_the_help(run):
    ended = run()
    assert (ended.code, ended.err) == (2, "")
    assert "upload" in ended.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nonsense"], "nonsense"),
        (["upload"], "sources"),
        (["download", "abc"], "integer"),
        (["download"], "data_file_id"),
        (["ls", "--surface", "both"], "both"),
        (["demo", "--size", "0"], "--size"),
        (["ls"], "domo_access_token"),
        (["ls", "--url", "acme"], "domo_access_token"),
        (["ls", "--local", "x", "--url", "acme"], "not both"),
        (["upload", "a", "b", "--name", "c", "--local", "x"], "one file"),
        (["upload", "a", "b", "--revise", "4", "--local", "x"], "one file"),
        (["upload", "-", "--verify", "twice", "--local", "x"], "sha256"),
        (["upload", "-", "--part-size", "0", "--local", "x"], "part_size"),
        (["download", "1", "-", "--json", "--local", "x"], "not both"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_usage_is_told_on_standard_error(run, stdin, words, said):
    stdin(b"x")
    ended = run(*words)
    assert ended.code == 2
    assert said in ended.err.lower()
    assert ended.out == ""
    assert "Traceback" not in ended.err


def test_a_demo_ends_with_two_digests_that_are_equal(run):
    ended = run("demo", "--size", "20")
    assert ended.code == 0, ended.err
    assert "2 parallel parts" in ended.out
    assert "They are equal." in ended.out
    digests = [line.split()[-1] for line in ended.out.splitlines() if line.startswith("SHA-256")]
    assert len(digests) == 2
    assert digests[0] == digests[1]
    assert len(digests[0]) == 64


def test_a_demo_tells_its_results_as_json(run):
    ended = run("demo", "--size", "20", "--json")
    assert ended.code == 0
    uploaded, revised, downloaded, compared = ended.lines
    assert uploaded["size_bytes"] == downloaded["size_bytes"] == 20 * 1024 * 1024
    assert revised["data_file_id"] == uploaded["data_file_id"]
    assert compared["equal"] is True
    assert compared["sent"] == compared["received"]
    assert "They are equal." in ended.err


def test_a_demo_takes_a_file_of_ones_own(run, tmp_path):
    own = tmp_path / "own [file].txt"
    own.write_bytes(b"hello")
    ended = run("demo", own)
    assert ended.code == 0, ended.err
    assert "own [file].txt" in ended.out
    assert hashlib.sha256(b"hello").hexdigest() in ended.out
    assert own.read_bytes() == b"hello"


def test_a_demo_of_a_file_that_isnt_there_is_wrong_usage(run):
    assert run("demo", "missing.bin").code == 2


def test_an_upload_tells_the_files_id(local, tmp_path):
    (tmp_path / "orders.csv").write_bytes(b"a,b\n")
    ended = local("upload", "orders.csv")
    assert ended.code == 0
    assert ended.out.startswith("orders.csv is data file ")
    assert "4 B in one request" in ended.out
    assert ended.err == ""


def test_an_upload_takes_a_name_a_description_and_a_type(local, tmp_path):
    (tmp_path / "a.bin").write_bytes(b"x")
    (result,) = local(
        *("upload", "a.bin", "--json", "--name", "b & c 📈", "--description", "said"),
        *("--content-type", "text/csv", "--public", "--verify", "sha256"),
    ).lines
    assert result["name"] == "b & c 📈"
    assert result["sha256"] == hashlib.sha256(b"x").hexdigest()
    (shown,) = local("show", result["data_file_id"], "--json").lines
    assert shown["file"]["metadata"]["description"] == "said"
    assert shown["file"]["current_revision"]["content_type"] == "text/csv"
    assert shown["permissions"]["public_access"] is True


def test_several_files_are_uploaded_and_each_is_told(local, tmp_path):
    for name in "abc":
        (tmp_path / name).write_text(name)
    results = local("upload", "a", "b", "c", "--json").lines
    assert [one["name"] for one in results] == ["a", "b", "c"]
    assert len({one["data_file_id"] for one in results}) == 3


def test_a_missing_file_is_a_sentence_and_doesnt_stop_the_others(local, tmp_path):
    (tmp_path / "there").write_bytes(b"x")
    ended = local("upload", "missing.txt", "there", "--json")
    assert ended.code == 1
    assert [one["name"] for one in ended.lines] == ["there"]
    assert ended.err == "missing.txt can't be opened: No such file or directory\n"


def test_a_folder_isnt_uploaded(local, tmp_path):
    ended = local("upload", tmp_path)
    assert ended.code == 1
    assert "Is a directory" in ended.err


def test_standard_input_is_uploaded(local, stdin):
    stdin(b"from a pipe")
    (result,) = local("upload", "-", "--json").lines
    assert (result["name"], result["size_bytes"]) == ("standard input", 11)
    stdin(b"from a pipe")
    (named,) = local("upload", "-", "--name", "pipe.csv", "--json").lines
    assert (named["name"], named["content_type"]) == ("pipe.csv", "text/csv")


def test_standard_input_goes_in_parts_where_it_is_large(local, stdin):
    data = bytes(17 * 1024 * 1024)
    stdin(data)
    (result,) = local("upload", "-", "--verify", "sha256", "--json").lines
    assert result["parts"] == 2
    assert result["sha256"] == hashlib.sha256(data).hexdigest()


def test_a_revision_keeps_the_files_name(local, uploaded, tmp_path, stdin):
    (tmp_path / "other.txt").write_bytes(b"new")
    (result,) = local("upload", "other.txt", "--revise", uploaded, "--json").lines
    assert result["data_file_id"] == uploaded
    stdin(b"newest")
    ended = local("upload", "-", "--revise", uploaded)
    assert ended.code == 0
    assert f"is data file {uploaded}: 6 B" in ended.out
    (shown,) = local("show", uploaded, "--json").lines
    assert shown["file"]["name"] == "orders.csv"
    assert [one["size_bytes"] for one in shown["file"]["revisions"]] == [8, 3, 6]


def test_a_revision_of_a_file_that_isnt_there_fails(local, tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    ended = local("upload", "a", "--revise", 404404)
    assert ended.code == 1
    assert ended.err.startswith("a: ")
    assert "404" in ended.err
    assert ended.out == ""


def test_a_download_takes_the_files_own_name_in_a_folder(local, uploaded, tmp_path):
    (tmp_path / "into").mkdir()
    ended = local("download", uploaded, "into")
    assert ended.code == 0
    assert ended.out.startswith("into/orders.csv: 8 B")
    assert (tmp_path / "into" / "orders.csv").read_bytes() == b"a,b\n1,2\n"


def test_a_download_goes_where_one_is_unless_told(local, uploaded, tmp_path):
    (tmp_path / "orders.csv").unlink()
    assert local("download", uploaded).code == 0
    assert (tmp_path / "orders.csv").read_bytes() == b"a,b\n1,2\n"


def test_a_download_tells_its_result_as_json(local, uploaded, tmp_path):
    (result,) = local("download", uploaded, "back.csv", "--json").lines
    assert result["path"] == "back.csv"
    assert result["data_file_id"] == uploaded
    assert result["sha256"] == hashlib.sha256(b"a,b\n1,2\n").hexdigest()


def test_what_exists_is_left_as_it_is_unless_told(local, uploaded, tmp_path):
    back = tmp_path / "back.csv"
    back.write_bytes(b"mine")
    ended = local("download", uploaded, "back.csv")
    assert ended.code == 1
    assert "back.csv exists already" in ended.err
    assert "--overwrite" in ended.err
    assert back.read_bytes() == b"mine"
    assert local("download", uploaded, "back.csv", "--overwrite").code == 0
    assert back.read_bytes() == b"a,b\n1,2\n"


def test_an_older_revision_is_downloaded(local, uploaded, tmp_path):
    (shown,) = local("show", uploaded, "--json").lines
    first = shown["file"]["current_revision"]["data_file_revision_id"]
    (tmp_path / "new").write_bytes(b"new")
    assert local("upload", "new", "--revise", uploaded).code == 0
    assert local("download", uploaded, "old.csv", "--revision", first).code == 0
    assert (tmp_path / "old.csv").read_bytes() == b"a,b\n1,2\n"


def test_standard_output_takes_nothing_but_the_file(local, uploaded):
    ended = local("download", uploaded, "-")
    assert ended.code == 0
    assert ended.out == "a,b\n1,2\n"
    assert ended.err.startswith(f"data file {uploaded}: 8 B")


@pytest.mark.parametrize("command", ["download", "show", "ls"])
def test_a_file_that_isnt_there_is_a_sentence(local, uploaded, command):
    ended = local(command, 404404)
    assert ended.code == 1
    assert ended.out == ""
    assert "404404" in ended.err
    assert "doesn't exist" in ended.err
    assert "Traceback" not in ended.err


def test_a_destination_that_cant_be_written_is_a_sentence(local, uploaded):
    ended = local("download", uploaded, "nowhere/at/all.csv")
    assert ended.code == 1
    assert "nowhere/at/all.csv" in ended.err


def test_a_list_of_nothing_says_so(local):
    ended = local("ls")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == "There are no data files here yet.\n"
    assert local("ls", "--json").out == ""


def test_a_list_has_a_line_for_each_file(local, uploaded):
    ended = local("ls")
    (line,) = [line for line in ended.out.splitlines() if str(uploaded) in line]
    for cell in ("orders.csv", "8 B", "text/csv", "SAFE"):
        assert cell in line
    (listed,) = local("ls", "--json").lines
    assert (listed["data_file_id"], listed["name"]) == (uploaded, "orders.csv")


def test_a_list_of_ids_tells_which_arent_there(local, uploaded):
    ended = local("ls", 404404, uploaded, "--json")
    assert ended.code == 1
    assert [one["data_file_id"] for one in ended.lines] == [uploaded]
    assert "404404" in ended.err


def test_a_list_can_be_cut_to_ones_own(local, uploaded, tmp_path):
    (tmp_path / "theirs").write_bytes(b"x")
    assert local("upload", "theirs", "--public", "--user", "grace").code == 0
    names = [one["name"] for one in local("ls", "--json", "--surface", "app").lines]
    assert sorted(names) == ["orders.csv", "theirs"]
    (own,) = local("ls", "--owned", "--json", "--surface", "app").lines
    assert own["name"] == "orders.csv"


def test_a_file_is_shown_with_its_revisions_and_grants(local, uploaded):
    ended = local("show", uploaded)
    assert ended.code == 0
    assert ended.out.startswith(f"orders.csv (data file {uploaded})\nnot public\n")
    assert hashlib.sha256(b"a,b\n1,2\n").hexdigest() in ended.out
    assert "READ_WRITE_DELETE_SHARE_ADMIN" in ended.out


def test_a_files_name_is_shown_as_it_is(local, tmp_path):
    name = "[red]:smile:[/nope] 📈.txt"
    (tmp_path / "a").write_bytes(b"x")
    ended = local("upload", "a", "--name", name)
    assert name in ended.out
    assert name in local("ls").out


def test_a_files_name_cant_steer_the_terminal(run, local, uploaded, tmp_path):
    with sqlite3.connect(tmp_path / "kept" / "facts.sqlite") as facts:
        ((text,),) = facts.execute("SELECT value FROM facts WHERE kind = 'file'").fetchall()
        told = {**json.loads(text), "name": "evil\x1b]0;title\x07\x9b2J.txt"}
        facts.execute("UPDATE facts SET value = ? WHERE kind = 'file'", (json.dumps(told),))
    facts.close()
    for ended in (local("ls"), local("show", uploaded), local("ls", "--json")):
        assert ended.code == 0
        assert "evil" in ended.out
        assert not set("\x1b\x07\x9b") & set(ended.out)


def test_json_is_ascii_so_that_any_pipe_takes_it(local, tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    ended = local("upload", "a", "--name", "売上 📈", "--json")
    assert ended.out.isascii()
    assert ended.lines[0]["name"] == "売上 📈"
