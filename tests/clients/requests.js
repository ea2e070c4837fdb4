// Clients of one generation of socket.io-client, handled by order of a Python test.
//
// A request is {"id": 7, "timeout": 5, "do": "call", "client": "a", "event": "echo", "args": ["x"]},
// its answer {"id": 7, "value": ["x"]} or {"id": 7, "error": "call \"echo\" not done within 5 s"}.
// Bytes travel as {"$bytes": "<base64>"} in both directions. Requests run side by side; every
// event a client receives is kept, in order, until the test asks for it.
//
// Runs in Node and, as a plain script, in browsers.

"use strict";

function toBase64(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

function toJson(value) {
  if (value instanceof ArrayBuffer) return { $bytes: toBase64(new Uint8Array(value)) };
  if (ArrayBuffer.isView(value)) {
    const { buffer, byteOffset, byteLength } = value;
    return { $bytes: toBase64(new Uint8Array(buffer, byteOffset, byteLength)) };
  }
  if (value instanceof Error) {
    const error = { message: value.message };
    for (const key of ["type", "data"]) {
      if (value[key] !== undefined) error[key] = toJson(value[key]);
    }
    return error;
  }
  if (Array.isArray(value)) return value.map(toJson);
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, toJson(item)]));
  }
  return value;
}

function fromJson(value) {
  if (Array.isArray(value)) return value.map(fromJson);
  if (value && typeof value === "object") {
    if (typeof value.$bytes === "string") {
      const bytes = Uint8Array.from(atob(value.$bytes), (char) => char.charCodeAt(0));
      // What programs use: Buffer in Node, ArrayBuffer in browsers.
      return typeof Buffer === "undefined" ? bytes.buffer : Buffer.from(bytes.buffer);
    }
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fromJson(item)]));
  }
  return value;
}

class Client {
  constructor(socket, lifeCycle, listen, answers) {
    this.socket = socket;
    this.seen = new Map(); // event name -> [args, …] not yet asked for
    this.waiting = new Map(); // event name -> [resolve, …]
    this.history = []; // names of all events, for failure messages
    for (const event of lifeCycle) {
      // The second argument of `disconnect` (4.x) describes the transport's failure in detail.
      socket.on(event, (...args) => this.record(event, event === "disconnect" ? [args[0]] : args));
    }
    for (const event of listen) {
      socket.on(event, (...args) => {
        const acknowledge = typeof args[args.length - 1] === "function" ? args.pop() : null;
        this.record(event, args);
        if (!acknowledge) return;
        const answer = answers[event];
        if (answer === undefined) acknowledge(...args);
        else if (answer !== null) acknowledge(...answer);
      });
    }
  }

  record(event, args) {
    this.history.push(event);
    const waiting = this.waiting.get(event);
    if (waiting && waiting.length) {
      waiting.shift()(args);
      return;
    }
    if (!this.seen.has(event)) this.seen.set(event, []);
    this.seen.get(event).push(args);
  }

  next(event) {
    const seen = this.seen.get(event);
    if (seen && seen.length) return Promise.resolve(seen.shift());
    return new Promise((resolve) => {
      if (!this.waiting.has(event)) this.waiting.set(event, []);
      this.waiting.get(event).push(resolve);
    });
  }
}

async function until(condition) {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

/** Handles requests with the `connect` function of one generation (a number from 1 to 4). */
function handlerOfRequests(connect, generation) {
  // What a client reports about itself. 3.x and 4.x report errors as connect_error only.
  const lifeCycle = ["connect", "connect_error", "disconnect"];
  if (generation < 3) lifeCycle.push("error");

  const clients = new Map();

  const orders = {
    open({ client, url, options, listen, answers }) {
      clients.set(client, new Client(connect(url, options), lifeCycle, listen, answers));
    },

    // Another namespace over the connection of a client that is already there.
    share({ client, of, namespace, options, listen, answers }) {
      const socket = clients.get(of).socket.io.socket(namespace, options);
      clients.set(client, new Client(socket, lifeCycle, listen, answers));
    },

    async next({ client, event }) {
      return toJson(await clients.get(client).next(event));
    },

    emit({ client, event, args }) {
      clients.get(client).socket.emit(event, ...fromJson(args));
    },

    call({ client, event, args }) {
      return new Promise((resolve) => {
        clients.get(client).socket.emit(event, ...fromJson(args), (...answer) => {
          resolve(toJson(answer));
        });
      });
    },

    async upgraded({ client }) {
      const { engine } = clients.get(client).socket.io;
      await until(() => engine.transport.name === "websocket" && !engine.upgrading);
    },

    async closed({ client }) {
      const { engine } = clients.get(client).socket.io;
      await until(() => engine.readyState === "closed");
    },

    // A poll is in flight: the flag is set before the request leaves, hence the pause.
    async polling({ client }) {
      const { engine } = clients.get(client).socket.io;
      await until(() => engine.transport.polling || engine.transport._polling);
      await new Promise((resolve) => setTimeout(resolve, 100));
    },

    state({ client }) {
      const { socket, history } = clients.get(client);
      const { engine } = socket.io;
      return {
        id: socket.id === undefined ? null : socket.id,
        connected: socket.connected,
        transport: engine && engine.transport ? engine.transport.name : null,
        history,
      };
    },

    connect({ client }) {
      clients.get(client).socket.connect();
    },

    disconnect({ client }) {
      clients.get(client).socket.disconnect();
    },

    // Closes the connection below the sockets, all namespaces with it.
    close({ client }) {
      clients.get(client).socket.io.engine.close();
    },

    forget({ client }) {
      const { socket } = clients.get(client);
      clients.delete(client);
      socket.io.reconnection(false);
      socket.disconnect();
      if (socket.io.engine) socket.io.engine.close();
    },
  };

  function describe(client) {
    if (!clients.has(client)) return "no such client";
    const { history, socket } = clients.get(client);
    const { engine } = socket.io;
    const transport = engine && engine.transport ? engine.transport.name : "no transport";
    const state = socket.connected ? "connected" : "not connected";
    return `client is ${state} over ${transport}; events so far: ${history.join(", ") || "none"}`;
  }

  async function handle({ id, timeout, ...request }) {
    const answer = { id };
    let timer;
    const expired = new Promise((_, reject) => {
      timer = setTimeout(() => {
        const what = request.event ? `${request.do} "${request.event}"` : request.do;
        reject(new Error(`${what} not done within ${timeout} s (${describe(request.client)})`));
      }, timeout * 1000);
    });
    try {
      const value = await Promise.race([orders[request.do](request), expired]);
      answer.value = value === undefined ? null : value;
    } catch (error) {
      answer.error = error.message;
    } finally {
      clearTimeout(timer);
    }
    return answer;
  }

  return handle;
}

if (typeof module !== "undefined") module.exports = { handlerOfRequests };
