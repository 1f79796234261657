// The console's page. Rule 1: text becomes text; nothing here writes markup.
// Rule 2: what is shown comes from the console's own route, which changes nothing; what is done to
// files goes over the API, as its documentation says, with the credential of the user who acts.

const APP = "/domo/data-files/v1";
const PRODUCT = "/api/data/v1/data-files";
const MIB = 1024 * 1024;
const THRESHOLD = 16 * MIB;
const PART_SIZE = 10 * MIB;
const MOST_PARTS = 10_000;
const MOST_CELLS = 160;
const AT_ONCE = 4;
const ATTEMPTS = 5;
const UNCLEAR = "The connection broke, and whether it arrived isn't known: look in the list";
const RIGHTS = ["READ", "WRITE", "DELETE", "SHARE", "ADMIN"];
const VIEWS = ["files", "sessions", "requests", "faults"];
const PRESETS = [
  ["The next part fails once", { operation: "upload_part", status: 503, times: 1 }],
  ["The next part arrives damaged", { operation: "upload_part", corrupt: true, times: 1 }],
  ["The next part breaks off", { operation: "upload_part", reset: "body", times: 1 }],
  ["Parts are slow: 1 MiB/s each", { operation: "upload_part", rate: MIB, times: null }],
  ["The commit's answer is lost", { operation: "commit_multipart_session", reset: "after", times: 1 }],
  ["The next download breaks off", { operation: "open_download", truncate: true, times: 1 }],
  ["Too many: five get 429", { operation: "*", status: 429, headers: { "Retry-After": "1" }, times: 5 }],
  ["Maintenance", { operation: "*", maintenance: true, times: null }],
];
const KINDS = [
  ["status", "answers with status", "503", Number],
  ["stall", "stands still, seconds", "5", Number],
  ["rate", "is slow, bytes a second", "262144", Number],
  ["reset", "connection breaks: before, body, after", "body", String],
  ["corrupt", "arrives damaged", null],
  ["truncate", "download ends early", null],
  ["maintenance", "shows the maintenance page", null],
];

const $ = (id) => document.getElementById(id);
const uploads = [];
let state = null;
let opened = null;
let wake = () => {};

// Elements

function el(name, properties = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in node) node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

const button = (text, onclick, properties = {}) => el("button", { type: "button", onclick, ...properties }, text);
const row = (...cells) => el("tr", {}, ...cells.map(([content, className = ""]) => el("td", { className }, content)));
const focusable = (node) => [...node.querySelectorAll("button, input")];

/** Let a list show items: what hasn't changed stays, and so does the focus in what has. */
function sync(list, items, keyOf, make) {
  const keys = new Set(items.map((item) => String(keyOf(item))));
  for (const node of [...list.children]) if (!keys.has(node.dataset.key)) node.remove();
  const kept = new Map([...list.children].map((node) => [node.dataset.key, node]));
  let at = list.firstElementChild;
  for (const item of items) {
    const signature = JSON.stringify(item);
    const old = kept.get(String(keyOf(item)));
    let node = old;
    if (old?.signature !== signature) {
      node = Object.assign(make(item), { signature });
      node.dataset.key = keyOf(item);
      const focused = old ? focusable(old).indexOf(document.activeElement) : -1;
      if (old && old === at) at = node;
      old?.replaceWith(node);
      focusable(node)[focused]?.focus();
    }
    if (node === at) at = at.nextElementSibling;
    else list.insertBefore(node, at);
  }
}

function say(text) {
  $("said").textContent = text;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { $("said").textContent = ""; }, 6000);
}

// Words for people

function bytes(count) {
  const unit = Math.min(3, Math.floor(Math.log2(Math.max(1, count)) / 10));
  return `${unit ? (count / 1024 ** unit).toFixed(1) : count} ${["B", "KiB", "MiB", "GiB"][unit]}`;
}

const count = (number, one, many = `${one}s`) => `${number.toLocaleString()} ${number === 1 ? one : many}`;
// Of all the ways to write a local time, Sweden's sorts.
const date = (millis) => new Date(millis).toLocaleString("sv").slice(0, 16);
const time = (millis) => new Date(millis).toLocaleString("sv").slice(11);
const userName = (id) => state.users.find((user) => user.id === Number(id))?.name ?? `user ${id}`;

