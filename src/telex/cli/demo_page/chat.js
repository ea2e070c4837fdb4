"use strict";

/*
 * The page of `telex demo`. Three events are those of the smallest chat there is:
 *   req (text) → acknowledged with "hello world";  chat (text) → to everyone;  hi ← somebody came.
 * The others are listed in demo.py. Whatever strangers wrote becomes text nodes, never markup.
 */

const $ = (id) => document.getElementById(id);

/** An element; an object of attributes, then children (strings become text). */
function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function" || typeof value === "boolean") element[name] = value;
    else if (name === "hue") element.style.setProperty("--hue", value);
    else if (value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

if (typeof io === "undefined") {
  $("notice").textContent = "The server has no JavaScript client to hand out: /socket.io/socket.io.js says what to do.";
  $("notice").hidden = false;
}

/* ---- what the page knows ---- */

const kept = { // a tab keeps its identity over reloads; a second tab is a second person
  get: (name) => { try { return sessionStorage.getItem(name); } catch { return null; } },
  set: (name, value) => { try { sessionStorage.setItem(name, value); } catch { /* private mode */ } },
};
const identity = {
  key: kept.get("key") || Array.from(crypto.getRandomValues(new Uint8Array(16)), (n) => n.toString(16).padStart(2, "0")).join(""),
  name: kept.get("name") || "",
  room: kept.get("room") || "lobby",
};
kept.set("key", identity.key);

let you = null;            // our own card, once the server has welcomed us
let rooms = [];            // [{ name, topic, people }]
let current = "#lobby";    // the conversation on screen: "#room" or "@person"
let gone = null;           // why the line is down for good, with a way back
const people = new Map();  // cards of who is in our room, by id
const writing = new Map(); // timers of who is typing, by id
const talks = new Map();   // conversations by key: { key, entries, unread, person? }

function talk(key, person) {
  if (!talks.has(key)) talks.set(key, { key, entries: [], unread: 0 });
  if (person) talks.get(key).person = person;
  return talks.get(key);
}

/* ---- the line ---- */

const begun = performance.now();
const socket = io({ auth: (give) => give(identity) });
const counts = { in: 0, out: 0 };
let state = "connecting", transport = "", latency = null;

function happened(text) {
  const seconds = ((performance.now() - begun) / 1000).toFixed(2);
  $("events").prepend(h("li", {}, h("time", {}, `${seconds} s`), text));
  if ($("events").children.length > 60) $("events").lastChild.remove();
}

function showLine() {
  $("line").dataset.state = state;
  for (const step of document.querySelectorAll(".step")) step.classList.toggle("now", step.dataset.transport === transport);
  const label = gone ? "closed" : state === "closed" ? "reconnecting…" : "connecting…";
  $("latency").textContent = state !== "open" ? label : latency === null ? "" : `${latency} ms`;
  $("line").setAttribute("aria-label", `Connection: ${state}${transport && `, ${transport}`}. Show details.`);
  const facts = [["State", state], ["Transport", transport || "none"], ["Round trip", latency === null ? "–" : `${latency} ms`],
    ["Packets in / out", `${counts.in} / ${counts.out}`], ["Socket", socket.id || "–"]];
  $("facts").replaceChildren(...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
  const text = gone ? gone.text : state === "connecting" && begun + 1500 < performance.now() ? "Connecting…"
    : state === "closed" ? "The line is down. Reconnecting…" : "";
  $("notice").replaceChildren(text, gone ? h("button", { type: "button", onclick: () => { gone = null; socket.connect(); } }, gone.action) : "");
  $("notice").hidden = !text;
}

async function measure() {
  if (!socket.connected) return;
  const sent = performance.now();
  try { await socket.timeout(5000).emitWithAck("latency"); } catch { return; }
  latency = Math.max(1, Math.round(performance.now() - sent));
  showLine();
}
setInterval(measure, 5000);
setTimeout(showLine, 2000);

socket.io.on("open", () => {
  const engine = socket.io.engine;
  transport = engine.transport.name;
  happened(`opened over ${transport}`);
  engine.on("upgrading", (next) => happened(`probing ${next.name}`));
  engine.on("upgrade", (next) => { transport = next.name; happened(`upgraded to ${transport}`); showLine(); measure(); });
  engine.on("upgradeError", (error) => happened(`stays on ${transport}: ${error.message}`));
  engine.on("packet", () => { counts.in += 1; });
  engine.on("packetCreate", () => { counts.out += 1; });
  showLine();
});
socket.io.on("reconnect_attempt", (attempt) => { happened(`attempt ${attempt} to reconnect`); });
socket.on("connect", () => {
  state = "open"; gone = null;
  happened(`joined as client_${socket.id}`);
  socket.emit("req", "hello?", (answer) => happened(`the server answers “${answer}”`));
  showLine(); measure();
});
socket.on("connect_error", (error) => {
  state = "closed"; happened(`not connected: ${error.message}`);
  if (!socket.active) gone = { text: `The server refused the connection: ${error.message}`, action: "Try again" };
  showLine();
});
socket.on("disconnect", (reason) => {
  state = "closed"; transport = ""; latency = null;
  happened(`line down: ${reason}`);
  if (!socket.active) gone ??= { text: "The server ended the connection.", action: "Connect again" };
  for (const id of [...writing.keys()]) stopped(id);
  showLine();
});
socket.on("replaced", () => { gone = { text: "This conversation goes on in another tab.", action: "Use it here" }; });

/* ---- conversations ---- */

socket.on("welcome", (hello) => {
  you = hello.you; identity.name = you.name; kept.set("name", you.name);
  rooms = hello.rooms;
  entered(hello);
  if (current.startsWith("#")) show(`#${hello.room}`); else show(current);
});

/** The room we are in now: its people, and what was said before. */
function entered({ room, people: cards, history }) {
  identity.room = room; kept.set("room", room);
  people.clear();
  for (const card of cards) people.set(card.id, card);
  const here = talk(`#${room}`), known = new Set(history.map((entry) => entry.nonce));
  const waiting = here.entries.filter((entry) => entry.state && !known.has(entry.nonce));
  here.entries = [...history, ...waiting];
  waiting.filter((entry) => entry.state === "sending").forEach((entry) => deliver(here, entry));
  for (const one of talks.values()) {
    if (one.person) one.entries.filter((entry) => entry.state === "sending").forEach((entry) => deliver(one, entry));
  }
  drawSide();
}

function show(key) {
  current = key;
  talk(key).unread = 0;
  $("log").replaceChildren();
  last = null; lastDay = "";
  for (const entry of talk(key).entries) draw(entry);
  $("side").classList.remove("open"); $("menu").setAttribute("aria-expanded", "false");
  drawSide(); bottom();
}

function add(key, entry, person) {
  const there = talk(key, person);
  there.entries.push(entry);
  if (there.entries.length > 300) there.entries.shift();
  if (key === current) {
    const stick = entry.from?.id === you?.id || atBottom();
    draw(entry).classList.add("fresh");
    if ($("log").children.length > 500) $("log").firstChild.remove();
    if (stick) bottom(); else $("newer").hidden = false;
  }
  if (entry.text && entry.from.id !== you?.id && (key !== current || document.hidden)) { there.unread += 1; drawSide(); }
}

socket.on("message", (room, entry) => { stopped(entry.from.id); add(`#${room}`, entry); });
socket.on("private message", (entry) => add(`@${entry.from.id}`, entry, entry.from));
socket.on("activity", (room) => { if (`#${room}` !== current) { talk(`#${room}`).unread += 1; drawSide(); } });
socket.on("rooms", (list) => { rooms = list; drawSide(); });

socket.on("chat", (line) => { // from a plain client: "client_<id> says: <text>"
  const [, name, text] = /^(client_\S+) says: ([^]*)$/.exec(line) ?? [null, "somebody", String(line)];
  add("#lobby", { from: people.get(name) ?? { id: name, name, hue: 210, plain: true }, text, at: Date.now() });
});
socket.on("hi", (line) => add("#lobby", { note: String(line), client: /client_[\w-]+/.exec(line)?.[0] }));

socket.on("joined", (card) => {
  people.set(card.id, card);
  const hi = identity.room === "lobby" && talk("#lobby").entries.find((entry) => entry.client === card.client && !entry.name);
  if (hi && !card.plain) { // the newcomer announced by `hi` has a name now
    hi.name = card.name;
    hi.element?.replaceChildren(...noteParts(hi));
  } else if (!hi) add(`#${identity.room}`, { name: card.name, note: "came in" });
  drawSide();
});
socket.on("left", (id) => {
  const card = people.get(id);
  people.delete(id); stopped(id);
  if (card) add(`#${identity.room}`, { name: card.name, note: "left" });
  drawSide();
});
socket.on("changed", (card) => {
  const before = people.get(card.id);
  people.set(card.id, card);
  if (card.id === you?.id) you = card;
  if (before && before.name !== card.name) add(`#${identity.room}`, { name: before.name, note: `is now called ${card.name}` });
  drawSide();
});
socket.on("typing", (id, on) => {
  stopped(id);
  if (on && people.has(id)) writing.set(id, setTimeout(() => stopped(id), 4000));
  drawTyping();
});
function stopped(id) {
  clearTimeout(writing.get(id));
  if (writing.delete(id)) drawTyping();
}

/** Sends an entry; without a line it waits for the next welcome. The server knows a repeated nonce. */
function deliver(there, entry) {
  entry.state = "sending";
  redraw(entry);
  if (!socket.connected) return;
  const done = (error, answer) => {
    if (error && !socket.connected) return;
    entry.state = error || answer.error ? "failed" : undefined;
    entry.error = error ? "Not delivered." : answer.error;
    if (answer?.at) entry.at = answer.at;
    redraw(entry);
  };
  if (there.person) socket.timeout(8000).emit("private message", there.person.id, entry.text, entry.nonce, done);
  else socket.timeout(8000).emit("say", there.key.slice(1), entry.text, entry.nonce, done);
}

function enter(room) {
  if (room === identity.room) return show(`#${room}`);
  socket.timeout(8000).emit("enter room", room, (error, answer) => {
    if (error || answer.error) return say(answer?.error ?? "The server did not answer.");
    entered(answer); show(`#${answer.room}`);
  });
}

function say(text) {
  $("typing").textContent = text;
}

/* ---- drawing ---- */

let last = null; // the message drawn last, for grouping
let lastDay = ""; // the day written last
const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit" });
const calendar = new Intl.DateTimeFormat([], { weekday: "long", day: "numeric", month: "long" });

const initials = (name) => name.split(/\s+/).map((word) => [...word][0]).slice(0, 2).join("").toUpperCase();
const face = (card) => h("span", { class: card.plain ? "face plain" : "face", hue: card.hue, "aria-hidden": "true" }, card.plain ? "·" : initials(card.name));
const noteParts = (entry) => [h("b", {}, entry.name ?? "hi"), entry.client ? ` · ${entry.note}` : ` ${entry.note}`];

/** Text with its web addresses as links. */
function linked(text) {
  return text.split(/(https?:\/\/[^\s<>"]+[^\s<>".,;:!?')\]])/).map((part, index) =>
    index % 2 ? h("a", { href: part, target: "_blank", rel: "noopener noreferrer" }, part) : part);
}

function draw(entry) {
  if (entry.note) {
    entry.element = h("li", { class: "note" }, ...noteParts(entry));
    last = null;
    return $("log").appendChild(entry.element);
  }
  const day = calendar.format(entry.at), own = entry.from.id === you?.id;
  if (day !== lastDay) $("log").append(h("li", { class: "day" }, day));
  lastDay = day;
  const next = last && last.from.id === entry.from.id && entry.at - last.at < 180000;
  const big = /^(\p{Extended_Pictographic}|\p{Emoji_Component}){1,12}$/u.test(entry.text) && /\p{Extended_Pictographic}/u.test(entry.text);
  entry.element = h("li", { class: `entry${own ? " own" : ""}${next ? " next" : ""}`, hue: entry.from.hue },
    own || next ? null : h("span", { class: "who" }, entry.from.name),
    h("div", { class: big ? "bubble big" : "bubble" }, ...(big ? [entry.text] : linked(entry.text)),
      h("time", { datetime: new Date(entry.at).toISOString() }, clock.format(entry.at))));
  if (!own && !next) entry.element.prepend(face(entry.from));
  last = entry;
  $("log").append(entry.element);
  redraw(entry);
  return entry.element;
}

function redraw(entry) {
  if (!entry.element) return;
  entry.element.dataset.state = entry.state ?? "";
  entry.element.querySelector("time").textContent = entry.state === "sending" && !socket.connected ? "waiting" : clock.format(entry.at);
  entry.element.querySelector(".retry")?.remove();
  if (entry.state === "failed") {
    const there = talk(current);
    entry.element.append(h("button", { class: "retry", type: "button", onclick: () => deliver(there, entry) }, `${entry.error} Try again`));
  }
}

function item(card, extra) {
  const mine = card.id === you?.id;
  const wire = card.plain ? "plain client" : card.transport ?? "";
  const parts = [face(card), h("span", { class: "name", title: card.name }, card.name), extra ?? h("small", {}, mine ? "you" : wire)];
  if (mine || card.plain) return h("li", {}, h("div", { class: "item" }, ...parts));
  const open = () => { talk(`@${card.id}`, card); show(`@${card.id}`); $("message").focus(); };
  return h("li", {}, h("button", { class: "item", type: "button", onclick: open, title: `Write to ${card.name} alone`,
    "aria-current": extra !== undefined && current === `@${card.id}` ? "page" : undefined }, ...parts));
}

const badge = (count) => count ? h("span", { class: "badge", "aria-label": `${count} unread` }, count > 99 ? "99+" : String(count)) : null;

function drawSide() {
  $("rooms").replaceChildren(...rooms.map((room) => {
    const key = `#${room.name}`;
    return h("li", {}, h("button", { class: "item", type: "button", onclick: () => enter(room.name), "aria-current": key === current ? "page" : undefined },
      h("span", { class: "hash", "aria-hidden": "true" }, "#"), h("span", { class: "name" }, room.name),
      badge(talks.get(key)?.unread) ?? h("small", {}, room.people ? String(room.people) : "")));
  }));
  const direct = [...talks.values()].filter((one) => one.person && (one.entries.length || one.key === current));
  $("direct-section").hidden = !direct.length;
  $("direct").replaceChildren(...direct.map((one) => item(people.get(one.person.id) ?? one.person, badge(one.unread) ?? "")));
  $("people").replaceChildren(...[...people.values()].sort((a, b) => (b.id === you?.id) - (a.id === you?.id) || a.name.localeCompare(b.name)).map((card) => item(card)));
  $("count").textContent = people.size || "";
  if (you && !$("me").querySelector("input")) {
    $("me").replaceChildren(h("button", { class: "item", type: "button", title: "Change your name", onclick: rename }, face(you), h("span", { class: "name" }, you.name), h("small", {}, "rename")));
  }
  const there = talk(current), room = rooms.find((one) => `#${one.name}` === current);
  $("title").textContent = there.person ? there.person.name : `# ${current.slice(1)}`;
  $("subtitle").textContent = there.person ? "Only the two of you see this." : room?.topic || `${people.size} here`;
  $("message").placeholder = there.person ? `Message ${there.person.name}` : `Message #${current.slice(1)}`;
  const unread = [...talks.values()].reduce((sum, one) => sum + one.unread, 0);
  document.title = unread ? `(${unread}) telex chat` : "telex chat";
}

function drawTyping() {
  const names = [...writing.keys()].map((id) => people.get(id)?.name).filter(Boolean);
  const text = names.length > 3 ? "Several people are typing" : names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)} are typing` : `${names[0]} is typing`;
  $("typing").replaceChildren(...(names.length ? [h("i"), h("i"), h("i"), text] : []));
}

const atBottom = () => $("log").scrollHeight - $("log").scrollTop - $("log").clientHeight < 80;
function bottom() { $("log").scrollTop = $("log").scrollHeight; $("newer").hidden = true; }
$("log").addEventListener("scroll", () => { if (atBottom()) $("newer").hidden = true; });
$("newer").onclick = bottom;
document.addEventListener("visibilitychange", () => { if (!document.hidden) { talk(current).unread = 0; drawSide(); } });

/* ---- what people do ---- */

let told = 0; // when we last said that we are typing
function typing(on) {
  if (current !== `#${identity.room}` || (on ? Date.now() - told < 2000 : !told)) return;
  told = on ? Date.now() : 0;
  if (socket.connected) socket.volatile.emit("typing", on);
}

function fit() {
  const box = $("message"), room = box.maxLength - box.value.length;
  box.style.height = "auto"; box.style.height = `${box.scrollHeight}px`;
  $("left").textContent = room < 200 ? String(room) : "";
}

$("message").addEventListener("input", () => { fit(); typing($("message").value.trim() !== ""); });
$("message").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); $("composer").requestSubmit(); }
});
$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("message").value.trim();
  if (!text || !you) return;
  $("message").value = ""; fit(); typing(false); told = 0;
  const entry = { from: you, text, at: Date.now(), nonce: crypto.getRandomValues(new Uint32Array(2)).join("-"), state: "sending" };
  add(current, entry);
  deliver(talk(current), entry);
  $("message").focus();
});

