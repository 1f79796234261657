"""The console in a real browser: what a person sees, drops, presses, and never has to see.

`nox -s console` runs it; it isn't collected by itself, since it needs Chromium.
"""

import hashlib
import json
import os
import re
from contextlib import asynccontextmanager
from importlib.resources import files

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import async_playwright, expect

from domo_files_async.emulator import Emulator
from domo_files_async.emulator.content import Blob
from domo_files_async.emulator.store import UploadSession

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MIB = 1024 * 1024
UNIT = bytes(range(251))
NASTY = "<script>hacked = 1</script><img src=x onerror='hacked = 1'>.txt"
VIEWS = ["files", "sessions", "requests", "faults"]
DROP = """([file, size, at]) => {
    const unit = Uint8Array.from({ length: 251 }, (_, index) => index);
    const units = Array(Math.floor(size / 251)).fill(unit);
    const data = new DataTransfer();
    data.items.add(new File([...units, unit.slice(0, size % 251)], file, { type: "text/plain" }));
    const target = document.querySelector(at);
    for (const kind of ["dragenter", "dragover", "drop"]) {
        const options = { dataTransfer: data, bubbles: true, cancelable: true };
        target.dispatchEvent(new DragEvent(kind, options));
    }
}"""
CONTRASTS = """() => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const paint = (colors) => {
        canvas.clearRect(0, 0, 1, 1);
        for (const color of colors) { canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); }
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const light = ([r, g, b]) => [r, g, b].map((one) => one / 255)
        .map((one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
        .reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0);
    const ground = (node) => {
        const colors = [];
        for (let at = node; at; at = at.parentElement) {
            colors.unshift(getComputedStyle(at).backgroundColor);
            if (at.tagName === "DIALOG") break;
        }
        return colors;
    };
    const ratio = (node, pseudo) => {
        const under = ground(node);
        const style = getComputedStyle(node, pseudo);
        if (pseudo) under.push(style.backgroundColor);
        const pair = [light(paint(under)), light(paint([...under, style.color]))].sort();
        return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    };
    const top = document.querySelector("dialog[open]") ?? document.body;
    const found = [];
    for (const node of top.querySelectorAll("*")) {
        if (!node.checkVisibility() || node.matches("option, script, noscript")) continue;
        const own = [...node.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
        if (own || node.matches("select, input:not([type=checkbox])"))
            found.push([ratio(node, null), node.outerHTML.slice(0, 80)]);
        if (node.placeholder) found.push([ratio(node, "::placeholder"), node.placeholder]);
        if (node.getAttribute("role") === "switch") found.push([ratio(node, "::after"), "switch"]);
    }
    return found;
}"""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def chromium(tmp_path_factory):
    where = os.environ.get("CHROMIUM")
    if not where:
        pytest.fail("Say in CHROMIUM where the browser is, or let `nox -s console` find it")
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("profile"),
            executable_path=where,
            args=FLAGS,
            accept_downloads=True,
        )
        context.set_default_timeout(15_000)
        yield context
        await context.close()


@pytest_asyncio.fixture(loop_scope="module")
async def emulator():
    async with Emulator() as running:
        running.credential("ada")
        running.credential("grace")
        yield running


@asynccontextmanager
async def watched(chromium, emulator, *, refusals):
    """Give a page of which nothing may go wrong, and that may ask the emulator only."""
    page, wrong, asked = await chromium.new_page(), [], []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console",
        lambda said: wrong.append(said.text) if said.type in {"error", "warning"} else None,
    )
    page.on("request", lambda request: asked.append(request.url))
    try:
        yield page
    finally:
        await page.close(run_before_unload=False)
    own = (emulator.url + "/", "data:", f"blob:{emulator.url}/")
    assert [url for url in asked if not url.startswith(own)] == []
    expected = ("Failed to load resource",) if refusals else ()
    assert [text for text in wrong if not text.startswith(expected or "\0")] == []


@pytest.fixture
def refusals():
    """Let requests of the page be refused: the browser says so by itself."""


@pytest_asyncio.fixture(loop_scope="module")
async def page(chromium, emulator, request):
    """Give the console, opened."""
    refused = "refusals" in request.fixturenames
    async with watched(chromium, emulator, refusals=refused) as watched_page:
        await watched_page.goto(emulator.console_url)
        await expect(watched_page.get_by_text("Live")).to_be_visible()
        yield watched_page


