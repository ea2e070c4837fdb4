// Drives socket.io-client of one generation in a browser:
//   node browser_driver.js <1 | 2 | 3 | 4> <path of Chromium>
//
// Takes the requests of driver.js and hands them to a page of the server's own origin; which one
// does not matter. A request {"do": "visit", "url": …} opens it and comes before all others.

"use strict";

const path = require("path");
const readline = require("readline");

const [generation, executablePath] = process.argv.slice(2);
const peers = path.resolve(__dirname, "..", "..", "peers", "node_modules");
const { chromium } = require(path.join(peers, "playwright-core"));
const bundle = path.join(peers, `socket.io-client-${generation}`, "dist", "socket.io.js");

const opened = chromium
  .launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-quic"] })
  .then((browser) => browser.newPage());

async function visit(url) {
  const page = await opened;
  await page.goto(url);
  await page.addScriptTag({ path: bundle });
  await page.addScriptTag({ path: path.join(__dirname, "requests.js") });
  await page.evaluate((generation) => {
    window.handle = handlerOfRequests(io, generation);
  }, Number(generation));
}

async function handle(request) {
  try {
    if (request.do !== "visit") {
      return await (await opened).evaluate((request) => window.handle(request), request);
    }
    await visit(request.url);
    return { id: request.id, value: null };
  } catch (error) {
    return { id: request.id, error: error.message };
  }
}

const lines = readline.createInterface({ input: process.stdin, crlfDelay: Infinity });
lines.on("line", async (line) => {
  process.stdout.write(JSON.stringify(await handle(JSON.parse(line))) + "\n");
});
lines.on("close", async () => {
  await (await opened).context().browser().close();
  process.exit(0);
});
