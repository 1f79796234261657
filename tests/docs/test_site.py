"""What the documentation says of the code, held beside the code; nothing here builds it."""

from __future__ import annotations

import builtins
import importlib.util
import re
import textwrap
from pathlib import Path

import pytest

import domo_files_async
from domo_files_async import UploadJournal, errors
from domo_files_async.emulator import Emulator
from domo_files_async.planning.ledger import TABLE

ROOT = Path(domo_files_async.__file__).parents[1]
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def load(name):
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows_of_the_catalogue():
    lines = (DOCS / "errors.md").read_text("utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    return [row for row in cells if row[0].startswith("`")]


def test_the_catalogue_has_each_error_once_and_nothing_else():
    named = [row[0].strip("`") for row in rows_of_the_catalogue()]
    assert sorted(named) == sorted(errors.__all__)


@pytest.mark.parametrize("row", rows_of_the_catalogue(), ids=lambda row: row[0].strip("`"))
def test_each_error_says_when_it_comes_and_what_to_do(row):
    assert len(row) == 3
    assert all(row)


def test_the_picture_of_the_ledger_has_each_state_and_each_way():
    drawn = load("ledger_diagram")
    assert set(drawn.PLACES) == set(TABLE)
    picture = drawn.picture()
    shown = set(re.findall(r"<title>(\w+) to (\w+): ", picture))
    assert shown == {
        (state.name, end.name)
        for state, event, end in drawn.steps()
        if state is not end and event != "Resumed"
    }
    assert set(drawn.BENDS) | drawn.ON_THE_LEFT <= {
        (state, end) for state, _, end in drawn.steps() if state is not end
    }
    assert drawn.table().count("\n") == 2 + sum(map(len, TABLE.values()))
    assert drawn.diagram().startswith("stateDiagram-v2\n    [*] --> NEW\n")


def test_a_link_that_leads_nowhere_is_found(tmp_path):
    (tmp_path / "a.html").write_text(
        '<h1 id="one">One</h1><a href="#one">1</a> <a href="#two">2</a> <a href="b.html#x">3</a>'
        '<a href="c.html">4</a> <img src="no.png"> <a href="https://example.com/#y">5</a>'
    )
    (tmp_path / "b.html").write_text('<p id="x"><a href="a.html#one">back</a></p>')
    assert load("links").broken(tmp_path) == [
        "a.html: #two",
        "a.html: c.html",
        "a.html: no.png",
    ]


def test_what_a_page_leaves_for_the_build_to_fill_is_known_to_it():
    conf = (DOCS / "conf.py").read_text("utf-8")
    marked = {
        (page.relative_to(DOCS).with_suffix("").as_posix(), mark)
        for page in DOCS.rglob("*.md")
        if "_build" not in page.parts and "benchmarks" not in page.parent.parts
        for mark in re.findall(r"^<!-- (\w+) -->$", page.read_text("utf-8"), re.MULTILINE)
    }
    assert marked == {
        ("decisions/index", "decisions"),
        ("benchmarks", "measured"),
        ("commands", "commands"),
        ("ledger", "picture"),
        ("ledger", "table"),
    }
    for page, mark in marked:
        assert f'"{page}": {{' in conf
        assert f'"{mark}": ' in conf


def test_the_readme_has_the_blocks_that_are_run_here():
    assert len(BLOCKS) == 5


async def test_the_readmes_service_uploads_its_reports(tmp_path, monkeypatch, emulator):
    monkeypatch.chdir(tmp_path)
    for name in ("orders.parquet", "returns.parquet"):
        (tmp_path / name).write_bytes(name.encode())
    code = BLOCKS[0].replace('asyncio.run(main(["orders.parquet", "returns.parquet"]))', "")
    code = code.replace('"acme"', repr(emulator.url))
    code = code.replace('"…"', repr(emulator.credential("ada")))
    scope = run(code)
    await scope["main"](["orders.parquet", "returns.parquet"])
    assert sorted([await emulator.content(one) for one in emulator.files]) == [
        b"orders.parquet",
        b"returns.parquet",
    ]


async def test_the_readmes_migration_says_what_became_of_a_file(tmp_path, capsys, emulator):
    file = tmp_path / "a.csv"
    file.write_bytes(b"a,b")
    scope = run(BLOCKS[1], **vars(domo_files_async.errors), DomoFilesSession=object)
    async with emulator.session("ada") as domo:
        await scope["move"](domo, str(file))
        emulator.faults.add("upload_file", status=403)
        await scope["move"](domo, str(file))
        emulator.behaviour.visibility_lag = 1000
    said = capsys.readouterr().out
    assert re.search(r"a\.csv: data file \d+, SHA-256 [0-9a-f]{64}", said)
    assert "a.csv: not there: " in said


async def test_the_readmes_back_end_passes_files_on(emulator):
    import httpx  # noqa: PLC0415 - what only this test needs
    from fastapi import FastAPI, Request  # noqa: PLC0415
    from starlette.responses import StreamingResponse  # noqa: PLC0415

    app = FastAPI()
    async with emulator.session("ada") as domo:
        names = {"app": app, "Request": Request, "StreamingResponse": StreamingResponse}
        run(BLOCKS[2], **names, domo=domo, AsyncIterator=object)
        way = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=way, base_url="http://x") as client:
            number = (await client.post("/files/x.bin", content=b"abc")).json()["id"]
            assert (await client.get(f"/files/{number}")).content == b"abc"


async def test_the_readmes_journal_lets_an_upload_go_on(tmp_path, monkeypatch, emulator):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "big.parquet").write_bytes(b"abc")
    async with emulator.session("ada") as domo:
        code = f"async def go():\n{textwrap.indent(BLOCKS[3], '    ')}"
        await run(code, domo=domo, UploadJournal=UploadJournal)["go"]()
    assert len(emulator.files) == 1


async def test_the_readmes_test_passes():
    await run(BLOCKS[4])["test_my_code_survives_a_part_that_fails_twice"]()


def test_what_the_readme_tells_to_look_at_is_there():
    for link in re.findall(r"\]\(([\w/.-]+)\)", README):
        assert (ROOT / link).exists(), link


@pytest.fixture
async def emulator():
    async with Emulator() as running:
        yield running
    assert not running.faults.pending


def run(code, **names):
    """Run a block as if it stood in a module of its own."""
    scope = {"__builtins__": builtins, "__name__": "readme", **names}
    exec(compile(code, "README.md", "exec"), scope)  # noqa: S102 - what the README tells to write
    return scope
