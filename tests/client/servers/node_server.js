// The server that the client's tests talk to, on any generation of Node's socket.io:
//   node node_server.js <2 | 3 | 4> [--port 0] [--only main]
//
// One process has several servers, the sites, each on a port of its own. Prints `PORT <n>`, the
// port of the site `main`; GET /sites there tells the ports of all. Ends on SIGTERM.
// tests/apps/counterpart.py does the same with telex.

"use strict";

const http = require("http");
const path = require("path");

const generation = Number(process.argv[2]);
const argument = (name, otherwise) => {
  const index = process.argv.indexOf(name);
  return index < 0 ? otherwise : process.argv[index + 1];
};
const peers = path.resolve(__dirname, "..", "..", "..", "peers", "node_modules");
const socketIo = require(path.join(peers, generation === 4 ? "socket.io" : `socket.io-${generation}`));
const Server = generation === 2 ? socketIo : socketIo.Server;

const QUICK = { pingInterval: 150, pingTimeout: 1000 };
const SITES = {
  main: {},
  quick: QUICK,
  strict: { pingInterval: 100, pingTimeout: 200 },
  small: { maxHttpBufferSize: 2000 },
  elsewhere: { path: "/real/time" },
  "polling only": { transports: ["polling"] },
  "websocket only": { transports: ["websocket"] },
  "no upgrades": { allowUpgrades: false },
  refusing: {
    allowRequest: (request, answer) => {
      const allowed = request.headers["x-token"] === "let me in";
      // Engine.IO 3 expects a number here, and sends the message that belongs to it.
      answer(generation === 2 ? 4 : "not with this token", allowed);
    },
  },
};
if (generation > 2) {
  SITES.msgpack = { parser: require(path.join(peers, "socket.io-msgpack-parser")) };
}
if (generation > 3) {
  const connectionStateRecovery = { maxDisconnectionDuration: 5000 };
  SITES.recovery = { connectionStateRecovery };
  SITES["brief recovery"] = { connectionStateRecovery: { maxDisconnectionDuration: 50 } };
}

// What the whole process remembers, by the name that a test has given to it.
const notes = new Map();
const requests = new Map();
const fates = new Map();

function listOf(map, name) {
  if (!map.has(name)) map.set(name, []);
  return map.get(name);
}

function fateOf(id) {
  if (!fates.has(id)) {
    const fate = {};
    fate.told = new Promise((resolve) => (fate.tell = resolve));
    fates.set(id, fate);
  }
  return fates.get(id);
}

/** Ids of the sockets of a namespace. */
function idsOf(namespace) {
  return generation === 2 ? Object.keys(namespace.connected) : [...namespace.sockets.keys()];
}

function equip(io, name) {
  const namespace = io.of(name);
  namespace.on("connection", (socket) => {
    const { auth, query } = socket.handshake;
    fates.delete(socket.id); // of a session that has come back
    const others = (names) => names.reduce((target, room) => target.to(room), namespace);

    socket.on("echo", (...args) => socket.emit("echo", ...args));
    socket.on("message", (...args) => socket.send(...args));
    socket.on("answer", (...args) => args.pop()(...args));
    socket.on("answer later", (milliseconds, ...args) => {
      setTimeout(args.pop(), milliseconds, ...args);
    });
    socket.on("keep silent", () => {});
    socket.on("answer twice", (answer) => (answer("once"), answer("twice")));
    socket.on("ask", (...args) => {
      socket.emit("question", ...args, (...answers) => socket.emit("answered", answers));
    });
    socket.on("push", (count) => {
      for (let number = 0; number < count; number++) socket.emit("number", number);
    });
    socket.on("send large", (size, answer) => answer("é".repeat(size), Buffer.alloc(size, "b")));
    socket.on("who", (answer) => {
      answer({
        id: socket.id,
        namespace: socket.nsp.name,
        transport: socket.conn.transport.name,
        protocol: socket.conn.protocol || 3,
      });
    });
    socket.on("handshake", (answer) => {
      answer({ auth: auth || null, query, headers: socket.request.headers });
    });

    socket.on("note", (name, value) => void listOf(notes, name).push(value));
    socket.on("notes", (name, answer) => answer(listOf(notes, name)));
    // Answered from the given number of times on.
    socket.on("stubborn", (name, times, value, answer) => {
      listOf(notes, name).push(value);
      if (listOf(notes, name).filter((noted) => noted === value).length >= times) answer(value);
    });
    socket.on("requests", (visit, answer) => answer(listOf(requests, visit)));
    socket.on("fate of", async (id, answer) => answer(await fateOf(id).told));
    socket.on("sockets in", (name, answer) => answer(idsOf(io.of(name))));

    socket.on("join", (room, answer) => {
      socket.join(room);
      answer();
    });
    socket.on("leave", (room, answer) => {
      socket.leave(room);
      answer();
    });
    socket.on("tell", (rooms, ...args) => others(rooms).emit("told", ...args));

    socket.on("throw me out", () => socket.disconnect());
    socket.on("close my connection", () => socket.disconnect(true));
    socket.on("close the transport", () => socket.conn.close());
    socket.on("send nonsense", () => socket.conn.write("nonsense"));
    if (generation === 2) {
      socket.use(([event], next) => {
        const error = new Error("not this event");
        error.data = { event };
        next(event === "forbidden" ? error : undefined);
      });
    }
    socket.on("disconnect", (reason) => fateOf(socket.id).tell(reason));
  });
}

