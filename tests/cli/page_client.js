"use strict";

/*
 * A client that speaks the events of the demo's page, but not as the page would.
 * Standard input: { url, auth, calls: [[event, ...args], …] }; prints the welcome and the answers.
 */

const path = require("node:path");
const { io } = require(path.join(__dirname, "../../peers/node_modules/socket.io-client-4"));

async function input() {
  let text = "";
  for await (const chunk of process.stdin) text += chunk;
  return JSON.parse(text);
}

input().then(async ({ url, auth, calls }) => {
  const socket = io(url, { auth, reconnection: false });
  const welcome = await new Promise((resolve) => socket.once("welcome", resolve));
  const answers = [];
  for (const call of calls) {
    answers.push(await socket.timeout(5000).emitWithAck(...call).catch((error) => error.message));
  }
  console.log(JSON.stringify({ welcome, answers }));
  socket.close();
});