function access(file) {
  const others = file.entries.filter((entry) => entry.entityId !== String(file.owner)).length;
  return file.public ? "public" : others ? `shared with ${others}` : "private";
}

function does({ operation, times, part, nth, headers, session_id, ...rest }) {
  return Object.entries(rest).map(([word, value]) => {
    if (value === true) return word;
    if (word === "rate") return `${bytes(value)}/s`;
    return `${word} ${typeof value === "object" ? JSON.stringify(value) : value}${word === "stall" ? " s" : ""}`;
  }).join(", ");
}

// The console's own routes

async function ask(method, path, value) {
  const headers = { "X-Emulator-Key": sessionStorage.consoleKey ?? "" };
  const reply = await fetch(`/_emulator/${path}`, { method, headers, body: value && JSON.stringify(value) });
  const told = await reply.json();
  if (reply.status === 401) await askForKey();
  if (!reply.ok) throw new Error(told.message);
  return told;
}

function takeKey(text) {
  const key = text.trim().split("key=").at(-1);
  if (key) sessionStorage.consoleKey = key;
}

function askForKey() {
  return new Promise((resolve) => {
    $("gate").onclose = () => {
      takeKey($("gate").querySelector("input").value);
      $("gate").querySelector("form").reset();
      resolve();
    };
    if (!$("gate").open) $("gate").showModal();
  });
}

async function look() {
  const asked = new URLSearchParams({ search: $("search").value, file: opened ?? "" });
  const turn = (look.last = (look.last ?? 0) + 1);
  try {
    const seen = await ask("GET", `state?${asked}`);
    // What was asked before something newer that came already is of no use.
    if (turn < (look.shown ?? 0)) return;
    [state, look.shown] = [seen, turn];
    pulse("live", "Live");
    draw();
  } catch (error) {
    pulse("down", error instanceof TypeError ? "The emulator does not answer" : error.message);
  }
}

function pulse(className, text) {
  if ($("pulse").textContent.trim() === text) return;
  $("pulse").className = className;
  $("pulse").lastElementChild.textContent = text;
}

async function keepLooking() {
  for (;;) {
    await look();
    await new Promise((resolve) => {
      wake = resolve;
      if (!document.hidden) setTimeout(resolve, state?.sessionsOpen || uploads.some(isUnderWay) ? 250 : 1000);
    });
  }
}

// The API

class Refused extends Error {}

async function call(user, method, path, { json, body = json && JSON.stringify(json), type, product, signal } = {}) {
  const headers = { [product ? "X-DOMO-Developer-Token" : "X-DOMO-Ryuu-Session"]: user.credential };
  if (json || type) headers["Content-Type"] = json ? "application/json" : type;
  const reply = await fetch((product ? PRODUCT : APP) + path, { method, headers, body, signal });
  if (reply.ok) return reply;
  const text = await reply.text();
  let said = text.slice(0, 100).replace(/<[^>]*>/g, " ");
  try { said = JSON.parse(text).message; } catch { /* not in the API's shape */ }
  const wait = Number(reply.headers.get("Retry-After")) || 0;
  throw Object.assign(new Refused(`${reply.status}: ${said}`), { status: reply.status, wait });
}

async function acting() {
  if (!state.users.length) await addUser("ada");
  return state.users.find((user) => user.name === $("actor").value) ?? state.users[0];
}

async function addUser(name) {
  await ask("POST", "users", { name });
  sessionStorage.actor = name;
  await look();
}

// Uploads

const isUnderWay = (upload) => upload.status === "sending";
const partSize = (size) => Math.max(PART_SIZE, Math.ceil(size / MOST_PARTS));
const hex = (digest) => Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
const mayMend = ({ status, message }) =>
  !status || [408, 429].includes(status) || status >= 500 || /checksum .* match/i.test(message);

const slots = {
  free: AT_ONCE,
  waiting: [],
  async within(work) {
    if (this.free > 0) this.free -= 1;
    else await new Promise((resolve) => this.waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.waiting.shift();
      if (next) next();
      else this.free += 1;
    }
  },
};

