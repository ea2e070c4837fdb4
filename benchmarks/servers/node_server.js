"use strict";

// The comparison's server on Node: socket.io with its default engine (ws).
//
//     node node_server.js PEERS     PEERS: the folder with node_modules

const { createServer } = require("node:http");
const { createRequire } = require("node:module");
const path = require("node:path");

const peers = path.resolve(process.argv[2] ?? path.join(__dirname, "..", "..", "peers"));
const { Server } = createRequire(path.join(peers, "package.json"))("socket.io");

const httpServer = createServer();
const io = new Server(httpServer, { serveClient: false });

io.on("connection", (socket) => {
  socket.on("echo", (argument, acknowledge) => acknowledge(argument));
  socket.on("bcast", (payload) => io.emit("msg", payload));
});

httpServer.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => {
  console.log(`PORT ${httpServer.address().port}`);
});