/** What the namespaces of refusals read: the auth, or the query of the namespace as in 2. */
const given = (socket) => socket.handshake.auth || socket.handshake.query;

function create(site, options) {
  const server = http.createServer((request, response) => {
    const known = request.url === "/sites";
    response.writeHead(known ? 200 : 404, { "content-type": "application/json" });
    response.end(JSON.stringify(known ? ports : { error: "nothing here" }));
  });
  // Socket.IO 2 sets a cookie of its own unless told not to.
  const io = new Server(server, generation === 2 ? { cookie: false, ...options } : { ...options });
  for (const name of ["/", "/chat", "/news", "/guarded", "/slow", "/greeting", "/café ☕"]) {
    equip(io, name);
  }
  equip(io, /^\/room-\d+$/);
  io.of("/guarded").use((socket, next) => {
    if (given(socket).token === "let me in") return next();
    const error = new Error("not authorized");
    error.data = { code: 401, hint: "la clé, 请" };
    next(error);
  });
  io.of("/closed").use((socket, next) => next(new Error("closed for today")));
  io.of("/slow").use((socket, next) => void setTimeout(next, 100));
  io.of("/greeting").on("connection", (socket) => {
    socket.emit("welcome", "to", "/greeting");
    socket.emit("question", 1, (answer) => socket.emit("answered", [answer]));
  });
  io.of("/thrown-out").on("connection", (socket) => {
    socket.emit("welcome", "/thrown-out");
    socket.disconnect();
  });
  io.of("/cut-off").on("connection", (socket) => {
    socket.emit("welcome", "/cut-off");
    socket.disconnect(true);
  });

  // Requests that say who they belong to are kept, and are given cookies.
  const remember = ({ method, url, headers }) => {
    const { searchParams } = new URL(url, "http://localhost");
    const visit = searchParams.get("visit");
    if (visit === null) return null;
    const seen = {
      method,
      transport: searchParams.get("transport"),
      first: !searchParams.has("sid"),
      length: Number(headers["content-length"] || 0),
      headers,
      query: Object.fromEntries(searchParams),
    };
    return listOf(requests, visit).push(seen) === 1;
  };
  server.prependListener("request", (request, response) => {
    const first = remember(request);
    if (first === null) return;
    response.setHeader(
      "Set-Cookie",
      first
        ? [
            "node=a; Path=/; HttpOnly",
            "stage=first; Path=/",
            "far=x; Path=/far/away",
            "tls=only; Path=/; Secure",
            "gone=1",
          ]
        : ["stage=later; Path=/", "gone=; Max-Age=0"],
    );
  });
  if (generation === 4) {
    // Answers to WebSocket handshakes are written elsewhere.
    io.engine.on("initial_headers", (headers, { headers: { upgrade }, url }) => {
      if (upgrade && url.includes("visit=")) headers["Set-Cookie"] = "node=a; Path=/; HttpOnly";
    });
  }
  if (server.listenerCount("upgrade")) server.prependListener("upgrade", remember);
  return { io, server };
}

function createEngine() {
  // Engine.IO 4 is that of Socket.IO 3 and 4; this is the engine that the generation has.
  const name = "engine.io";
  const from = generation === 4 ? peers : path.join(peers, `socket.io-${generation}`);
  const engine = require(require.resolve(name, { paths: [from] }));
  const server = http.createServer((request, response) => response.writeHead(404).end());
  const io = engine.attach(server, { ...QUICK });
  io.on("connection", (socket) => {
    socket.on("message", (data) => {
      const [word, name, value] = typeof data === "string" ? data.split(" ") : [];
      if (word === "note") listOf(notes, name).push(value);
      else if (data === "close me") socket.close();
      else if (data === "who am I") socket.send(JSON.stringify([socket.id, socket.transport.name]));
      else if (data === "push") for (let n = 0; n < 100; n++) socket.send(String(n));
      else socket.send(data);
    });
  });
  return { io, server };
}

const ports = {};
const servers = [];

async function listen(site, { io, server }, port) {
  servers.push({ io, server });
  await new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  ports[site] = server.address().port;
}

async function main() {
  const only = argument("--only");
  for (const [site, options] of Object.entries(SITES)) {
    if (only !== undefined && only !== site) continue;
    const port = site === (only || "main") ? Number(argument("--port", 0)) : 0;
    await listen(site, create(site, options), port);
  }
  if (only === undefined) await listen("engine", createEngine(), 0);
  console.log(`PORT ${ports[only || "main"]}`);
}

process.on("SIGTERM", () => process.exit(0));
main();