async function begin(file, target = null) {
  const parts = file.size < THRESHOLD ? 0 : Math.ceil(file.size / partSize(file.size));
  const upload = { key: crypto.randomUUID(), file, target, user: await acting(), name: target?.name ?? file.name, parts };
  uploads.unshift(upload);
  await run(upload);
}

async function run(upload) {
  const control = new AbortController();
  Object.assign(upload, { status: "sending", error: "", retries: 0, sent: 0, sessionId: null, control });
  draw();
  try {
    upload.made = upload.parts ? await sendInParts(upload) : await slots.within(() => sendAtOnce(upload));
    upload.status = "done";
    say(`${upload.name} is data file ${upload.made}`);
  } catch (error) {
    // A request that broke may have done its work all the same.
    upload.status = error instanceof Refused ? "failed" : "unclear";
    if (control.signal.reason === "cancelled") upload.status = "cancelled";
    upload.error = { cancelled: "cancelled", failed: error.message, unclear: UNCLEAR }[upload.status];
    say(`${upload.name}: ${upload.error}`);
  }
  wake();
  draw();
}

async function sendAtOnce({ file, name, target, user, control: { signal } }) {
  const body = new FormData();
  body.append("file", file);
  const asked = new URLSearchParams({ name, public: "false" });
  const reply = await call(user, target ? "PUT" : "POST", target ? `/${target.id}` : `?${asked}`, { body, signal });
  return target?.id ?? (await reply.json()).dataFileId;
}

async function sendInParts(upload) {
  const { file, target, user, name, control } = upload;
  const { signal } = control;
  const json = { name, contentType: file.type || "application/octet-stream" };
  if (target) Object.assign(json, { fileId: target.id, description: target.description ?? undefined });
  const opening = await call(user, "POST", `${target ? `/${target.id}` : ""}/multipart`, { json, signal });
  const { sessionId } = await opening.json();
  upload.sessionId = sessionId;
  try {
    let next = 1;
    const work = async () => { while (next <= upload.parts) await sendPart(upload, next++); };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    const reply = await call(user, "POST", `/multipart/${sessionId}/commit`, { json: { sessionId }, signal });
    return Number((await reply.json()).dataFileId);
  } catch (error) {
    control.abort("it failed");
    const ended = await call(user, "POST", `/multipart/${sessionId}/abort`).catch((refusal) => refusal);
    if (ended.ok && !(error instanceof Refused)) throw new Refused("The connection broke, and nothing was kept");
    throw ended.status === 409 ? new TypeError("It was committed, and its answer was lost") : error;
  }
}

async function sendPart(upload, index) {
  const { file, user, sessionId, control: { signal } } = upload;
  const size = partSize(file.size);
  for (let attempt = 1; ; attempt += 1) {
    try {
      await slots.within(async () => {
        signal.throwIfAborted();
        const body = await file.slice((index - 1) * size, index * size).arrayBuffer();
        const checksum = hex(await crypto.subtle.digest("SHA-256", body));
        const path = `/multipart/${sessionId}/part/${index}?checksum=${checksum}`;
        await call(user, "PUT", path, { body, type: "application/octet-stream", signal });
      });
      upload.sent += 1;
      return draw();
    } catch (error) {
      if (signal.aborted || attempt === ATTEMPTS || !mayMend(error)) throw error;
      upload.retries += 1;
      await new Promise((resolve) => {
        setTimeout(resolve, error.wait * 1000 || 200 * 2 ** attempt);
        signal.addEventListener("abort", resolve, { once: true });
      });
    }
  }
}

function takeFiles(files, target = null) {
  for (const file of files) begin(file, target).catch((error) => say(error.message));
}

// What is shown

function draw() {
  if (!state) return;
  for (const part of [drawUsers, drawFiles, drawSessions, drawRequests, drawFaults, drawUploads, drawOpened]) part();
  const counts = [state.filesInAll, state.sessionsOpen, state.requestsInAll, state.faults.filter(isOn).length];
  VIEWS.forEach((view, at) => { $(`count-${view}`).textContent = counts[at].toLocaleString(); });
}

