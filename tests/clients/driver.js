// Drives socket.io-client of one generation in Node: node driver.js <1 | 2 | 3 | 4>
//
// One request per line on standard input, one answer per line on standard output (requests.js).

"use strict";

const path = require("path");
const readline = require("readline");
const { handlerOfRequests } = require("./requests.js");

const generation = Number(process.argv[2]);
const peers = path.resolve(__dirname, "..", "..", "peers", "node_modules");
const handle = handlerOfRequests(
  require(path.join(peers, `socket.io-client-${generation}`)),
  generation,
);

const lines = readline.createInterface({ input: process.stdin, crlfDelay: Infinity });
lines.on("line", async (line) => {
  process.stdout.write(JSON.stringify(await handle(JSON.parse(line))) + "\n");
});
lines.on("close", () => process.exit(0));
