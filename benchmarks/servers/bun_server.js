"use strict";

// The comparison's server on Bun: socket.io with Bun's own engine (@socket.io/bun-engine).
//
//     bun bun_server.js [--parser json|msgpack] [--ping-interval SECONDS]
//
// socket.io comes from peers/node_modules, as on Node; the engine from benchmarks/peers/node_modules.

const { createRequire } = require("node:module");
const path = require("node:path");
const { parseArgs } = require("node:util");

const { values: options } = parseArgs({
  options: {
    parser: { type: "string", default: "json" },
    "ping-interval": { type: "string", default: "25" },
  },
});
const load = createRequire(path.join(__dirname, "..", "..", "peers", "package.json"));
const { Server } = load("socket.io");
const loadEngine = createRequire(path.join(__dirname, "..", "peers", "package.json"));
const { Server: Engine } = loadEngine("@socket.io/bun-engine");
const { addHandlers } = require("./javascript_handlers.js");

const io = new Server({
  ...(options.parser === "msgpack" && { parser: load("socket.io-msgpack-parser") }),
});
const engine = new Engine({
  path: "/socket.io/",
  pingInterval: Number(options["ping-interval"]) * 1000,
});
io.bind(engine);
addHandlers(io);

const server = Bun.serve({ port: 0, hostname: "127.0.0.1", ...engine.handler() });
console.log(`PORT ${server.port}`);
