"""The console's routes over real sockets: who may ask, what is told, what changes nothing."""

import asyncio
import json
import re
from dataclasses import dataclass
from html.parser import HTMLParser

import aiohttp
import pytest

from domo_files_async.emulator import Emulator

APP = "/domo/data-files/v1"
ASSETS = ["/", "/_emulator/console.css", "/_emulator/console.js"]
ROUTES = [
    ("GET", "/_emulator/state", None),
    ("POST", "/_emulator/users", {"name": "eve"}),
    ("POST", "/_emulator/faults", {"operation": "*", "status": 503}),
    ("DELETE", "/_emulator/faults", None),
    ("DELETE", "/_emulator/faults/1", None),
]


@dataclass
class Browser:
    """Speaks to the emulator as the console's page does, or as another page would."""

    http: aiohttp.ClientSession
    emulator: Emulator

    async def ask(self, method, path, value=None, *, key=True, **headers):
        if key:
            headers["X-Emulator-Key"] = self.emulator.console_url.partition("#key=")[2]
        headers = {name.replace("_", "-"): text for name, text in headers.items()}
        url = self.emulator.url + path
        async with self.http.request(method, url, json=value, headers=headers) as reply:
            return reply.status, reply.headers, await reply.text()

    async def ok(self, method, path, value=None, **headers):
        status, _, text = await self.ask(method, path, value, **headers)
        assert status == 200, text
        return json.loads(text)

    async def state(self, **query):
        asked = "&".join(f"{name}={value}" for name, value in query.items())
        return await self.ok("GET", f"/_emulator/state?{asked}")

    async def api(self, method, path, **options):
        headers = {"X-DOMO-Ryuu-Session": self.emulator.credential("ada")}
        url = self.emulator.url + APP + path
        async with self.http.request(method, url, headers=headers, **options) as reply:
            return reply.status, await reply.json()

    async def upload(self, name="orders.csv", data=b"1,2"):
        form = aiohttp.FormData()
        form.add_field("file", data, filename="x", content_type="text/csv")
        _, said = await self.api("POST", "", params={"name": name}, data=form)
        return said["dataFileId"]

    async def begin(self, name="big.bin"):
        said = {"name": name, "contentType": "text/plain"}
        return (await self.api("POST", "/multipart", json=said))[1]["sessionId"]


@pytest.fixture
async def browser():
    async with Emulator() as emulator, aiohttp.ClientSession() as http:
        http._retry_connection = False
        yield Browser(http, emulator)


