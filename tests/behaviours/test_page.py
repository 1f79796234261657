"""The page on behaviours has each switch of the emulator, and names tests that are there."""

import re
from pathlib import Path

import attrs
import pytest

import domo_files_async
from domo_files_async.emulator import Behaviour
from tests.security.test_page import named_in

ROOT = Path(domo_files_async.__file__).parents[1]
PAGE = (ROOT / "docs" / "behaviours.md").read_text("utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("|") and not line.startswith(("| what", "|---"))
]


@pytest.mark.parametrize("switch", [field.name for field in attrs.fields(Behaviour)])
def test_each_switch_of_the_emulator_is_on_the_page(switch):
    assert f"`{switch}`" in PAGE


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_each_line_says_how_it_is_known_what_we_do_how_to_play_it_and_which_test_does(row):
    assert len(row) == 5
    assert all(row)
    assert row[1].split(",")[0] in {"documented", "observed", "assumed"}


@pytest.mark.parametrize(
    ("path", "name"), sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))
)
def test_each_test_that_the_page_names_exists(path, name):
    assert name in named_in(path)