def content(size):
    return (UNIT * (size // 251 + 1))[:size]


async def drop(page, name, size, at="body"):
    await page.evaluate(DROP, [name, size, at])


async def see(page, view):
    name = re.compile(view, re.IGNORECASE)
    await page.get_by_role("navigation").get_by_role("link", name=name).click()


async def open_file(page, name):
    await page.get_by_role("button", name=name, exact=True).click()
    dialog = page.get_by_role("dialog", name=name, exact=True)
    await expect(dialog).to_be_visible()
    return dialog


async def done(page, name):
    await expect(page.get_by_role("button", name=f"Show: {name}")).to_be_visible(timeout=30_000)


async def fill(emulator):
    """Let there be something to see in each view."""
    async with emulator.session("ada") as ada, emulator.session("grace") as grace:
        for name in ("orders.csv", NASTY, "x" * 150):
            file_id = await ada.upload_file(b"data", name=name, description="What it is")
        await ada.upload_revision(file_id, b"more")
        await grace.upload_file(b"data", name="notes.md", public=True)
        session_id = await ada.create_multipart_session(name="video.mp4", content_type="video/mp4")
        for index in (1, 2, 4):
            await ada.upload_part(session_id, index, b"part")
        ended = await ada.create_multipart_session(name="gone.bin", content_type="a/b")
        await ada.abort_multipart_session(ended)
        emulator.faults.add("create_multipart_session", rate=250_000, times=None)
        await ada.create_multipart_session(name="slow.bin", content_type="a/b")
    emulator.faults.add("get_file", status=503)


async def test_a_dropped_file_is_sent_as_a_form_and_shows_up_in_the_list(page, emulator):
    await expect(page.get_by_text("No files yet.")).to_be_visible()
    await drop(page, "Grüße & more.txt", 1000)
    await expect(page.get_by_role("button", name="Grüße & more.txt", exact=True)).to_be_visible()
    await expect(page.get_by_text("No files yet.")).to_be_hidden()
    row = page.get_by_role("row", name="Grüße & more.txt")
    for text in ("401", "1000 B", "text/plain", "private", "ada"):
        await expect(row.get_by_role("cell", name=text, exact=True)).to_be_visible()
    assert await emulator.content(401) == content(1000)
    (received,) = emulator.requests
    assert received.operation == "upload_file"
    assert received.path == "/domo/data-files/v1"
    assert received.query == {"name": "Grüße & more.txt", "public": "false"}
    assert received.headers["Content-Type"].startswith("multipart/form-data; boundary=")


async def test_an_empty_file_arrives(page, emulator):
    await drop(page, "empty.txt", 0)
    await done(page, "empty.txt")
    assert await emulator.content(401) == b""


async def test_where_files_may_be_dropped_is_shown_while_they_are_dragged(page):
    drag = """([kind, isFile]) => {
        const data = new DataTransfer();
        data.items.add(...(isFile ? [new File(["x"], "x.txt")] : ["some words", "text/plain"]));
        const options = { dataTransfer: data, bubbles: true, cancelable: true };
        return document.querySelector("#search").dispatchEvent(new DragEvent(kind, options));
    }"""
    drop_here = page.get_by_text("Drop to upload")
    await expect(drop_here).to_be_hidden()
    await page.evaluate(drag, ["dragover", True])
    await expect(drop_here).to_be_visible()
    await page.evaluate(drag, ["dragleave", True])
    await expect(drop_here).to_be_hidden()
    # A text that is dragged into a field is the browser's own business.
    assert await page.evaluate(drag, ["dragover", False])
    assert await page.evaluate(drag, ["drop", False])
    await expect(drop_here).to_be_hidden()
    await expect(page.locator("#uploads")).to_be_hidden()


async def test_several_files_are_chosen_and_sent_together(page, emulator):
    names = [f"{number}.txt" for number in range(7)]
    given = [{"name": name, "mimeType": "a/b", "buffer": name.encode()} for name in names]
    await page.locator("#chosen").set_input_files(given)
    for name in names:
        await done(page, name)
    sent = {await emulator.content(file_id) for file_id in emulator.files}
    assert sent == {name.encode() for name in names}


async def test_a_large_file_goes_in_parts_with_their_checksums(page, emulator):
    size = 24 * MIB + 7
    await drop(page, "big.bin", size)
    await done(page, "big.bin")
    await see(page, "Multipart")
    session = page.locator("#list-sessions li").filter(has_text="big.bin")
    await expect(session).to_contain_text("committed as file 401")
    whole = content(size)
    assert await emulator.content(401) == whole
    parts = [one for one in emulator.requests if one.operation == "upload_part"]
    assert {one.path.rpartition("/")[2]: one.query["checksum"] for one in parts} == {
        str(at // (10 * MIB) + 1): hashlib.sha256(whole[at : at + 10 * MIB]).hexdigest()
        for at in range(0, size, 10 * MIB)
    }
    assert not emulator.open_sessions


async def test_parts_fill_while_they_arrive(page, emulator):
    emulator.faults.add("upload_part", part=2, rate=400_000, times=None)
    await see(page, "Multipart")
    await drop(page, "big.bin", 24 * MIB)
    for cells in ("#list-sessions .cells i", "#uploads .cells i"):
        filling = """([cells, old]) => {
            const fills = [...document.querySelectorAll(cells)]
                .map((cell) => parseInt(cell.style.getPropertyValue("--fill")));
            const [one, two, three] = fills;
            return fills.length === 3 && one === 100 && three === 100 && two > old && two < 95 && two;
        }"""
        fill = 0
        for _ in range(2):
            seen = await page.wait_for_function(filling, arg=[cells, fill])
            fill = await seen.json_value()
    session = page.locator("#list-sessions li").filter(has_text="big.bin")
    await expect(session).to_contain_text("2 parts, 1 arriving · 14.0 MiB · by ada")
    await session.get_by_role("button", name="Abort big.bin").click()
    await expect(session).to_contain_text("aborted")
    await expect(page.locator("#uploads li")).to_contain_text("cancelled")


async def test_parts_that_fail_are_sent_again(page, emulator, refusals):
    emulator.faults.add("upload_part", part=1, status=503)
    emulator.faults.add("upload_part", part=2, corrupt=True)
    emulator.faults.add("upload_part", part=2, reset="body")
    await drop(page, "big.bin", 17 * MIB)
    await done(page, "big.bin")
    await expect(page.locator("#uploads")).to_contain_text("retries")
    assert await emulator.content(401) == content(17 * MIB)
    assert not emulator.faults.pending


async def test_a_part_that_is_refused_for_good_ends_the_upload_and_its_session(
    page, emulator, refusals
):
    emulator.faults.add("upload_part", part=2, status=413, body={"message": "Too large."})
    await drop(page, "big.bin", 24 * MIB)
    upload = page.locator("#uploads li").filter(has_text="big.bin")
    await expect(upload).to_contain_text("413: Too large.")
    await expect(page.locator("#said")).to_contain_text("413: Too large.")
    assert not emulator.open_sessions
    assert emulator.requests[-1].operation == "abort_multipart_session"
    await upload.get_by_role("button", name="Try again: big.bin").click()
    await done(page, "big.bin")
    assert await emulator.content(401) == content(24 * MIB)


async def test_an_upload_that_is_cancelled_leaves_no_session(page, emulator):
    emulator.faults.add("upload_part", stall=30, times=None)
    await drop(page, "big.bin", 17 * MIB)
    await expect(page.locator("#uploads .cells")).to_be_visible()
    await page.get_by_role("button", name="Cancel: big.bin").click()
    await expect(page.locator("#uploads li")).to_contain_text("cancelled")
    assert not emulator.open_sessions
    await page.get_by_role("button", name="Clear ended").click()
    await expect(page.locator("#uploads")).to_be_hidden()


async def test_a_commit_whose_answer_is_lost_is_not_called_a_failure(page, emulator, refusals):
    emulator.faults.add("commit_multipart_session", reset="after")
    await drop(page, "big.bin", 17 * MIB)
    upload = page.locator("#uploads li").filter(has_text="big.bin")
    await expect(upload).to_contain_text("whether it arrived isn't known")
    await expect(upload.get_by_role("button")).to_have_count(0)
    await expect(page.get_by_role("row", name="big.bin")).to_contain_text("17.0 MiB")
    assert emulator.files == {401: [430]}
    assert not emulator.open_sessions


async def test_a_session_of_somebody_else_is_seen_and_aborted(page, emulator):
    async with emulator.session("grace") as grace:
        session_id = await grace.create_multipart_session(name="hers.bin", content_type="a/b")
        await grace.upload_part(session_id, 2, b"part")
    await see(page, "Multipart")
    cells = page.get_by_role("img", name="1 part")
    await expect(cells.locator("i")).to_have_count(2)
    await page.get_by_role("button", name="Abort hers.bin").click()
    await expect(page.locator("#list-sessions")).to_contain_text("aborted · by grace")
    assert not emulator.open_sessions


async def test_each_view_has_a_title_and_an_address_of_its_own(page, emulator):
    for link, title in (("Multipart", "Multipart sessions"), ("Faults", "Faults")):
        await see(page, link)
        await expect(page).to_have_title(f"{title} · Domo Files emulator")
    await page.go_back()
    await expect(page.get_by_role("heading", name="Multipart sessions")).to_be_visible()
    await expect(page.get_by_role("heading", name="Faults")).to_be_hidden()
    current = page.locator("nav [aria-current=page]")
    await expect(current).to_have_count(1)
    await expect(current).to_contain_text("Multipart")


async def test_ten_thousand_parts_stay_a_picture_that_one_can_look_at(page, emulator):
    parts = {index: Blob("x", 1, "0" * 64) for index in range(1, 10_001) if index != 5_000}
    owner = emulator.user_id("ada")
    emulator._store.sessions["1"] = UploadSession(
        "1", owner, None, "huge", None, "a/b", parts=parts
    )
    await see(page, "Multipart")
    cells = page.get_by_role("img", name="9,999 parts").locator("i")
    await expect(cells).to_have_count(160)
    fills = await cells.evaluate_all(
        "all => all.map((one) => parseInt(one.style.getPropertyValue('--fill')))"
    )
    assert sorted(fills) == [98] + [100] * 159


async def test_revisions_are_added_listed_and_each_given_back(page, emulator):
    await drop(page, "orders.csv", 100)
    dialog = await open_file(page, "orders.csv")
    await drop(page, "other.csv", 200, at="dialog[open]")
    rows = dialog.get_by_role("table", name="Revisions").get_by_role("row")
    await expect(rows).to_have_count(3)
    await expect(rows.nth(1)).to_contain_text("431 current")
    await expect(rows.nth(2)).to_contain_text("100 B")
    for button, size in (("Download revision 430", 100), ("Download revision 431", 200)):
        async with page.expect_download() as coming:
            await dialog.get_by_role("button", name=button).click()
        download = await coming.value
        assert download.suggested_filename == "orders.csv"
        assert (await download.path()).read_bytes() == content(size)
    assert emulator.files == {401: [430, 431]}
    page.once("dialog", lambda question: question.accept())
    await dialog.get_by_role("button", name="Delete revision 431").click()
    await expect(rows).to_have_count(2)
    page.once("dialog", lambda question: question.dismiss())
    await dialog.get_by_role("button", name="Delete …").click()
    assert emulator.files == {401: [430]}
    page.once("dialog", lambda question: question.accept())
    await dialog.get_by_role("button", name="Delete …").click()
    await expect(dialog).to_be_hidden()
    await expect(page.get_by_text("No files yet.")).to_be_visible()


async def test_a_large_revision_keeps_the_files_name_and_description(page, emulator):
    async with emulator.session("ada") as ada:
        await ada.upload_file(b"one", name="orders.csv", description="Of last year")
    await open_file(page, "orders.csv")
    await drop(page, "another name.csv", 17 * MIB, at="dialog[open]")
    await expect(page.locator("#list-revisions tr")).to_have_count(2)
    async with emulator.session("ada") as ada:
        file = await ada.get_file(401, expand=("metadata",))
    assert (file.name, file.metadata.description) == ("orders.csv", "Of last year")
    assert file.current_revision.size_bytes == 17 * MIB


async def test_permissions_are_changed_and_whoever_has_no_right_is_told_so(
    page, emulator, refusals
):
    await drop(page, "orders.csv", 10)
    dialog = await open_file(page, "orders.csv")
    await dialog.get_by_role("combobox", name="User to add").select_option("grace")
    await dialog.get_by_role("button", name="Add user").click()
    grace = dialog.get_by_role("group", name="grace")
    await expect(grace.get_by_role("checkbox", name="read")).to_be_checked()
    await grace.get_by_role("checkbox", name="delete").check()
    await dialog.get_by_role("button", name="Save permissions").click()
    await expect(page.locator("#said")).to_have_text("Permissions saved")
    async with emulator.session("ada") as ada:
        shown = await ada.get_permissions(401)
    entries = {one.entity_id: str(one.grant) for one in shown.entries}
    assert entries[str(emulator.user_id("grace"))] == "READ_DELETE"
    assert entries[str(emulator.user_id("ada"))] == "READ_WRITE_DELETE_SHARE_ADMIN"
    assert not shown.public_access
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("cell", name="shared with 1")).to_be_visible()
    await page.get_by_role("combobox", name="Acting as").select_option("grace")
    dialog = await open_file(page, "orders.csv")
    await dialog.get_by_role("checkbox", name="Public").check()
    await dialog.get_by_role("button", name="Save permissions").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("403: You have no right to SHARE")
    async with emulator.session("ada") as ada:
        assert not (await ada.get_permissions(401)).public_access


async def test_a_fault_that_was_switched_on_strikes_and_is_in_the_log(page, emulator, refusals):
    await see(page, "Faults")
    switch = page.get_by_role("switch", name="The next part fails once")
    await expect(switch).not_to_be_checked()
    await switch.click()
    await expect(switch).to_be_checked()
    await expect(page.locator("#list-faults")).to_contain_text(
        "upload_part status 503 · met 0 of 1"
    )
    await drop(page, "big.bin", 17 * MIB)
    await done(page, "big.bin")
    await expect(switch).not_to_be_checked()
    await see(page, "Requests")
    row = page.get_by_role("row").filter(has_text="status 503")
    await expect(row).to_have_count(1)
    await expect(row).to_contain_text("upload_part")
    await expect(row.locator(".bad")).to_have_text("503")
    await expect(page.locator("#list-requests tr")).to_have_count(5)
    await page.get_by_role("checkbox", name="Only what went wrong").check()
    await expect(page.locator("#list-requests tr")).to_have_count(1)


async def test_a_switch_is_switched_off_and_another_fault_made_of_words(page, emulator):
    await see(page, "Faults")
    switch = page.get_by_role("switch", name="Maintenance")
    await switch.click()
    await expect(switch).to_be_checked()
    assert emulator.faults.pending[0].maintenance
    await switch.click()
    await expect(switch).not_to_be_checked()
    assert not emulator.faults.pending
    form = page.get_by_role("form", name="Another fault")
    await form.get_by_label("Operation").select_option("open_download")
    await form.get_by_label("What happens").select_option("stall")
    await form.get_by_label("Value").fill("2.5")
    await form.get_by_label("Times").fill("")
    await form.get_by_role("button", name="Add fault").click()
    await expect(page.locator("#list-faults")).to_contain_text("open_download stall 2.5 s · always")
    (fault,) = emulator.faults.pending
    assert (fault.operation, fault.stall, fault.times) == ("open_download", 2.5, None)
    await page.get_by_role("button", name="Remove the fault of open_download").click()
    await expect(page.locator("#list-faults li")).to_have_count(0)


async def test_words_that_make_no_fault_are_answered_beside_the_form(page, emulator, refusals):
    await see(page, "Faults")
    form = page.get_by_role("form", name="Another fault")
    await form.get_by_label("Value").fill("99")
    await form.get_by_role("button", name="Add fault").click()
    await expect(form.get_by_role("alert")).to_contain_text("status is from 200 to 599")


async def focused(page):
    return await page.evaluate(
        "() => { const one = document.activeElement;"
        " return one.getAttribute('aria-label') ?? (one.id || one.textContent.trim()); }"
    )


async def press_until(page, key, name, most=40):
    """Press a key until something has the focus, and say what had it on the way."""
    way = []
    for _ in range(most):
        await page.keyboard.press(key)
        way.append(await focused(page))
        if way[-1] == name:
            return way
    raise AssertionError(way)


async def test_all_of_it_is_done_with_the_keyboard(page, emulator):
    async with emulator.session("ada") as ada:
        await ada.upload_file(b"data", name="orders.csv")
    await expect(page.get_by_role("button", name="orders.csv")).to_be_visible()
    assert await press_until(page, "Tab", "Skip to content") == ["Skip to content"]
    in_view = "document.activeElement.getBoundingClientRect().left >= 0"
    assert await page.evaluate(in_view)
    await page.keyboard.press("Enter")
    assert await focused(page) == "main"
    way = await press_until(page, "Tab", "orders.csv")
    assert way == ["Find by name or id", "choose", "orders.csv"]
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="orders.csv")
    await expect(dialog).to_be_visible()
    assert await focused(page) == "head-file"
    way = await press_until(page, "Tab", "Close")
    way += await press_until(page, "Tab", "User to add")
    assert {"download", "revise", "delete", "Delete revision 430"} <= set(way)
    await page.keyboard.type("grace")
    await press_until(page, "Tab", "add-entry")
    await page.keyboard.press("Enter")
    await expect(dialog.get_by_role("group", name="grace")).to_be_visible()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Space")
    await press_until(page, "Tab", "Save permissions")
    await page.keyboard.press("Enter")
    await expect(page.locator("#said")).to_have_text("Permissions saved")
    async with emulator.session("ada") as ada:
        entries = {
            one.entity_id: str(one.grant) for one in (await ada.get_permissions(401)).entries
        }
    assert entries[str(emulator.user_id("grace"))] == "READ_WRITE"
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    assert await focused(page) == "orders.csv"
    await page.keyboard.press("/")
    assert await focused(page) == "Find by name or id"
    await page.keyboard.type("nothing like it")
    await expect(page.get_by_text("No file has such a name or id.")).to_be_visible()
    for _ in range(20):
        await page.keyboard.press("Shift+Tab")
        if (await focused(page)).startswith("Faults"):
            break
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Faults")).to_be_visible()
    await press_until(page, "Tab", "The next part fails once")
    await page.keyboard.press("Space")
    await expect(page.get_by_role("switch", name="The next part fails once")).to_be_checked()
    assert await focused(page) == "The next part fails once"
    assert emulator.faults.pending


async def test_the_focus_stays_where_it_is_while_files_arrive_and_change(page, emulator):
    async with emulator.session("ada") as ada:
        await ada.upload_file(b"data", name="orders.csv")
        await page.get_by_role("button", name="orders.csv").focus()
        await ada.upload_file(b"data", name="other.csv")
        await ada.upload_revision(401, b"new data")
        await expect(page.get_by_role("row", name="orders.csv")).to_contain_text("8 B")
        await expect(page.locator("#list-files tr")).to_have_count(2)
    await expect(page.locator("#list-files tr").first).to_contain_text("orders.csv")
    assert await focused(page) == "orders.csv"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
async def test_text_can_be_read_and_nothing_is_cut_off(page, emulator, scheme, width):
    await fill(emulator)
    await page.set_viewport_size({"width": width, "height": 800})
    await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    await drop(page, "small.txt", 10)
    await done(page, "small.txt")
    grounds = set()
    for view in [*VIEWS, "file"]:
        if view == "file":
            await see(page, "Files")
            await page.get_by_role("button", name="x" * 150).click()
            await expect(page.get_by_role("dialog")).to_be_visible()
        else:
            await see(page, "Multipart" if view == "sessions" else view)
        found = await page.evaluate(CONTRASTS)
        assert len(found) > 10
        assert [one for one in found if one[0] < 4.5] == []
        grounds.add(
            await page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        )
        inner = "dialog[open]" if view == "file" else "html"
        cut = f"(() => {{ const e = document.querySelector('{inner}'); return e.scrollWidth > e.clientWidth; }})()"
        assert not await page.evaluate(cut), view
        await page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text("utf-8"))
        told = await page.evaluate("axe.run({ resultTypes: ['violations'] })")
        broken = [
            (one["id"], [node["html"] for node in one["nodes"]]) for one in told["violations"]
        ]
        assert broken == [], json.dumps(broken, indent=1)
    assert grounds == {"rgb(246, 247, 249)" if scheme == "light" else "rgb(18, 22, 29)"}