@pytest.mark.parametrize("path", ASSETS)
async def test_the_page_may_load_nothing_from_elsewhere_and_be_framed_nowhere(browser, path):
    status, headers, text = await browser.ask("GET", path, key=False)
    assert status == 200
    policy = dict(
        one.strip().split(" ", 1) for one in headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == policy["style-src"] == "'self'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Access-Control-Allow-Origin" not in headers
    assert browser.emulator.console_url.partition("#key=")[2] not in text
    assert browser.emulator.credential("ada") not in text


async def test_the_page_names_only_what_the_emulator_has(browser):
    _, _, page = await browser.ask("GET", "/", key=False)
    named = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            said = dict(attrs)
            assert not [name for name in said if name.startswith("on") or name == "style"], tag
            assert tag != "script" or said.get("src")
            if said.get("src") or (tag == "link" and said.get("rel") == "stylesheet"):
                named.append(said.get("src") or said["href"])

    Reader().feed(page)
    assert named == ["/_emulator/console.css", "/_emulator/console.js"]
    for path in named:
        _, _, text = await browser.ask("GET", path, key=False)
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\(", text)


async def test_what_the_script_asks_for_is_on_the_page(browser):
    _, _, page = await browser.ask("GET", "/", key=False)
    _, _, script = await browser.ask("GET", "/_emulator/console.js", key=False)
    ids = set(re.findall(r'\bid="([^"]+)"', page))
    assert set(re.findall(r'\$\("([^"]+)"\)', script)) <= ids
    assert set(re.findall(r'aria-labelledby="([^"]+)"', page)) <= ids
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script)


@pytest.mark.parametrize(("method", "path", "value"), ROUTES)
async def test_nothing_is_told_or_changed_without_the_key(browser, method, path, value):
    for key in ({}, {"X_Emulator_Key": "x"}, {"X_Emulator_Key": "ключ"}):
        status, _, text = await browser.ask(method, path, value, key=False, **key)
        assert status == 401
        assert "address that the emulator gives" in json.loads(text)["message"]
    assert not browser.emulator.faults.pending


@pytest.mark.parametrize(("method", "path", "value"), ROUTES)
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://127.0.0.1:1", "http://localhost", "null", ""]
)
async def test_a_page_from_elsewhere_is_refused_with_the_key_too(
    browser, method, path, value, origin
):
    status, headers, _ = await browser.ask(method, path, value, Origin=origin)
    assert status == 403
    assert "Access-Control-Allow-Origin" not in headers
    assert not browser.emulator.faults.pending


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_what_the_browser_says_comes_from_another_site_is_refused(browser, site):
    assert (await browser.ask("GET", "/_emulator/state", Sec_Fetch_Site=site))[0] == 403
    assert (await browser.ask("GET", "/_emulator/state", Sec_Fetch_Site="same-origin"))[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "10.0.0.1", ""]
)
async def test_a_foreign_name_bound_to_this_machine_reaches_nothing(browser, host):
    for path in [*ASSETS, "/_emulator/state"]:
        status, _, text = await browser.ask("GET", path, Host=host)
        assert status == 403
        assert "names of this machine" in text


@pytest.mark.parametrize("host", ["localhost:9000", "127.0.0.1", "[::1]:80", "LOCALHOST"])
async def test_any_name_of_this_machine_and_any_port_will_do(browser, host):
    path = "/_emulator/state"
    assert (await browser.ask("GET", path, Host=host, Origin=f"http://{host}"))[0] == 200


async def test_a_preflight_gives_no_leave(browser):
    asked = {"Origin": "https://evil.example", "Access_Control_Request_Method": "POST"}
    for path in ("/_emulator/faults", "/_emulator/state"):
        status, headers, _ = await browser.ask("OPTIONS", path, key=False, **asked)
        assert status == 403
        assert not [name for name in headers if name.startswith("Access-Control")]


async def test_each_emulator_has_a_key_of_its_own():
    one, other = Emulator(), Emulator()
    assert one.console_url != other.console_url


async def test_the_console_is_no_part_of_what_the_api_sees(browser):
    browser.emulator.faults.add("*", status=503, times=None)
    for path in [*ASSETS, "/_emulator/state"]:
        assert (await browser.ask("GET", path))[0] == 200
    assert browser.emulator.requests == []
    assert browser.emulator.max_in_flight == 0
    assert not browser.emulator.faults.met


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/"),
        ("HEAD", "/"),
        ("GET", "//"),
        ("GET", "/index.html"),
        ("GET", "/_emulator"),
        ("GET", "/_emulators/state"),
        ("GET", "/favicon.ico"),
        ("GET", APP + "/_emulator/state"),
    ],
)
async def test_any_other_path_is_the_apis_as_before(browser, method, path):
    status, headers, _ = await browser.ask(method, path, key=False)
    assert status in {401, 404}
    assert "Content-Security-Policy" not in headers
    assert len(browser.emulator.requests) == 1


async def test_to_look_brings_nothing_hidden_nearer(browser):
    browser.emulator.behaviour.visibility_lag = 1
    file_id = await browser.upload()
    for _ in range(5):
        assert (await browser.state(file=file_id))["file"]["id"] == file_id
    assert (await browser.api("GET", f"/{file_id}/details"))[0] == 404
    assert (await browser.api("GET", f"/{file_id}/details"))[0] == 200