/** Puts an input in place of a button until it is answered. */
function ask(button, label, value, then) {
  const input = h("input", { class: "field", "aria-label": label, placeholder: label, maxlength: "24" });
  let open = true;
  const close = (answer) => { if (!open) return; open = false; input.replaceWith(button); drawSide(); if (answer) then(answer); };
  input.value = value;
  input.onblur = () => close("");
  input.onkeydown = (event) => {
    if (event.key === "Enter" && !event.isComposing) close(input.value.trim());
    if (event.key === "Escape") close("");
  };
  button.replaceWith(input);
  input.focus(); input.select();
}
function rename() {
  ask($("me").firstChild, "Your name", you.name, (name) => socket.timeout(8000).emit("rename", name, (error, answer) => {
    if (error || answer.error) return say(answer?.error ?? "The server did not answer.");
    you = answer.you; identity.name = you.name; kept.set("name", you.name); drawSide();
  }));
}
$("new-room").onclick = () => ask($("new-room"), "Name of the room", "", enter);

const faces = "😀 😄 😂 🙂 😉 😍 🤔 😎 😢 😱 🙈 🥳 👍 👎 👏 🙌 🙏 💪 👀 👋 ❤️ 🔥 ✨ 🎉 🚀 🐍 ☕ 🍰 🌱 🌍 ✅ ❓".split(" ");
$("emoji").append(...faces.map((one) => h("button", { type: "button", "aria-label": one, onclick: () => {
  const box = $("message");
  box.setRangeText(one, box.selectionStart, box.selectionEnd, "end");
  $("emoji").hidePopover(); box.focus(); fit();
} }, one)));