async def test_names_are_text_wherever_they_are_shown(page, emulator):
    async with emulator.session(NASTY) as nasty:
        await nasty.upload_file(b"data", name=NASTY, description=NASTY, content_type="text/html")
        session_id = await nasty.create_multipart_session(name=NASTY, content_type="text/html")
    emulator.faults.add("upload_file", status=400, body={"message": NASTY}, times=2)
    dialog = await open_file(page, NASTY)
    for text in ("Description", "Owner"):
        await expect(dialog.locator("div").filter(has_text=text)).to_contain_text(NASTY)
    await expect(dialog.get_by_role("group", name=NASTY)).to_be_visible()
    await page.keyboard.press("Escape")
    await see(page, "Multipart")
    await expect(page.get_by_role("button", name=f"Abort {NASTY}")).to_be_visible()
    await see(page, "Faults")
    await expect(page.locator("#list-faults")).to_contain_text(NASTY)
    assert await page.evaluate("document.scripts.length") == 1
    assert await page.evaluate("document.images.length") == 0
    assert await page.evaluate("typeof hacked") == "undefined"
    assert emulator.open_sessions == [session_id]


async def test_markup_that_somebody_wrote_into_the_script_would_not_be_run(chromium, emulator):
    page = await chromium.new_page()
    await page.goto(emulator.console_url)
    tried = """() => {
        try { document.body.innerHTML = "<b>x</b>"; } catch (error) { return error.name; }
    }"""
    assert await page.evaluate(tried) == "TypeError"
    await page.close()


