"""The page on security names tests; they are there."""

import ast
import re
from pathlib import Path

import pytest

import domo_files_async

ROOT = Path(domo_files_async.__file__).parents[1]
PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("|") and not line.startswith(("| threat", "|---"))
]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


def named_in(path):
    """Give the names of a file's tests, also of those in classes."""
    nodes = ast.walk(ast.parse((ROOT / path).read_text("utf-8")))
    return {
        node.name
        for node in nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    }


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_each_line_says_a_threat_what_is_done_and_which_test_holds_it(row):
    assert len(row) == 3
    assert all(row)
    assert "`tests/" in row[2]


@pytest.mark.parametrize(("path", "name"), NAMED, ids=lambda value: value)
def test_each_test_that_the_page_names_exists(path, name):
    assert name in named_in(path)


def test_nothing_that_looks_like_a_test_is_misspelt():
    assert len(re.findall(r"::test_", PAGE)) == len(
        re.findall(r"`tests/[\w/]+\.py::test_\w+`", PAGE)
    )
    assert len(NAMED) > 50
