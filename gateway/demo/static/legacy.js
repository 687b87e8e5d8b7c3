// The page's own script. The timeline asks the app for something every few seconds, as any page
// would, then asks the gateway until when the session is good: when that moved, it was renewed.
"use strict";

const auth = document.body.dataset.auth;
const $ = (id) => document.getElementById(id);
const KEPT_MARKS = 60;
const KEPT_LINES = 100;

function text(tag, content, kind) {
  const element = document.createElement(tag);
  element.textContent = content;
  if (kind) element.dataset.kind = kind;
  return element;
}

function minutes(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const pad = (number) => String(number).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)}:${pad(whole % 60)}`;
  return `${Math.floor(whole / 3600)}:${pad(Math.floor(whole / 60) % 60)}:${pad(whole % 60)}`;
}

// --- requests --------------------------------------------------------------------------------

// Where the gateway renews nothing by itself, a page does what pages have always done:
// 401, refresh, once more.
async function ask(path, options = {}) {
  const first = await fetch(path, options);
  if (first.status !== 401) return first;
  const refreshed = await fetch(`${auth}/refresh-token`, { method: "POST" });
  return refreshed.ok ? fetch(path, options) : first;
}

function show(state, line, body) {
  $("answer-line").dataset.state = state;
  $("answer-line").textContent = line;
  $("answer-text").hidden = !body;
  $("answer-text").textContent = body ?? "";
}

const questions = {
  get: {},
  post: {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ note: "Two coils of rope", amount: 84.6 }),
  },
  forge: { headers: { "X-Forwarded-User": "mallory", X_Forwarded_User: "mallory" } },
};

async function press(kind) {
  const began = performance.now();
  try {
    const answer = await ask("/what-arrived", questions[kind]);
    const took = `${Math.round(performance.now() - began)} ms`;
    if (!answer.ok) {
      show("bad", `${answer.status} ${answer.statusText}, ${took}`, await answer.text());
      return;
    }
    const arrived = await answer.json();
    const who = arrived.person ? `arrived as ${arrived.person}` : "arrived as nobody";
    const forged = kind === "forge" && arrived.person === "mallory";
    show(forged ? "bad" : "good", `${answer.status}, ${took}, ${who}`, summary(arrived));
  } catch {
    show("bad", "No answer: the gateway cannot be reached.");
  }
  watchNow();
}

function summary(arrived) {
  const identity = /^(x-forwarded-(user|email|groups|preferred)|x_|remote-|x-auth-|x-gateway|cookie)/i;
  const lines = arrived.headers
    .filter(([name]) => identity.test(name))
    .map(([name, value]) => `${name}: ${value}`);
  const head = [`${arrived.method} ${arrived.path}`, ...lines].join("\n");
  return arrived.body === "" ? head : `${head}\n\n${JSON.stringify(arrived.body, null, 2)}`;
}

for (const button of document.querySelectorAll("[data-ask]")) {
  button.addEventListener("click", () => press(button.dataset.ask));
}

// --- the watch -------------------------------------------------------------------------------

const opened = Date.now();
const counts = { requests: 0, renewals: 0, failed: 0 };
let expiresAt = null; // seconds, by the server's clock
let clockAhead = 0; // seconds by which the server's clock is ahead of ours
let span = 0; // how long the present token is good, as far as we saw
let paused = false;
let running = false;
let timer = 0;

const serverNow = () => Date.now() / 1000 + clockAhead;

async function session() {
  const answer = await fetch(`${auth}/session`, { headers: { Accept: "application/json" } });
  if (!answer.ok) return { status: answer.status, expires: null };
  const told = (await answer.json()).expires_at;
  const seconds = typeof told === "number" ? told : Date.parse(told) / 1000;
  const date = Date.parse(answer.headers.get("Date") ?? "") / 1000;
  // The Date header counts whole seconds; smaller differences are none.
  if (Number.isFinite(date) && Math.abs(date - Date.now() / 1000) > 2) {
    clockAhead = date - Date.now() / 1000;
  }
  return { status: answer.status, expires: Number.isFinite(seconds) ? seconds : null };
}

async function look() {
  const began = performance.now();
  const answer = await ask("/what-arrived", { headers: { Accept: "application/json" } });
  await answer.arrayBuffer();
  const took = performance.now() - began;
  const { status, expires } = await session();
  const renewed = expires !== null && expiresAt !== null && expires > expiresAt + 0.5;
  if (expires !== null && (renewed || expiresAt === null)) span = expires - serverNow();
  expiresAt = expires;
  if (!answer.ok) {
    const over = answer.status === 401 || answer.status === 403;
    note(over ? "over" : "trouble");
    return { kind: "failed", status: answer.status, took, token: "–" };
  }
  note(status === 404 ? "direct" : "");
  const left = expires === null ? "unknown" : `${Math.round(expires - serverNow())} s left`;
  return { kind: renewed ? "renewed" : "ok", status: answer.status, took, token: renewed ? `renewed, ${left}` : left };
}

async function round() {
  window.clearTimeout(timer);
  if (running) return;
  running = true;
  try {
    record(await look());
  } catch {
    note("unreachable");
    record({ kind: "failed", status: "no answer", took: 0, token: "–" });
  }
  running = false;
  if (!paused) timer = window.setTimeout(round, Number($("pace").value) * 1000);
}

function watchNow() {
  if (!paused) round();
}

function record({ kind, status, took, token }) {
  counts.requests += 1;
  if (kind === "renewed") counts.renewals += 1;
  if (kind === "failed") counts.failed += 1;
  $("count-requests").textContent = counts.requests;
  $("count-renewals").textContent = counts.renewals;
  $("count-failed").textContent = counts.failed;

  const time = new Date().toLocaleTimeString();
  const words = { ok: "answered", renewed: "answered and renewed", failed: "failed" }[kind];
  const mark = text("span", "", kind);
  mark.className = "mark";
  const said = text("span", `${time}: ${status}, ${words}`);
  said.className = "mark-text";
  const item = document.createElement("li");
  item.title = said.textContent;
  item.append(mark, said);
  $("marks").append(item);
  while ($("marks").children.length > KEPT_MARKS) $("marks").firstChild.remove();

  const row = document.createElement("tr");
  row.dataset.kind = kind;
  row.append(text("td", time), text("td", "GET /what-arrived"), text("td", status));
  const duration = text("td", `${Math.round(took)} ms`);
  duration.className = "number";
  row.append(duration, text("td", token));
  const body = $("log").tBodies[0];
  body.prepend(row);
  while (body.rows.length > KEPT_LINES) body.lastElementChild.remove();
}

const notices = {
  "": "",
  over: "The session is over, so the gateway lets nothing through. ",
  trouble: "The gateway answers, but something behind it does not. Cookies are kept; this page keeps trying.",
  unreachable: "The gateway cannot be reached. This page keeps trying.",
  direct: "No gateway answers here: this app was opened directly, and anybody may do so.",
};
let noted = "";

function note(kind) {
  if (kind === noted) return;
  noted = kind;
  const notice = $("notice");
  notice.textContent = notices[kind];
  notice.dataset.kind = kind;
  if (kind === "over") {
    const link = text("a", "Sign in again");
    link.href = "/";
    notice.append(link);
  }
  notice.hidden = kind === "";
}

function paint() {
  $("open-for").textContent = minutes((Date.now() - opened) / 1000);
  const left = expiresAt === null ? 0 : expiresAt - serverNow();
  $("left-bar").value = span > 0 ? Math.min(1, Math.max(0, left / span)) : 0;
  if (expiresAt === null) {
    $("clock").dataset.state = noted === "over" ? "over" : "waiting";
    $("left").textContent = "–";
    $("left-unit").textContent = "";
    if (counts.requests > 0) $("left-label").textContent = noted === "over" ? "Session over" : "No session to be seen";
  } else if (left > 0) {
    $("clock").dataset.state = "running";
    $("left").textContent = left < 100 ? Math.ceil(left) : minutes(left);
    $("left-unit").textContent = left < 100 ? "s" : "";
    $("left-label").textContent = "until the access token expires";
  } else {
    $("clock").dataset.state = "expired";
    $("left").textContent = "0";
    $("left-unit").textContent = "s";
    $("left-label").textContent = "expired: the next request renews it";
  }
}

$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").textContent = paused ? "Resume" : "Pause";
  window.clearTimeout(timer);
  if (!paused) round();
});
$("pace").addEventListener("change", watchNow);
window.setInterval(paint, 200);
round();

// --- WebSocket -------------------------------------------------------------------------------

let socket = null;

function say(line, kind) {
  const lines = $("live-lines");
  lines.append(text("li", line, kind));
  while (lines.children.length > KEPT_LINES) lines.firstChild.remove();
  lines.scrollTop = lines.scrollHeight;
}

function liveState(state, words) {
  $("live-state").dataset.state = state;
  $("live-state").textContent = words;
  const open = state === "open";
  $("live-text").disabled = !open;
  $("live-send").disabled = !open;
  $("live-toggle").textContent = socket === null ? "Connect" : "Disconnect";
}

function connect() {
  const began = Date.now();
  let opened = false;
  socket = new WebSocket(new URL("/live", location.href).href.replace(/^http/, "ws"));
  $("live-lines").replaceChildren();
  liveState("closed", "Connecting");
  socket.addEventListener("open", () => {
    opened = true;
    liveState("open", "Connected");
  });
  socket.addEventListener("message", ({ data }) => {
    const told = JSON.parse(data);
    const time = minutes((Date.now() - began) / 1000);
    if (told.kind === "hello") say(`Connected as ${told.person || "nobody"}`);
    if (told.kind === "tick") say(`${time}  server tick ${told.number}`, "tick");
    if (told.kind === "echo") say(`${time}  echo: ${told.text}`);
  });
  socket.addEventListener("close", ({ code, reason, wasClean }) => {
    socket = null;
    if (!opened) {
      liveState("bad", "Refused");
      say("The handshake was refused.");
      return;
    }
    const ours = wasClean && (code === 1000 || code === 1005);
    liveState(ours ? "closed" : "bad", ours ? "Not connected" : `Closed (${code})`);
    say(`Closed after ${minutes((Date.now() - began) / 1000)}${reason ? `: ${reason}` : ""}`);
  });
}

$("live-toggle").addEventListener("click", () => {
  if (socket === null) connect();
  else socket.close(1000);
});

$("live-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const words = $("live-text").value.trim();
  if (words === "" || socket?.readyState !== WebSocket.OPEN) return;
  socket.send(words);
  say(`you: ${words}`, "said");
  $("live-text").value = "";
});

// --- sign-out: as the form does, but back to this page, which then asks for sign-in ------------

$("sign-out")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  paused = true;
  window.clearTimeout(timer);
  try {
    await fetch(event.target.action, { method: "POST", headers: { Accept: "application/json" } });
  } finally {
    location.assign("/");
  }
});