async def test_files_are_listed_newest_first_and_found_by_name_or_id(browser):
    first, second = await browser.upload("Äpfel.csv"), await browser.upload("<b>pears</b>.csv")
    state = await browser.state()
    assert [one["id"] for one in state["files"]] == [second, first]
    assert [one["name"] for one in state["files"]] == ["<b>pears</b>.csv", "Äpfel.csv"]
    assert state["filesFound"] == state["filesInAll"] == 2
    for search in ("äPF", first):
        found = await browser.state(search=search)
        assert ([one["id"] for one in found["files"]], found["filesInAll"]) == ([first], 2)
    assert (await browser.state(search="plums"))["files"] == []


async def test_more_files_than_a_page_holds_are_counted(browser):
    for _ in range(201):
        await browser.upload()
    state = await browser.state()
    assert (len(state["files"]), state["filesFound"]) == (200, 201)
    assert (len(state["requests"]), state["requestsInAll"]) == (200, 201)
    assert [one["number"] for one in state["requests"]] == list(range(201, 1, -1))


async def test_one_file_is_shown_with_all_of_its_revisions(browser):
    file_id = await browser.upload(data=b"one")
    form = aiohttp.FormData()
    form.add_field("file", b"three", filename="x", content_type="text/plain")
    _, said = await browser.api("PUT", f"/{file_id}", data=form)
    shown = (await browser.state(file=file_id))["file"]
    assert [one["size"] for one in shown["revisions"]] == [5, 3]
    assert shown["current"] == shown["revisions"][0]
    assert shown["current"]["id"] == said["revisionId"]
    assert shown["public"] is False
    assert (await browser.state())["file"] is None
    assert (await browser.state(file="x"))["file"] is None
    assert (await browser.state(file=9))["file"] is None


async def test_parts_are_seen_while_they_arrive_and_once_they_are_there(browser):
    session_id = await browser.begin()
    for index in (1, 2, 5):
        await browser.api("PUT", f"/multipart/{session_id}/part/{index}", data=b"12345")
    half, go_on = asyncio.Event(), asyncio.Event()

    async def slowly():
        yield b"abc"
        half.set()
        await go_on.wait()
        yield b"def"

    sending = asyncio.create_task(
        browser.api("PUT", f"/multipart/{session_id}/part/7", data=slowly())
    )
    await half.wait()
    async with asyncio.timeout(10):
        while (shown := await browser.state())["sessions"][0]["arriving"] != [[7, 3]]:
            await asyncio.sleep(0)
    (session,) = shown["sessions"]
    assert session["runs"] == [[1, 2], [5, 5]]
    assert (session["parts"], session["size"], session["state"]) == (3, 15, "open")
    assert shown["requests"][0]["took"] is None
    go_on.set()
    await sending
    (session,) = (await browser.state())["sessions"]
    assert (session["runs"], session["arriving"]) == ([[1, 2], [5, 5], [7, 7]], [])


async def test_open_multipart_sessions_come_before_those_that_ended(browser):
    ids = [await browser.begin(str(number)) for number in range(4)]
    await browser.api("POST", f"/multipart/{ids[3]}/abort")
    await browser.api("PUT", f"/multipart/{ids[2]}/part/1", data=b"x")
    _, made = await browser.api("POST", f"/multipart/{ids[2]}/commit")
    state = await browser.state()
    assert [one["state"] for one in state["sessions"]] == ["open", "open", "aborted", "committed"]
    assert [one["id"] for one in state["sessions"]] == [ids[1], ids[0], ids[3], ids[2]]
    assert state["sessionsOpen"] == 2
    assert state["sessions"][3]["made"] == [int(made["dataFileId"]), int(made["revisionId"])]


async def test_a_fault_is_added_met_shown_in_the_log_and_removed(browser):
    words = {"operation": "get_file", "status": 429, "headers": {"Retry-After": "1"}, "times": None}
    said = await browser.ok("POST", "/_emulator/faults", words)
    (fault,) = (await browser.state())["faults"]
    assert fault == {"id": said["id"], "words": words, "met": 0, "pending": True}
    assert (await browser.api("GET", "/401/details"))[0] == 429
    state = await browser.state()
    assert state["faults"][0]["met"] == 1
    assert state["requests"][0]["fault"] == words
    assert (state["requests"][0]["operation"], state["requests"][0]["status"]) == ("get_file", 429)
    await browser.ok("DELETE", f"/_emulator/faults/{said['id']}")
    assert (await browser.state())["faults"] == []
    assert (await browser.api("GET", "/401/details"))[0] == 404
    assert (await browser.state())["requests"][0]["fault"] is None