function drawUsers() {
  const names = state.users.map((user) => user.name);
  if (names.join() === drawUsers.shown) return;
  for (const select of [$("actor"), $("add-whom")]) select.replaceChildren(...names.map((name) => el("option", {}, name)));
  if (names.includes(sessionStorage.actor)) $("actor").value = sessionStorage.actor;
  drawUsers.shown = names.join();
}

function drawFiles() {
  const { files, filesFound, filesInAll } = state;
  sync($("list-files"), files, (file) => file.id, (file) => row(
    [button(file.name, () => openFile(file.id), { className: "name", ariaHasPopup: "dialog" })],
    [String(file.id), "wide"], [bytes(file.current.size), "number"], [file.current.contentType, "wide type"],
    [String(file.revisionsInAll), "wide number"], [access(file)], [userName(file.owner), "wide"],
    [date(file.current.uploaded), "wide when"],
  ));
  const more = filesFound - files.length;
  $("more-files").textContent = more ? `The newest ${files.length}; find ${count(more, "more file")} by name or id.` : "";
  $("empty-files").hidden = filesInAll > 0;
  $("empty-search").hidden = filesFound > 0 || !filesInAll;
  $("list-files").parentElement.hidden = !filesFound;
  const user = state.users.find((one) => one.name === $("actor").value);
  $("connect").textContent = user ? `DOMO_INSTANCE=${location.origin} DOMO_ACCESS_TOKEN=${user.credential}` : "";
}

/** Draw the parts of a multipart session: there, arriving, or missing. */
function cells(session, label) {
  const own = uploads.find((upload) => upload.sessionId === session.id);
  const arriving = new Map(session.arriving);
  const total = own?.parts ?? Math.max(0, ...session.runs.map((run) => run[1]), ...arriving.keys());
  const size = own ? partSize(own.file.size) : session.size / session.parts || THRESHOLD;
  const fillOf = (index) => session.runs.some(([first, last]) => first <= index && index <= last)
    ? 1 : Math.min(0.95, (arriving.get(index) ?? 0) / size);
  const shown = Math.min(total, MOST_CELLS);
  const boxes = Array.from({ length: shown }, (_, at) => {
    const [first, last] = [at, at + 1].map((each) => Math.floor((each * total) / shown));
    let fill = 0;
    for (let index = first + 1; index <= last; index += 1) fill += fillOf(index);
    const box = el("i");
    box.style.setProperty("--fill", `${Math.floor((100 * fill) / (last - first))}%`);
    return box;
  });
  return el("div", { className: "cells", role: "img", ariaLabel: label }, ...boxes);
}

function drawSessions() {
  sync($("list-sessions"), state.sessions, (one) => one.id, (one) => {
    const isOpen = one.state === "open";
    const parts = `${count(one.parts, "part")}${one.arriving.length ? `, ${one.arriving.length} arriving` : ""}`;
    const ended = one.made ? `committed as file ${one.made[0]}, revision ${one.made[1]}` : one.state;
    const told = [isOpen ? `${parts} · ${bytes(one.size)}` : ended, `by ${userName(one.owner)}`,
      one.fileId ? `new revision of ${one.fileId}` : "new file", `session ${one.id}`];
    return el("li", { className: isOpen ? "" : "ended" },
      el("div", { className: "bar" }, el("strong", {}, one.name),
        isOpen ? button("Abort", () => abortSession(one), { className: "danger", ariaLabel: `Abort ${one.name}` }) : null),
      el("p", {}, told.join(" · ")), isOpen ? cells(one, parts) : null);
  });
  $("empty-sessions").hidden = state.sessions.length > 0;
}

async function abortSession(session) {
  const upload = uploads.find((one) => one.sessionId === session.id && isUnderWay(one));
  if (upload) return upload.control.abort("cancelled");
  const owner = state.users.find((user) => user.id === session.owner);
  await call(owner, "POST", `/multipart/${session.id}/abort`).then(wake, (error) => say(error.message));
}

