"use strict";

/*
 * The pictures of the demo in docs/images: several people talk, and one of them is looked at.
 * Standard input: { url, chromium, folder }.
 */

const path = require("node:path");
const { run } = require("./chromium.js");

const TALK = [
  ["Ada", "Morning! The server is a single Python file now, and it still speaks to the old tablets downstairs."],
  ["Mei 美", "Ours too. 旧版和新版的客户端在同一个房间里 🎉"],
  ["Noor", "Which transport do they come in on?"],
  ["Ada", "Polling first, then the upgrade. Look at the badge in the corner:\npolling → websocket, a few milliseconds."],
  ["Sam", "I cut the line on purpose. It came back by itself, and what I had written meanwhile went out."],
  ["Mei 美", "🚀"],
  ["Sam", "Let's show it at the workshop. I'm bringing the coffee ☕"],
];

// The server takes the colours from these.
const KEYS = {
  Sam: "sam-of-the-picture-8",
  Ada: "ada-of-the-picture-3",
  "Mei 美": "mei-of-the-picture-1",
  Noor: "noor-of-the-picture-1",
};

const say = async (page, text) => {
  const messages = page.locator(".entry");
  const before = await messages.count();
  await page.locator("#message").fill(text);
  await page.locator("#message").press("Enter");
  await messages.nth(before).waitFor();
};

const shot = async (page, folder, name) => {
  await page.evaluate(() => document.fonts.ready);
  await page.waitForTimeout(500); // animations have come to rest
  await page.screenshot({ path: path.join(folder, name) });
};

run(async ({ url, folder }, browser) => {
  const pages = {};
  const late = 10 - new Date().getUTCHours(); // it is ten in the morning in the pictures
  const hour = late < -12 ? late + 24 : late;
  const size = {
    viewport: { width: 1180, height: 860 },
    deviceScaleFactor: 1.5,
    colorScheme: "light",
    timezoneId: hour === 0 ? "UTC" : `Etc/GMT${hour > 0 ? "-" : "+"}${Math.abs(hour)}`,
  };
  const visit = async (name) => {
    pages[name] = await browser.visit(url, { ...size, who: name, session: { name, key: KEYS[name] } });
    await pages[name].locator("#line[data-state=open] .step.now[data-transport=websocket]").waitFor();
  };
  const plain = await browser.visit(`${url}plain.html`, { who: "plain" });
  await plain.locator("#state", { hasText: "hello world" }).waitFor();
  for (const name of ["Sam", "Ada", "Mei 美"]) await visit(name);
  const guest = await browser.visit(url, { who: "Lin", session: { name: "Lin", room: "python" } });
  await guest.locator("#line[data-state=open]").waitFor();
  for (const [name, text] of TALK) {
    if (!(name in pages)) await visit(name);
    const before = await pages.Sam.locator(".entry").count();
    await say(pages[name], text);
    await pages.Sam.locator(".entry").nth(before).waitFor();
  }
  await say(guest, "Anyone here yet?");
  await pages.Sam.locator("#rooms .badge").waitFor();
  await pages.Sam.locator("#latency", { hasText: /^[1-9] ms/ }).waitFor();
  await pages.Ada.locator("#message").pressSequentially("Good plan");
  await pages.Sam.locator("#typing", { hasText: "Ada is typing" }).waitFor();
  await shot(pages.Sam, folder, "demo.png");

  await pages.Sam.emulateMedia({ colorScheme: "dark" });
  await pages.Sam.locator("#line").click();
  await pages.Ada.locator("#message").fill("Good plan, count me in");
  await pages.Sam.locator("#typing", { hasText: "Ada is typing" }).waitFor();
  await shot(pages.Sam, folder, "demo-dark.png");

  await pages.Noor.setViewportSize({ width: 390, height: 780 });
  await pages.Noor.locator("#latency", { hasText: /^[1-9] ms/ }).waitFor();
  await pages.Noor.evaluate(() => document.getElementById("log").scrollTo(0, 1e6));
  await shot(pages.Noor, folder, "demo-phone.png");
  return { pictures: ["demo.png", "demo-dark.png", "demo-phone.png"] };
});