$("wire").addEventListener("beforetoggle", showLine);
$("cut").onclick = () => { happened("you cut the line"); socket.io.engine.close(); };
$("menu").onclick = (event) => {
  event.stopPropagation();
  $("menu").setAttribute("aria-expanded", String($("side").classList.toggle("open")));
};
document.querySelector("main").addEventListener("click", () => { $("side").classList.remove("open"); $("menu").setAttribute("aria-expanded", "false"); });

const themes = { auto: "M12 3a9 9 0 1 0 0 18ZM12 3a9 9 0 0 1 0 18", light: "M12 4V2M12 22v-2M4 12H2M22 12h-2M6.3 6.3 4.9 4.9M19.1 19.1l-1.4-1.4M6.3 17.7l-1.4 1.4M19.1 4.9l-1.4 1.4M16 12a4 4 0 1 1-8 0 4 4 0 0 1 8 0", dark: "M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5Z" };
let theme = "auto";
function paint(name) {
  theme = name in themes ? name : "auto";
  document.documentElement.dataset.theme = theme;
  try { localStorage.setItem("theme", theme); } catch { /* private mode */ }
  $("theme").querySelector("path").setAttribute("d", themes[theme]);
  $("theme").setAttribute("aria-label", `Colours: ${theme}`); $("theme").title = `Colours: ${theme}`;
}
$("theme").onclick = () => paint({ auto: "light", light: "dark", dark: "auto" }[theme]);
let saved = null;
try { saved = localStorage.getItem("theme"); } catch { /* private mode */ }
paint(saved ?? "auto");
showLine(); fit();
