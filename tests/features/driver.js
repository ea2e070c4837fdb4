// Runs pieces of JavaScript with socket.io-client, by order of a Python test:
//   node driver.js <1 | 2 | 3 | 4 | msgpack>
//
// A request is {"id": 1, "timeout": 5, "page": "page 1", "url": …, "code": …, "values": {…}}. The
// code is the body of an async function with the names below, those of `values`, and `page`, which
// keeps what one piece wants to leave to the next. Without code the sockets of the page are closed.
// The client called msgpack is 4 with socket.io-msgpack-parser.
// Bytes travel as {"$bytes": "<base64>"} in both directions.

"use strict";

const http = require("http");
const path = require("path");
const readline = require("readline");

const generation = process.argv[2];
const peers = path.resolve(__dirname, "..", "..", "peers", "node_modules");

const eio = require(path.join(peers, "engine.io-client"));
const io = require(path.join(peers, `socket.io-client-${Number(generation) || 4}`));
const defaults = { forceNew: true, reconnection: false, transports: ["websocket"] };
if (generation === "msgpack") defaults.parser = require(path.join(peers, "socket.io-msgpack-parser"));

const AsyncFunction = (async () => {}).constructor;

function toJson(value) {
  if (value instanceof ArrayBuffer) return { $bytes: Buffer.from(value).toString("base64") };
  if (ArrayBuffer.isView(value)) {
    const { buffer, byteOffset, byteLength } = value;
    return { $bytes: Buffer.from(buffer, byteOffset, byteLength).toString("base64") };
  }
  if (value instanceof Error) {
    const error = { message: value.message };
    if (value.data !== undefined) error.data = toJson(value.data);
    return error;
  }
  if (value instanceof Date) return { $date: value.getTime() };
  if (Array.isArray(value)) return value.map(toJson);
  if (value instanceof Set || value instanceof Map) return toJson([...value]);
  if (typeof value === "function" || value === undefined) return null;
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, toJson(item)]));
  }
  return value;
}

function fromJson(value) {
  if (Array.isArray(value)) return value.map(fromJson);
  if (value && typeof value === "object") {
    if (typeof value.$bytes === "string") return Buffer.from(value.$bytes, "base64");
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fromJson(item)]));
  }
  return value;
}

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** The arguments of the next such event. */
const once = (emitter, event) =>
  new Promise((resolve) => emitter.once(event, (...args) => resolve(args)));

async function connected(socket) {
  if (!socket.connected) {
    await new Promise((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("connect_error", reject);
      socket.once("error", reject);
    });
  }
  return socket;
}

/** A socket that has moved from polling to WebSocket. */
async function upgraded(socket) {
  while (socket.io.engine.transport.name !== "websocket") await sleep(2);
  return socket;
}

/** What a request to the server is answered with. */
function request(url, target, { method = "GET", headers = {}, body } = {}) {
  return new Promise((resolve, reject) => {
    const sent = http.request(url + target, { method, headers, agent: false }, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () => {
        const bytes = Buffer.concat(chunks);
        const { statusCode: status, headers } = response;
        resolve({ status, headers, bytes, text: bytes.toString() });
      });
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

/** What a socket has received, in order, until it is asked for. */
class Record {
  constructor(socket) {
    this.events = [];
    this.changed = () => {};
    if (socket.onAny) {
      socket.onAny((...event) => this.add(event));
    } else {
      socket.io.on("packet", ({ type, nsp, data }) => {
        if ((type === 2 || type === 5) && nsp.split("?")[0] === socket.nsp.split("?")[0]) {
          this.add(data);
        }
      });
    }
  }

  add(event) {
    this.events.push(event.filter((item) => typeof item !== "function"));
    this.changed();
  }

  async until(name) {
    let index;
    while ((index = this.events.findIndex((event) => event[0] === name)) < 0) {
      await new Promise((resolve) => (this.changed = resolve));
    }
    return this.events.splice(0, index + 1).slice(0, -1);
  }
}

class Page {
  constructor(url) {
    this.sockets = [];
    this.records = new Map();
    this.kept = {};
    this.scope = {
      io,
      eio,
      url,
      page: this.kept,
      sleep,
      once,
      upgraded,
      request: (target, options) => request(url, target, options),
      // A socket on a connection of its own, unless the options say otherwise.
      open: (namespace = "/", options = {}) => {
        const socket = io(namespace === "/" ? url : url + namespace, {
          ...defaults,
          ...options,
        });
        return this.watch(socket);
      },
      // The same, connected.
      connect: (namespace, options) => connected(this.scope.open(namespace, options)),
      // Another namespace over the connection of a socket.
      share: (socket, namespace, options) =>
        connected(this.watch(socket.io.socket(namespace, options))),
      // The events [name, ...args] that have come before the next one of this name, which is
      // taken, too.
      until: (socket, name) => this.records.get(socket).until(name),
    };
  }

  watch(socket) {
    if (!this.records.has(socket)) {
      this.sockets.push(socket);
      this.records.set(socket, new Record(socket));
    }
    return socket;
  }

  close() {
    for (const socket of this.sockets) {
      socket.io.reconnection(false);
      socket.disconnect();
      if (socket.io.engine) socket.io.engine.close();
    }
  }
}

const pages = new Map();

async function run({ page: name, url, code, values }) {
  if (code === undefined) {
    if (pages.has(name)) pages.get(name).close();
    pages.delete(name);
    return null;
  }
  if (!pages.has(name)) pages.set(name, new Page(url));
  const scope = { ...pages.get(name).scope, ...fromJson(values) };
  const piece = new AsyncFunction(...Object.keys(scope), `"use strict";\n${code}`);
  return toJson(await piece(...Object.values(scope)));
}

async function handle({ id, timeout, ...request }) {
  let timer;
  const expired = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done within ${timeout} s`)), timeout * 1000);
  });
  try {
    return { id, value: await Promise.race([run(request), expired]) };
  } catch (error) {
    const reason = error instanceof Error ? error.stack : JSON.stringify(error);
    return { id, error: `${reason}\nin:\n${request.code}` };
  } finally {
    clearTimeout(timer);
  }
}

const lines = readline.createInterface({ input: process.stdin, crlfDelay: Infinity });
lines.on("line", async (line) => {
  process.stdout.write(JSON.stringify(await handle(JSON.parse(line))) + "\n");
});
lines.on("close", () => process.exit(0));
