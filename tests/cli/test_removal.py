import io
import json
import sys

import pytest


@pytest.fixture
def uploaded(local, tmp_path):
    """Give the id of a file with two revisions."""
    (tmp_path / "a.csv").write_bytes(b"old")
    (result,) = local("upload", "a.csv", "--json").lines
    local("upload", "a.csv", "--revise", result["data_file_id"])
    return result["data_file_id"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def answer(monkeypatch):
    def give(text):
        monkeypatch.setattr(sys, "stdin", Terminal(text))

    return give


def test_a_data_file_is_deleted_with_its_revisions(local, uploaded):
    assert local("rm", uploaded, "--yes").out == f"Data file {uploaded} is deleted.\n"
    assert local("ls", "--json").lines == []


def test_one_revision_is_deleted_and_the_one_before_is_current(local, uploaded):
    shown = local("show", uploaded, "--json").lines[0]["file"]
    newest = shown["current_revision"]["data_file_revision_id"]
    (said,) = local("rm", uploaded, "--revision", newest, "--yes", "--json").lines
    assert said == {"data_file_id": uploaded, "revision_id": newest, "deleted": True}
    left = local("show", uploaded, "--json").lines[0]["file"]
    assert [one["data_file_revision_id"] for one in left["revisions"]] != []
    assert left["current_revision"]["data_file_revision_id"] < newest


def test_what_cant_be_deleted_is_told_and_the_rest_is_deleted(local, uploaded):
    ended = local("rm", 99999, uploaded, uploaded, "-y", "--json")
    assert ended.code == 1
    assert "Data file 99999 isn't deleted" in ended.err
    assert [json.loads(line)["data_file_id"] for line in ended.out.splitlines()] == [uploaded]


def test_nothing_is_deleted_where_nobody_can_be_asked(local, uploaded, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    ended = local("rm", uploaded)
    assert ended.code == 2
    assert "--yes" in ended.err
    assert len(local("ls", "--json").lines) == 1


@pytest.mark.parametrize(("said", "left"), [("y\n", 0), ("n\n", 1), ("\n", 1), ("", 1)])
def test_at_a_terminal_it_asks(local, uploaded, answer, said, left):
    answer(said)
    ended = local("rm", uploaded)
    assert ended.code == bool(left)
    assert f"{uploaded}, with all revisions" in ended.err
    assert ("Nothing is deleted." in ended.err) == bool(left)
    assert len(local("ls", "--json").lines) == left


def test_one_revision_is_of_one_data_file(local):
    assert local("rm", 1, 2, "--revision", 3, "--yes").code == 2


def test_on_the_app_surface_only_revisions_can_be_deleted(local, uploaded):
    ended = local("rm", uploaded, "--yes", "--surface", "app")
    assert ended.code == 1
    assert "surface" in ended.err
    assert len(local("ls", "--json").lines) == 1