function drawRequests() {
  const isBroken = (one) => one.took !== null && !(one.status < 400);
  const shown = state.requests.filter((one) => !$("only-troubled").checked || one.fault || isBroken(one));
  sync($("list-requests"), shown, (one) => one.number, (one) => {
    const status = one.status ?? (one.took === null ? "arriving" : "no reply");
    const surfaces = [["app", APP], ["product", PRODUCT]];
    const [surface, base] = surfaces.find(([, start]) => one.path.startsWith(start)) ?? ["", ""];
    const path = one.path.slice(base.length).replace(/\d{12,}(?=\d{4})/, "\u2060…\u2060") || "/";
    return row(
      [String(one.number), "wide number"], [time(one.at), "wide when"],
      [el("span", {}, one.operation || "unknown", el("small", { className: "wide" }, ` ${surface}`))],
      [el("span", { title: one.path }, `${one.method} ${path}`), "wide code"],
      [el("span", { className: isBroken(one) ? "bad" : one.status ? "good" : "" }, String(status))],
      [one.size ? bytes(one.size) : "", "wide number"], [one.took === null ? "" : `${one.took} ms`, "wide number"],
      [one.fault ? does(one.fault) : "", "when"],
    );
  });
  $("list-requests").parentElement.hidden = !shown.length;
  $("empty-requests").hidden = shown.length > 0;
  const all = state.requestsInAll;
  $("more-requests").textContent = all > state.requests.length ? `The last ${state.requests.length} of ${all.toLocaleString()}.` : "";
}

function drawUploads() {
  $("uploads").hidden = !uploads.length;
  $("clear-uploads").disabled = uploads.every(isUnderWay);
  const shown = uploads.map(({ key, status, error, retries, sent, sessionId }) =>
    ({ key, status, error, retries, sent, session: state.sessions.find((one) => one.id === sessionId) }));
  sync($("list-uploads"), shown, (one) => one.key, ({ key, status, error, retries, sent, session }) => {
    const upload = uploads.find((one) => one.key === key);
    const again = ["Try again", () => run(upload)];
    const [action, perform] = {
      sending: ["Cancel", () => upload.control.abort("cancelled")],
      done: ["Show", () => openFile(upload.made)], failed: again, cancelled: again,
    }[status] ?? [];
    const sending = upload.parts ? `${sent} of ${upload.parts} parts` : "sending …";
    const told = [bytes(upload.file.size), { sending, done: `data file ${upload.made}` }[status] ?? error];
    if (retries) told.push(count(retries, "retry", "retries"));
    return el("li", { className: status },
      el("div", { className: "bar" }, el("strong", {}, upload.name),
        action ? button(action, perform, { ariaLabel: `${action}: ${upload.name}` }) : null),
      el("p", {}, told.join(" · ")), session?.state === "open" ? cells(session, sending) : null);
  });
}

// Faults

const isEndless = (fault) => fault.words.times === null;
const isOn = (fault) => fault.pending || isEndless(fault);
const asText = (words) => JSON.stringify(Object.entries({ times: 1, ...words }).sort());

function drawFaults() {
  const on = new Map(state.faults.filter(isOn).map((fault) => [asText(fault.words), fault.id]));
  const presets = PRESETS.map(([text, words]) => ({ text, words, id: on.get(asText(words)) }));
  sync($("list-presets"), presets, (one) => one.text, ({ text, words, id }) => {
    const turnIt = () => change(...(id ? ["DELETE", `faults/${id}`] : ["POST", "faults", words]));
    return el("li", {}, button(text, turnIt, { role: "switch", ariaChecked: String(Boolean(id)) }));
  });
  sync($("list-faults"), state.faults, (one) => one.id, (one) => {
    const { operation, part, nth, times = 1 } = one.words;
    const told = [does(one.words), part && `part ${part}`, nth && `not before no. ${nth}`,
      isEndless(one) ? `always, met ${one.met}` : `met ${one.met} of ${times}`];
    return el("li", { className: isOn(one) ? "" : "ended" }, el("div", { className: "bar" },
      el("span", {}, el("strong", {}, operation === "*" ? "any operation" : operation), ` ${told.filter(Boolean).join(" · ")}`),
      button("Remove", () => change("DELETE", `faults/${one.id}`), { ariaLabel: `Remove the fault of ${operation}` })));
  });
  $("clear-faults").disabled = !state.faults.length;
  const { operation } = $("fault").elements;
  if (operation.length) return;
  operation.append(el("option", { value: "*" }, "any"), ...state.operations.map((one) => el("option", {}, one)));
  operation.value = "upload_part";
}

