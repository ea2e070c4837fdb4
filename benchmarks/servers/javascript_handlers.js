"use strict";

// The handlers of the servers in JavaScript: the same on Node and on Bun.

let namespacesMade = 0;

// The longest time for which the loop did not run, while somebody wants to know.
let watch;
let stall = 0;

function startWatching() {
  let before = performance.now();
  stall = 0;
  clearInterval(watch);
  watch = setInterval(() => {
    const now = performance.now();
    stall = Math.max(stall, now - before - 20);
    before = now;
  }, 20);
}

function serve(namespace) {
  namespace.on("connection", (socket) => {
    socket.on("echo", (argument, acknowledge) => acknowledge(argument));
    socket.on("bcast", (payload) => namespace.emit("msg", payload));
  });
}

function addHandlers(io) {
  serve(io);
  io.on("connection", (socket) => {
    socket.on("typed", (argument, acknowledge) => acknowledge(argument));
    socket.on("binary", (argument, acknowledge) => acknowledge(argument));
    socket.on("room", (rooms, payload) => io.to(rooms).emit("msg", payload));
    socket.on("join", (rooms, acknowledge) => {
      socket.join(rooms);
      acknowledge(rooms.length);
    });
    socket.on("ask", (payload, acknowledge) => {
      io.timeout(60000).emit("msg", payload, (error, answers) => acknowledge(answers.length));
    });
    socket.on("setup", ({ rooms, namespaces }, acknowledge) => {
      for (let number = 0; number < rooms; number++) socket.join(`held${number}`);
      for (; namespacesMade < namespaces; namespacesMade++) serve(io.of(`/n${namespacesMade}`));
      acknowledge(true);
    });
    socket.on("watch", (acknowledge) => {
      startWatching();
      acknowledge(true);
    });
    socket.on("watched", (acknowledge) => {
      clearInterval(watch);
      acknowledge(stall);
    });
  });

  // Handlers that wait for something: for a turn of the loop.
  io.of("/waiting").on("connection", (socket) => {
    socket.on("echo", async (argument, acknowledge) => {
      await new Promise((resolve) => setImmediate(resolve));
      acknowledge(argument);
    });
  });

  // Events that pass a middleware.
  io.of("/guarded").on("connection", (socket) => {
    socket.use(([name], next) => next(name === "echo" ? undefined : new Error("what is it?")));
    socket.on("echo", (argument, acknowledge) => acknowledge(argument));
  });

  // A crowd authenticates and joins a room.
  io.of("/crowd")
    .use((socket, next) => {
      next(socket.handshake.auth.token === "secret" ? undefined : new Error("who is it?"));
    })
    .on("connection", (socket) => {
      socket.join("crowd");
      socket.on("kick", () => io.of("/crowd").disconnectSockets(true));
    });
}

module.exports = { addHandlers };
