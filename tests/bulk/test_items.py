"""What a job is made of is checked where it is made, and a manifest's mistake names its line."""

from __future__ import annotations

import json
import os

import pytest

from domo_files_async import Grant, InvalidArgumentError, PermissionEntry, SourceError, bulk


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"source": ""}, "path or a URL"),
        ({"source": "a\0b"}, "path or a URL"),
        ({"source": b"bytes"}, "path or a URL"),
        ({"source": "sftp://ada:secret@host/file"}, "credential"),
        ({"source": "a", "name": "two\nlines"}, "name must be a text"),
        ({"source": "a", "name": ""}, "name must be a text"),
        ({"source": "a", "content_type": 7}, "content_type must be a text"),
        ({"source": "a", "description": 7}, "description must be a text"),
        ({"source": "a", "size": -1}, "size must be a whole number"),
        ({"source": "a", "data_file_id": True}, "data_file_id must be a whole number"),
        ({"source": "a", "grants": ["USER"]}, "PermissionEntry"),
    ],
)
def test_an_item_that_cannot_be_right_is_refused(given, said):
    with pytest.raises(InvalidArgumentError, match=said) as refused:
        bulk.Item(**given)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("make", [bulk.from_directory, lambda path: bulk.from_glob(f"{path}/*")])
def test_a_folder_that_is_not_there_is_said_at_once(tmp_path, make):
    with pytest.raises(SourceError, match="nowhere"):
        make(tmp_path / "nowhere")


def test_a_folder_that_goes_while_it_is_listed_is_said(tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "file").touch()
    items = bulk.from_directory(tmp_path)
    (inner / "file").unlink()
    inner.rmdir()
    tmp_path.rmdir()
    with pytest.raises(SourceError, match="can't be listed"):
        list(items)


def test_links_are_followed_only_if_asked_for_and_in_no_circle(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").touch()
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a" / "file")
    assert [one.name for one in bulk.from_directory(tmp_path)] == ["a/file"]
    followed = {one.name for one in bulk.from_directory(tmp_path, follow_symlinks=True)}
    assert {"a/file", "b"} <= followed
    assert len(followed) <= 4


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*", ["1.csv", "2.txt"]),
        ("**/*.csv", ["1.csv", "in/3.csv"]),
        ("[!1].txt", ["2.txt"]),
        ("?.csv", ["1.csv"]),
        ("in/*", ["3.csv"]),
    ],
)
def test_a_pattern_names_files_below_its_plain_part(tmp_path, pattern, names):
    (tmp_path / "in").mkdir()
    for name in ("1.csv", "2.txt", "in/3.csv"):
        (tmp_path / name).touch()
    assert sorted(one.name for one in bulk.from_glob(f"{tmp_path}/{pattern}")) == names


def test_which_revisions_are_moved_is_checked_before_anything_is_listed():
    with pytest.raises(InvalidArgumentError, match="'all' or 'current'"):
        bulk.from_session(None, revisions="newest")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("list.txt", "source\na\n", "must end in"),
        ("list.csv", "source,colour\na,red\n", "mean nothing: 'colour'"),
        ("list.csv", "source, name\na,b\n", "mean nothing: ' name'"),
        ("list.csv", "source,name,name\na,b,c\n", "line 1: the column 'name' is there twice"),
        ("list.csv", "name\na\n", "there is no source"),
        ("list.csv", "source,name\n,b\n", "line 2: there is no source"),
        ("list.csv", "source,name\na\n", "line 2: it has not as many fields"),
        ("list.csv", "source,public\na,true\nb,maybe\n", "line 3: public must be true or false"),
        ("list.csv", "source,data_file_id\na,seven\n", "line 2: data_file_id must be .* 'seven'"),
        ("list.csv", "source,data_file_id\na,401.0\n", "line 2: data_file_id must be .* '401.0'"),
        ("list.csv", 'source\n"a\n', "line "),
        ("list.jsonl", '{"source": "a"}\n\n[1]\n', "line 3: it is no JSON object"),
        ("list.jsonl", '{"source": "a"}\n{', "line 2: it is no JSON: .* column 2"),
        ("list.jsonl", "[" * 100_000, "line 1: it is no JSON"),
        ("list.jsonl", '{"source": 7}\n', "line 1: there is no source"),
        ("list.jsonl", '{"source": ""}\n', "line 1: there is no source"),
        ("list.jsonl", '{"source": "a", "description": 7}\n', "line 1: description must be"),
        ("list.jsonl", '{"source": "a", "grants": 7}\n', "line 1: grants must be"),
        ("list.jsonl", '{"source": "a", "grants": [7]}\n', "line 1: a grant is written as"),
        ("list.jsonl", '{"source": "a", "grants": ["nobody"]}\n', "line 1: "),
    ],
)
def test_a_manifest_that_cannot_be_right_names_the_line(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidArgumentError, match=said) as refused:
        list(bulk.from_manifest(tmp_path / name))
    assert name in str(refused.value)


def test_a_manifest_that_cannot_be_read_is_said(tmp_path):
    with pytest.raises(SourceError, match="check the path"):
        list(bulk.from_manifest(tmp_path / "nowhere.csv"))
    (tmp_path / "goes.csv").touch()
    items = bulk.from_manifest(tmp_path / "goes.csv")
    (tmp_path / "goes.csv").unlink()
    with pytest.raises(SourceError, match="can't be read"):
        list(items)


def test_a_manifest_says_all_that_an_item_can_hold(tmp_path):
    line = {
        "source": "https://host/data.csv",
        "description": "d",
        "content_type": "text/csv",
        "public": "Yes",
        "data_file_id": 7,
        "grants": ["USER:27:READ_WRITE"],
    }
    (tmp_path / "list.jsonl").write_text(json.dumps(line))
    (item,) = bulk.from_manifest(tmp_path / "list.jsonl")
    assert (item.source, item.name, item.is_url) == ("https://host/data.csv", None, True)
    assert (item.public, item.data_file_id, item.content_type) == (True, 7, "text/csv")
    assert item.grants == (PermissionEntry("USER", "27", Grant.READ | Grant.WRITE),)


async def test_items_may_come_from_an_async_iterator_and_others_are_refused(job, tmp_path):
    async def items():
        for number in range(600):
            yield bulk.Item(source=os.fspath(tmp_path / f"{number}"))

    assert await job.add(items()) == 600
    with pytest.raises(InvalidArgumentError, match="Item objects"):
        await job.add([tmp_path])