async def test_faults_that_a_program_added_are_shown_and_removed_together(browser):
    browser.emulator.faults.add("upload_part", status=500, body=b"\xff", part=3)
    browser.emulator.faults.add("*", stall=0.5)
    shown = [one["words"] for one in (await browser.state())["faults"]]
    assert shown == [
        {"operation": "upload_part", "status": 500, "body": "\ufffd", "part": 3},
        {"operation": "*", "stall": 0.5},
    ]
    await browser.ok("DELETE", "/_emulator/faults/12")
    assert len(browser.emulator.faults.pending) == 2
    await browser.ok("DELETE", "/_emulator/faults")
    assert not browser.emulator.faults.pending


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({}, "operation"),
        ({"operation": "upload_part"}, "must do something"),
        ({"operation": "dance", "status": 503}, "no operation 'dance'"),
        ({"operation": "*", "status": "503"}, "status='503'"),
        ({"operation": "*", "status": True}, "status=True"),
        ({"operation": "*", "corrupt": 1}, "corrupt=1"),
        ({"operation": "*", "status": 99}, "200 to 599"),
        ({"operation": "*", "status": 503, "headers": {"Retry-After": 1}}, "must be texts"),
        ({"operation": "*", "met": 1, "status": 503}, "met=1"),
        ([], "JSON object"),
        (None, "no JSON"),
    ],
)
async def test_words_that_make_no_fault_are_refused(browser, words, message):
    status, _, text = await browser.ask("POST", "/_emulator/faults", words)
    assert (status, message in json.loads(text)["message"]) == (400, True), text
    assert not list(browser.emulator.faults)


async def test_words_come_in_as_many_pieces_as_they_like_up_to_a_limit(browser):
    async def slowly(text, times):
        yield text[:10]
        for _ in range(50):
            await asyncio.sleep(0)
        for _ in range(times):
            yield text[10:]

    words = b'{"operation": "get_file", "status": 503}'
    for data, expected in ((slowly(words, 1), 200), (slowly(words, 5_000), 413)):
        headers = {"X-Emulator-Key": browser.emulator.console_url.partition("#key=")[2]}
        url = browser.emulator.url + "/_emulator/faults"
        async with browser.http.post(url, data=data, headers=headers) as reply:
            assert reply.status == expected
    assert len(browser.emulator.faults.pending) == 1


async def test_a_user_comes_into_being_and_may_act(browser):
    said = await browser.ok("POST", "/_emulator/users", {"name": " grace "})
    assert (await browser.state())["users"] == [
        {"id": said["id"], "name": "grace", "credential": browser.emulator.credential("grace")}
    ]
    for wrong in ({}, {"name": " "}, {"name": 1}):
        assert (await browser.ask("POST", "/_emulator/users", wrong))[0] == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/_emulator/"),
        ("GET", "/_emulator/faults"),
        ("POST", "/_emulator/state"),
        ("GET", "/_emulator/../app.py"),
        ("GET", "/_emulator/routes.py"),
        ("PUT", "/_emulator/console.css"),
    ],
)
async def test_the_console_has_no_other_paths(browser, method, path):
    status, _, _ = await browser.ask(method, path)
    assert status == 404


async def test_a_request_says_when_it_came_how_long_it_took_and_what_it_met(browser):
    fault = browser.emulator.faults.add("list_files", reset="after")
    with pytest.raises(aiohttp.ClientError):
        await browser.api("GET", "/details")
    await browser.api("GET", "/details")
    first, second = browser.emulator.requests
    assert (first.fault, first.status, second.fault, second.status) == (fault, None, None, 200)
    assert first.at <= second.at
    assert first.took >= 0
    assert browser.emulator.credential("ada") not in repr(first)