async function change(...asked) {
  await ask(...asked).catch((error) => say(error.message));
  await look();
}

function drawKind() {
  const { kind, value } = $("fault").elements;
  const usual = KINDS.find(([word]) => word === kind.value)[2];
  $("fault-value").hidden = value.disabled = usual === null;
  value.value = usual ?? "";
}

async function addFault(event) {
  event.preventDefault();
  const { operation, kind, value, part, nth, times } = event.target.elements;
  const read = KINDS.find(([word]) => word === kind.value)[3];
  const words = { operation: operation.value, [kind.value]: read ? read(value.value) : true };
  if (part.value) words.part = Number(part.value);
  if (nth.value) words.nth = Number(nth.value);
  words.times = times.value ? Number(times.value) : null;
  const wrong = event.target.querySelector(".wrong");
  wrong.textContent = "";
  await ask("POST", "faults", words).catch((error) => { wrong.textContent = error.message; });
  await look();
}

// One data file

async function openFile(id) {
  opened = id;
  drawOpened.access = "";
  complain("");
  await look();
  if (state.file && !$("file").open) $("file").showModal();
}

function complain(text) {
  $("file").querySelector(":scope > .wrong").textContent = text;
}

function drawOpened() {
  const { file } = state;
  if (!file) $("file").close();
  if (file?.id !== opened) return;
  $("head-file").textContent = file.name;
  const { current } = file;
  const facts = {
    Id: file.id, Description: file.description, Owner: userName(file.owner), Created: date(file.created),
    Size: bytes(current.size), Type: current.contentType, "SHA-256": current.sha256,
  };
  const known = Object.entries(facts).filter(([, value]) => value !== null);
  sync($("facts"), known, ([name]) => name, ([name, value]) => el("div", {}, el("dt", {}, name),
    el("dd", { className: name === "SHA-256" ? "code" : "" }, String(value))));
  sync($("list-revisions"), file.revisions, ({ id }) => id, ({ id, size, scanState, uploaded }) => row(
    [el("span", {}, String(id), id === current.id ? el("small", {}, " current") : null)],
    [bytes(size), "number"], [scanState, "wide"], [el("span", {}, ...date(uploaded).split(" ").flatMap((word) => [el("span", { className: "when" }, word), " "]))],
    [el("span", { className: "pair" },
      button("Get", () => download(id), { ariaLabel: `Download revision ${id}` }),
      button("Delete", () => remove(id), { className: "danger", ariaLabel: `Delete revision ${id}` }))],
  ));
  const shown = JSON.stringify([file.public, file.entries]);
  if (drawOpened.access === shown) return;
  drawOpened.access = shown;
  $("access").elements.public.checked = file.public;
  $("list-entries").replaceChildren(...file.entries.map(entryNode));
}

function entryNode(entry) {
  const who = entry.entityType === "USER" ? userName(entry.entityId) : `${entry.entityType} ${entry.entityId}`;
  const has = entry.grant.split("_");
  const boxes = RIGHTS.map((value) => el("label", { className: "check" },
    el("input", { type: "checkbox", value, checked: has.includes(value) }), ` ${value.toLowerCase()}`));
  return Object.assign(el("li", {}, el("fieldset", {}, el("legend", {}, who), ...boxes)), { entry });
}

function addEntry() {
  const entityId = String(state.users.find((one) => one.name === $("add-whom").value).id);
  const old = [...$("list-entries").children].find((node) => node.entry.entityId === entityId);
  const node = old ?? entryNode({ entityType: "USER", entityId, grant: "READ", pass: "NONE" });
  $("list-entries").append(node);
  node.querySelector("input").focus();
}

async function savePermissions(event) {
  event.preventDefault();
  const entries = [...$("list-entries").children].map((node) =>
    ({ ...node.entry, grant: [...node.querySelectorAll(":checked")].map((box) => box.value).join("_") }));
  const publicAccess = event.target.elements.public.checked;
  const json = { publicAccess, entries: entries.filter((entry) => entry.grant) };
  await act("Permissions saved", (user) => call(user, "PUT", `/${opened}/permissions`, { json }));
}

