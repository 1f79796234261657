from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser

import pytest

from domo_files_async import DestinationError, bulk

VOID = {"meta", "br"}


class Checked(HTMLParser):
    """A page whose tags are closed in the order in which they were opened."""

    def __init__(self):
        super().__init__()
        self.open = []
        self.seen = []

    def handle_startendtag(self, tag, attrs):  # noqa: ARG002 - the parser's own signature
        self.seen.append(tag)

    def handle_starttag(self, tag, attrs):  # noqa: ARG002
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
async def report(job, product, folder, do, emulator):
    emulator.faults.add("upload_file", nth=2, status=400, body={"message": "<script>x</script>"})
    await job.add(bulk.from_directory(folder))
    await job.add([bulk.Item(source="/nowhere/<b>.txt", name="b")])
    await do(job, product, concurrency=2)
    return await job.report()


async def test_a_report_is_one_page_that_needs_nothing_besides(report, tmp_path):
    report.write_html(tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    page = Checked()
    page.feed(text)
    assert not page.open
    assert "script" not in page.seen
    assert "svg" in page.seen
    assert not re.search(r"(src|href)=|url\(|@import", text)
    assert "prefers-color-scheme: dark" in text
    assert "11 of 13 files are there; 2 failed." in text
    assert "&lt;b&gt;.txt" in text
    assert "<b>.txt" not in text


async def test_the_numbers_say_the_same_as_the_server(report, tmp_path, emulator):
    report.write_json(tmp_path / "r.json")
    numbers = json.loads((tmp_path / "r.json").read_text())
    assert numbers["states"]["uploaded"][0] == len(emulator.files) == 11
    assert numbers["requests"] == len(emulator.requests)
    assert dict(map(tuple, numbers["sizes"])) == {"to 1 KiB": 12}
    assert dict(map(tuple, numbers["failures"])) == {
        "never: answered with 400": 1,
        "person: source can't be read": 1,
    }


async def test_the_lines_say_what_became_of_each_item(report, tmp_path, emulator):
    report.write_csv(tmp_path / "r.csv")
    with (tmp_path / "r.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 13
    ids = {int(row["data_file_id"]) for row in rows if row["status"] == "uploaded"}
    assert ids == set(emulator.files)
    assert {row["failure"] for row in rows if row["status"] == "failed"} == {"never", "person"}


async def test_retries_and_waits_that_the_server_asked_for_are_counted(
    job, product, folder, do, emulator
):
    emulator.faults.add("upload_file", status=429, headers={"Retry-After": "1"}, times=2)
    await job.add(bulk.from_directory(folder))
    await do(job, product, concurrency=1)
    figures = (await job.report()).figures
    assert figures.retries == 2
    assert figures.throttled == 2
    assert figures.limits["rate limit"] > 0


async def test_a_job_that_never_ran_has_a_report_too(job, tmp_path):
    report = await job.report()
    report.write_html(tmp_path / "r.html")
    report.write_id_map(tmp_path / "ids.json")
    text = (tmp_path / "r.html").read_text()
    assert "There is nothing in this job." in text
    assert "Not run yet" in text
    assert "<svg" not in text
    assert json.loads((tmp_path / "ids.json").read_text()) == []


async def test_a_report_may_be_read_while_the_job_runs(job, product, folder, do, tmp_path):
    await job.add(bulk.from_directory(folder))
    run = job.run(product)
    await anext(run)
    (await job.report()).write_html(tmp_path / "r.html")
    assert "1 run, which is under way" in (tmp_path / "r.html").read_text()
    job.park()
    async for _ in run:
        pass
    await do(job, product)
    (await job.report()).write_html(tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    assert "2 runs, the last one of which ended: done" in text
    assert "All 12 files are there." in text


async def test_what_can_not_be_written_is_said(job, tmp_path):
    report = await job.report()
    for write in (report.write_html, report.write_json, report.write_csv, report.write_id_map):
        with pytest.raises(DestinationError, match="can't be written"):
            write(tmp_path / "no" / "folder.json")
