"use strict";

/*
 * Two plain clients of one generation at the demo, with the events of the smallest chat only.
 * Standard input: { url, generation, transports, texts }; prints what each of them saw.
 */

const path = require("node:path");
const peers = path.join(__dirname, "../../peers/node_modules");

async function input() {
  let text = "";
  for await (const chunk of process.stdin) text += chunk;
  return JSON.parse(text);
}

const once = (socket, event) => new Promise((resolve) => socket.once(event, (...args) => resolve(args[0])));

input().then(async ({ url, generation, transports, texts }) => {
  const io = require(path.join(peers, `socket.io-client-${generation}`));
  const options = { forceNew: true, reconnection: false, transports };
  const first = io(url, options);
  await once(first, "connect");
  const answer = await new Promise((resolve) => first.emit("req", "req:", resolve));

  const greeted = once(first, "hi");
  const second = io(url, options);
  await once(second, "connect");
  const hi = await greeted;

  const heard = { first: [], second: [] };
  const all = new Promise((resolve) => {
    const count = () => {
      if (heard.first.length === texts.length && heard.second.length === texts.length) resolve();
    };
    first.on("chat", (line) => { heard.first.push(line); count(); });
    second.on("chat", (line) => { heard.second.push(line); count(); });
  });
  for (const text of texts) second.emit("chat", text);
  await all;

  console.log(JSON.stringify({ answer, hi, ids: [first.id, second.id], ...heard }));
  first.close();
  second.close();
});
