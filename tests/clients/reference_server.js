// The events of tests/apps/behaviour.py on Node's socket.io: shows that the suite asks for what
// Socket.IO does. TELEX_BEHAVIOUR_SERVER=node runs the suite of the generations against it.

"use strict";

const http = require("http");
const path = require("path");

const peers = path.resolve(__dirname, "..", "..", "peers", "node_modules");
const { Server } = require(path.join(peers, "socket.io"));

const port = Number(process.argv[process.argv.indexOf("--port") + 1]);
const httpServer = http.createServer();
const heartbeat = process.argv.indexOf("--heartbeat");
const [interval, timeout] = heartbeat > 0 ? process.argv.slice(heartbeat + 1) : [25, 20];
const io = new Server(httpServer, {
  allowEIO3: true,
  cors: { origin: "*" },
  pingInterval: interval * 1000,
  pingTimeout: timeout * 1000,
});
const fates = new Map();

function fateOf(id) {
  if (!fates.has(id)) {
    const fate = {};
    fate.told = new Promise((resolve) => (fate.tell = resolve));
    fates.set(id, fate);
  }
  return fates.get(id);
}

function equip(namespace) {
  namespace.on("connection", (socket) => {
    const numbers = [];
    let rooms = [];
    socket.emit("welcome", namespace.name);

    socket.on("echo", (...args) => socket.emit("echo", ...args));
    socket.on("answer", (...args) => args.pop()(...args));
    socket.on("answer by function", (...args) => args.pop()(...args));
    socket.on("quote", (text) => socket.emit("quoted", `${socket.nsp.name} 说: «${text}» 🙂`));
    const ask = (...args) => {
      socket.emit("question", ...args, (...answers) => socket.emit("answered", answers));
    };
    socket.on("ask", ask);
    socket.on("ask by callback", ask);
    socket.on("ask in vain", () => {
      socket.timeout(200).emit("question", (error) => {
        socket.emit("unanswered", error instanceof Error);
      });
    });
    socket.on("push", (count) => {
      for (let number = 0; number < count; number++) socket.emit("number", number);
    });
    socket.on("number", (number) => numbers.push(number));
    socket.on("numbers", (answer) => answer(numbers));
    socket.on("who", (answer) => {
      answer({
        id: socket.id,
        namespace: socket.nsp.name,
        transport: socket.conn.transport.name,
        protocol: socket.conn.protocol,
      });
    });
    socket.on("sockets in", (name, answer) => answer([...io.of(name).sockets.keys()]));

    socket.on("join", (room, answer) => {
      socket.join(room);
      answer(socket.rooms.has(room));
    });
    socket.on("leave", (room, answer) => {
      socket.leave(room);
      answer(!socket.rooms.has(room));
    });
    socket.on("tell room", (room, ...args) => namespace.to(room).emit("told", ...args));
    socket.on("tell others", (room, ...args) => socket.to(room).emit("told", ...args));
    socket.on("tell room except", (room, except, ...args) => {
      namespace.to(room).except(except).emit("told", ...args);
    });
    socket.on("tell all", (...args) => namespace.emit("told", ...args));
    socket.on("broadcast", (...args) => socket.broadcast.emit("told", ...args));

    socket.on("throw me out", () => socket.disconnect());
    socket.on("close my connection", () => socket.disconnect(true));
    socket.on("fate of", async (id, answer) => answer(...(await fateOf(id).told)));
    socket.on("disconnecting", () => {
      rooms = [...socket.rooms].filter((room) => room !== socket.id).sort();
    });
    socket.on("disconnect", (reason) => fateOf(socket.id).tell([reason, rooms]));
  });
}

equip(io.of("/"));
equip(io.of("/chat"));
equip(io.of("/guarded"));
io.of("/guarded").use((socket, next) => {
  const { auth, query } = socket.handshake;
  if ((auth.token || query.token) === "let me in") return next();
  const error = new Error("not authorized");
  error.data = { code: 401, hint: "la clé, 请" };
  next(error);
});
io.of("/closed").use((socket, next) => next(new Error("closed for today")));
io.of("/thrown-out").on("connection", (socket) => {
  socket.emit("welcome", "/thrown-out");
  socket.disconnect();
});
io.of("/cut-off").on("connection", (socket) => {
  socket.emit("welcome", "/cut-off");
  socket.disconnect(true);
});

httpServer.listen(port, "127.0.0.1", () => console.log(`PORT ${httpServer.address().port}`));
process.on("SIGTERM", () => io.close(() => process.exit(0)));