/** Do something to the opened data file as the user who acts. */
async function act(done, work) {
  complain("");
  try {
    await work(await acting());
    drawOpened.access = "";
    say(done);
  } catch (error) {
    complain(error instanceof Refused ? error.message : "The connection broke: look whether it was done");
  }
  await look();
}

async function download(revisionId) {
  const { id, name } = state.file;
  await act(`${name} was downloaded`, async (user) => {
    const reply = await call(user, "GET", `/${id}${revisionId ? `/revisions/${revisionId}` : ""}`);
    // With its own type a stored page could run here.
    const url = URL.createObjectURL(new Blob([await reply.blob()], { type: "application/octet-stream" }));
    el("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  });
}

async function remove(revisionId) {
  const { id, name } = state.file;
  if (!confirm(revisionId ? `Delete revision ${revisionId} of ${name}?` : `Delete ${name} with all its revisions?`)) return;
  const path = revisionId ? `/${id}/revisions/${revisionId}` : `/${id}`;
  await act("Deleted", (user) => call(user, "DELETE", path, { product: !revisionId }));
}

// Where one is

function turn() {
  if (location.hash.startsWith("#key=")) {
    takeKey(location.hash);
    history.replaceState(null, "", "#files");
  }
  const view = VIEWS.find((name) => location.hash === `#${name}`) ?? VIEWS[0];
  for (const section of document.querySelectorAll("[data-view]")) section.hidden = section.dataset.view !== view;
  for (const link of document.querySelectorAll("nav a")) link.ariaCurrent = link.hash === `#${view}` ? "page" : null;
  document.title = `${$(`head-${view}`).textContent} · Domo Files emulator`;
}

function listen() {
  addEventListener("hashchange", turn);
  document.addEventListener("visibilitychange", () => wake());
  addEventListener("beforeunload", (event) => { if (uploads.some(isUnderWay)) event.preventDefault(); });
  const dropping = (event, is) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    document.body.classList.toggle("dropping", is);
  };
  addEventListener("dragover", (event) => dropping(event, true));
  addEventListener("dragleave", (event) => dropping(event, event.relatedTarget !== null));
  addEventListener("drop", (event) => {
    dropping(event, false);
    takeFiles(event.dataTransfer?.files ?? [], $("file").open ? state.file : null);
  });
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.matches("input, select") || $("file").open) return;
    event.preventDefault();
    location.hash = "#files";
    turn();
    $("search").focus();
  });
  document.querySelector(".skip").onclick = (event) => { event.preventDefault(); $("main").focus(); };
  for (const [opener, input, target] of [["choose", "chosen", () => null], ["revise", "revision", () => state.file]]) {
    $(opener).onclick = () => $(input).click();
    $(input).onchange = () => { takeFiles([...$(input).files], target()); $(input).value = ""; };
  }
  $("actor").onchange = () => { sessionStorage.actor = $("actor").value; draw(); };
  $("new-user").onclick = () => {
    const name = prompt("Name of the new user");
    if (name) addUser(name).catch((error) => say(error.message));
  };
  $("search").oninput = look;
  $("only-troubled").onchange = draw;
  $("clear-faults").onclick = () => change("DELETE", "faults");
  $("clear-uploads").onclick = () => {
    uploads.splice(0, uploads.length, ...uploads.filter(isUnderWay));
    draw();
    $("main").focus();
  };
  $("fault").elements.kind.append(...KINDS.map(([value, text]) => el("option", { value }, text)));
  $("fault").elements.kind.onchange = drawKind;
  $("fault").onsubmit = addFault;
  $("file").onclose = () => {
    // The row may be another one by now than the one that had the focus.
    const button = $("list-files").querySelector(`[data-key="${opened}"] button`);
    (button ?? $("main")).focus();
    opened = null;
  };
  $("close-file").onclick = () => $("file").close();
  $("download").onclick = () => download();
  $("delete").onclick = () => remove();
  $("add-entry").onclick = addEntry;
  $("access").onsubmit = savePermissions;
}

listen();
drawKind();
turn();
keepLooking();