async def test_a_page_from_elsewhere_can_neither_look_nor_change(chromium, emulator):
    key = emulator.console_url.partition("#key=")[2]

    async def serve(_):
        return web.Response(text="<title>evil</title>", content_type="text/html")

    runner = web.ServerRunner(web.Server(serve), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    elsewhere = await chromium.new_page()
    try:
        await elsewhere.goto(f"http://127.0.0.1:{runner.addresses[0][1]}/")
        tried = """async ([url, key]) => {
            const told = [];
            for (const options of [
                {}, { headers: { "X-Emulator-Key": key } }, { mode: "no-cors" },
                { method: "POST", body: '{"operation": "*", "status": 503}', mode: "no-cors" },
                { method: "POST", body: '{"operation": "*", "status": 503}', headers: { "X-Emulator-Key": key } },
                { method: "DELETE", headers: { "X-Emulator-Key": key } },
            ]) for (const path of ["/", "/_emulator/state", "/_emulator/faults"]) {
                try { told.push(await (await fetch(url + path, options)).text()); } catch {}
            }
            return told.join("");
        }"""
        assert not await elsewhere.evaluate(tried, [emulator.url, key])
        framed = """async (url) => {
            const frame = document.createElement("iframe");
            frame.src = url;
            document.body.append(frame);
            await new Promise((resolve) => { frame.onload = resolve; });
            return frame.contentDocument === null && frame.contentWindow.length;
        }"""
        await elsewhere.evaluate(framed, emulator.console_url)
        (frame,) = [one for one in elsewhere.frames if one is not elsewhere.main_frame]
        assert not frame.url.startswith(emulator.url)
    finally:
        await elsewhere.close()
        await runner.cleanup()
    assert not list(emulator.faults)


async def test_without_its_key_the_page_asks_for_it(chromium, emulator):
    async with watched(chromium, emulator, refusals=True) as page:
        await page.goto(emulator.url)
        gate = page.get_by_role("dialog", name="Which key?")
        await expect(gate).to_be_visible()
        await gate.get_by_label("Address or key").fill("wrong")
        await page.keyboard.press("Enter")
        await expect(gate.get_by_label("Address or key")).to_have_value("")
        await expect(gate).to_be_visible()
        await gate.get_by_label("Address or key").fill(emulator.console_url)
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("Live")).to_be_visible()
        await expect(gate).to_be_hidden()
        assert "key=" not in page.url
        await page.reload()
        await expect(page.get_by_text("Live")).to_be_visible()


async def test_the_page_says_when_the_emulator_is_gone(chromium):
    async with Emulator() as emulator:
        page = await chromium.new_page()
        await page.goto(emulator.console_url)
        await expect(page.get_by_text("Live")).to_be_visible()
    await expect(page.get_by_text("The emulator does not answer")).to_be_visible()
    await page.close()


async def test_the_first_file_of_nobody_makes_a_user(chromium):
    async with Emulator() as emulator, watched(chromium, emulator, refusals=False) as page:
        await page.goto(emulator.console_url)
        await expect(page.get_by_text("Live")).to_be_visible()
        await drop(page, "x.txt", 1)
        await done(page, "x.txt")
        page.once("dialog", lambda question: question.accept("grace"))
        await page.get_by_role("button", name="New user").click()
        actor = page.get_by_role("combobox", name="Acting as")
        await expect(actor).to_have_value("grace")
        assert await actor.locator("option").all_inner_texts() == ["ada", "grace"]
