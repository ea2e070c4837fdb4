// The application of test_differences.py on Node's socket.io:  node node_server.js '<options as JSON>'

"use strict";

const http = require("http");
const path = require("path");

const peers = path.resolve(__dirname, "..", "..", "peers", "node_modules");
const { Server } = require(path.join(peers, "socket.io"));

const { oneId, ...options } = JSON.parse(process.argv[2] || "{}");
const httpServer = http.createServer();
const io = new Server(httpServer, {
  cors: { origin: ["https://ok.example"] },
  allowEIO3: true,
  ...options,
});
if (oneId) io.engine.generateId = () => "the only one";

let asked = "nothing";

io.on("connection", (socket) => {
  socket.on("echo", (...args) => {
    if (typeof args.at(-1) === "function") args.pop()(...args);
    else socket.emit("echo", ...args);
  });
  socket.on("nobody", () => io.to([]).emit("everybody"));
  socket.on("ask", () => {
    asked = "waits";
    const settled = () => (asked = "settled");
    socket.emitWithAck("question").then(settled, settled);
  });
  socket.on("asked", (callback) => callback(asked));
  socket.on("late", async () => {
    await new Promise((resolve) => setTimeout(resolve, 50));
    socket.emit("late");
  });
  socket.on("early", async () => socket.emit("early"));
  socket.on("fail", () => {
    throw new Error("a mistake of the application");
  });
});

httpServer.listen(0, "127.0.0.1", () => console.log(`PORT ${httpServer.address().port}`));
