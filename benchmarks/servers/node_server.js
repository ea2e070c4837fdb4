"use strict";

// The comparison's server on Node: socket.io with its default engine (ws).
//
//     node node_server.js [--parser json|msgpack] [--ping-interval SECONDS] [--peers FOLDER]
//
// FOLDER has node_modules in it.

const { createServer } = require("node:http");
const { createRequire } = require("node:module");
const path = require("node:path");
const { parseArgs } = require("node:util");

const { values: options } = parseArgs({
  options: {
    parser: { type: "string", default: "json" },
    "ping-interval": { type: "string", default: "25" },
    peers: { type: "string", default: path.join(__dirname, "..", "..", "peers") },
  },
});
const load = createRequire(path.resolve(options.peers, "package.json"));
const { Server } = load("socket.io");
const { addHandlers } = require("./javascript_handlers.js");

const httpServer = createServer();
const io = new Server(httpServer, {
  serveClient: false,
  pingInterval: Number(options["ping-interval"]) * 1000,
  ...(options.parser === "msgpack" && { parser: load("socket.io-msgpack-parser") }),
});

addHandlers(io);

httpServer.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => {
  console.log(`PORT ${httpServer.address().port}`);
});
