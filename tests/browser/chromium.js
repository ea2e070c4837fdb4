"use strict";

/* Chromium for the scripts beside this one, driven by playwright-core from peers/node_modules. */

const path = require("node:path");
const { chromium } = require(path.join(__dirname, "../../peers/node_modules/playwright-core"));

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const SETTINGS = { args: FLAGS, headless: true };

/** Starts a browser that several scripts use: prints its endpoint, ends with standard input. */
async function serve(executablePath) {
  const server = await chromium.launchServer({ executablePath, ...SETTINGS });
  console.log(server.wsEndpoint());
  process.stdin.resume();
  await new Promise((resolve) => process.stdin.once("end", resolve));
  await server.close();
}

/** The JSON value on standard input: what the test asks for. */
async function scenario() {
  let text = "";
  for await (const chunk of process.stdin) text += chunk;
  return JSON.parse(text);
}

/** A headless browser with an empty profile; everybody in it is a context of its own, or a tab. */
class Browser {
  constructor(browser) {
    this.browser = browser;
    this.complaints = [];
  }

  /** One of its own, or a part of the one that runs at `endpoint`. */
  static async open({ chromium: executablePath, endpoint }) {
    if (endpoint) return new Browser(await chromium.connect(endpoint));
    return new Browser(await chromium.launch({ executablePath, ...SETTINGS }));
  }

  /** A page of somebody, with what its session storage holds; `complaints` keeps its console's. */
  async visit(url, { who = "page", session = {}, context, ...options } = {}) {
    context ??= await this.browser.newContext({ locale: "en-GB", ...options });
    context.setDefaultTimeout(20_000);
    const page = await context.newPage();
    await page.addInitScript((items) => {
      for (const [name, value] of Object.entries(items)) {
        if (sessionStorage.getItem(name) === null) sessionStorage.setItem(name, value);
      }
    }, session);
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) this.complaints.push(`${who}: ${message.text()}`);
    });
    page.on("pageerror", (error) => this.complaints.push(`${who}: ${error.stack}`));
    page.on("requestfailed", (request) => {
      // A poll that is given up for the WebSocket is no complaint.
      if (!request.url().includes("transport=polling")) this.complaints.push(`${who}: ${request.url()} failed`);
    });
    await page.goto(url);
    return page;
  }

  async close() {
    await this.browser.close();
  }
}

/** Runs a script's `main(scenario, browser)`: prints what it returns as a line of JSON. */
async function run(main) {
  const wanted = await scenario();
  const browser = await Browser.open(wanted);
  try {
    const seen = await main(wanted, browser);
    console.log(JSON.stringify({ ...seen, complaints: browser.complaints }));
  } finally {
    await browser.close();
  }
}

if (require.main === module) serve(process.argv[2]);

module.exports = { run };
