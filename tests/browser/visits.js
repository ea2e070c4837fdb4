"use strict";

/*
 * What people do in the demo, each under a name: { visit, url, chromium, folder } on standard
 * input. Every wait is for something a person would see; what is returned is judged in Python.
 */

const path = require("node:path");
const { run } = require("./chromium.js");

const ON_WEBSOCKET = "#line[data-state=open] .step.now[data-transport=websocket]";
const MARKUP = '<img src=x onerror="window.hit=1"><script>window.hit=1</script><b>bold</b> &amp; ${1}';

const open = async (browser, url, who, options = {}) => {
  const page = await browser.visit(url, { ...options, who, session: { name: who, ...options.session } });
  await page.locator(ON_WEBSOCKET).waitFor();
  return page;
};
const send = async (page, text) => {
  await page.locator("#message").fill(text);
  await page.locator("#message").press("Enter");
};
const bubble = (page, text) => page.locator(".bubble", { hasText: text });
const texts = (locator) => locator.allInnerTexts();
const messages = (page) => page.locator(".bubble").evaluateAll((all) => all.map((one) => one.firstChild.textContent));

const visits = {
  /** Two tabs of one browser talk. */
  async talk({ url, folder }, browser) {
    const ada = await open(browser, url, "Ada");
    const bo = await open(browser, url, "Bo", { context: ada.context() });
    await ada.locator(".note", { hasText: "I'm coming, my name: client_" }).waitFor();
    await ada.locator("#people", { hasText: "Bo" }).waitFor();
    await send(ada, "Good morning");
    await bubble(bo, "Good morning").waitFor();
    await bo.locator("#message").pressSequentially("Two");
    await ada.locator("#typing", { hasText: "Bo is typing" }).waitFor();
    await bo.locator("#message").press("Shift+Enter");
    await bo.locator("#message").pressSequentially("lines, 中文");
    await bo.locator("#message").press("Enter");
    await bubble(ada, "lines").waitFor();
    await ada.locator("#typing", { hasText: "Bo" }).waitFor({ state: "hidden" });
    await send(ada, "🎉");
    await bo.locator(".bubble.big", { hasText: "🎉" }).waitFor();
    await ada.screenshot({ path: path.join(folder, "talk-ada.png") });
    await bo.screenshot({ path: path.join(folder, "talk-bo.png") });
    return {
      notes: await texts(ada.locator(".note")),
      client: await bo.locator("#facts dd").last().textContent(),
      people: await texts(ada.locator("#people .name")),
      ada: await messages(ada),
      bo: await messages(bo),
      own: await messages(ada).then(() => ada.locator(".entry.own").count()),
      line: (await ada.locator("#events li").evaluateAll((all) => all.map((one) => one.lastChild.textContent))).reverse(),
    };
  },

  /** Names, messages and rooms that look like markup. */
  async markup({ url }, browser) {
    const ada = await open(browser, url, "Ada");
    const bo = await open(browser, url, "<i>Bo</i><img src=x>");
    await send(bo, MARKUP);
    await bubble(ada, "bold").waitFor();
    await bo.locator("#new-room").click();
    await bo.getByLabel("Name of the room").fill("<u>room</u>");
    await bo.keyboard.press("Enter");
    await ada.locator("#rooms", { hasText: "<u>" }).waitFor();
    await send(bo, "javascript:alert(1) https://example.org/a?b=1&c=<b>");
    await bo.locator(".bubble a").waitFor();
    const found = (page) => page.evaluate(() => ({
      hit: window.hit ?? null,
      elements: document.querySelectorAll("img, i:not(#typing i), u, .bubble b, .log script").length,
    }));
    return {
      said: (await messages(ada))[0],
      markup: MARKUP,
      names: await texts(ada.locator(".who")),
      links: await bo.locator(".bubble a").evaluateAll((all) => all.map((one) => one.href)),
      pages: [await found(ada), await found(bo)],
    };
  },

  /** Rooms, what is unread, and a message for one person alone. */
  async rooms({ url }, browser) {
    const ada = await open(browser, url, "Ada");
    const bo = await open(browser, url, "Bo");
    const cy = await open(browser, url, "Cy");
    await bo.locator("#rooms").getByText("python").click();
    await bo.locator("#title", { hasText: "python" }).waitFor();
    await ada.locator(".note", { hasText: "Bo left" }).waitFor();
    await send(bo, "in here");
    await ada.locator("#rooms li", { hasText: "python" }).locator(".badge").waitFor();
    await ada.locator("#rooms").getByText("python").click();
    await bubble(ada, "in here").waitFor();
    await ada.locator("#people").getByText("Bo").click();
    await ada.locator("#title", { hasText: "Bo" }).waitFor();
    await send(ada, "just for you");
    await bo.locator("#direct .badge").waitFor();
    await bo.locator("#direct").getByText("Ada").click();
    await bubble(bo, "just for you").waitFor();
    await send(bo, "thank you");
    await bubble(ada, "thank you").waitFor();
    await ada.locator("#me button").click();
    await ada.getByLabel("Your name").fill("Bo");
    await ada.keyboard.press("Enter");
    await ada.locator("#me", { hasText: "Bo 2" }).waitFor();
    await bo.locator("#people", { hasText: "Bo 2" }).waitFor();
    return { ada: await messages(ada), bo: await messages(bo), cy: await messages(cy), name: await ada.locator("#me .name").textContent() };
  },

  /** The line is cut, comes back, and what was written meanwhile arrives once. */
  async line({ url }, browser) {
    const ada = await open(browser, url, "Ada");
    const bo = await open(browser, url, "Bo");
    await send(ada, "before");
    await bubble(bo, "before").waitFor();
    await ada.locator("#line").click();
    await ada.evaluate(() => {
      document.getElementById("cut").click();
      document.getElementById("message").value = "meanwhile";
      document.getElementById("composer").requestSubmit();
    });
    await ada.locator("#notice", { hasText: "Reconnecting" }).waitFor();
    const waiting = await bubble(ada, "meanwhile").locator("time").textContent();
    await bubble(bo, "meanwhile").waitFor();
    await ada.locator(ON_WEBSOCKET).waitFor();
    await send(bo, "welcome back");
    await bubble(ada, "welcome back").waitFor();
    return {
      waiting,
      ada: await messages(ada),
      bo: await messages(bo),
      people: await texts(bo.locator("#people .name")),
      states: await ada.locator(".entry").evaluateAll((all) => all.map((one) => one.dataset.state)),
      line: (await ada.locator("#events li").evaluateAll((all) => all.map((one) => one.lastChild.textContent))).reverse(),
    };
  },

  /** A tab that is loaded anew is the same person; one that is duplicated takes over. */
  async identity({ url }, browser) {
    const ada = await open(browser, url, "Ada", { session: { key: "0123456789abcdef0123456789abcdef" } });
    await send(ada, "it is me");
    await ada.reload();
    await ada.locator(ON_WEBSOCKET).waitFor();
    await ada.locator(".entry.own", { hasText: "it is me" }).waitFor();
    const twin = await open(browser, url, "Ada", { session: { key: "0123456789abcdef0123456789abcdef" } });
    await ada.locator("#notice", { hasText: "in another tab" }).waitFor();
    const people = await texts(twin.locator("#people .name"));
    await ada.locator("#notice button").click();
    await twin.locator("#notice", { hasText: "in another tab" }).waitFor();
    await ada.locator(ON_WEBSOCKET).waitFor();
    return { people, again: await texts(ada.locator("#people .name")), own: await ada.locator(".entry.own").count() };
  },

  /** The smallest chat beside the large one. */
  async plain({ url, folder }, browser) {
    const ada = await open(browser, url, "Ada");
    const plain = await browser.visit(`${url}plain.html`, { who: "plain" });
    await plain.locator("#state", { hasText: "hello world" }).waitFor();
    const client = (await plain.locator("#state").textContent()).split(":")[0];
    await plain.locator("#text").fill("from the plain page");
    await plain.locator("#text").press("Enter");
    await bubble(ada, "from the plain page").waitFor();
    await send(ada, "from the large page");
    await plain.locator("#log", { hasText: "from the large page" }).waitFor();
    await open(browser, url, "Bo");
    await plain.locator("#log", { hasText: "new client: I'm coming" }).waitFor();
    await plain.screenshot({ path: path.join(folder, "plain.png") });
    return {
      client,
      log: (await plain.locator("#log").textContent()).trim().split("\n").reverse(),
      who: await texts(ada.locator(".who")),
      people: await texts(ada.locator("#people .name")),
    };
  },

  /** On a telephone the rooms are behind a button; nothing is wider than the screen. */
  async phone({ url, folder }, browser) {
    const page = await open(browser, url, "Ada", { viewport: { width: 360, height: 640 }, hasTouch: true });
    await send(page, `${"long".repeat(200)} https://example.org/${"path/".repeat(60)}`);
    await bubble(page, "long").waitFor();
    const hidden = await page.locator("#rooms").isVisible();
    await page.locator("#menu").click();
    await page.locator("#rooms").getByText("random").click();
    await page.locator("#title", { hasText: "random" }).waitFor();
    await page.locator("#rooms").waitFor({ state: "hidden" });
    await page.screenshot({ path: path.join(folder, "phone.png") });
    return { hidden, wide: await page.evaluate(() => document.documentElement.scrollWidth) };
  },
};

run((scenario, browser) => visits[scenario.visit](scenario, browser));
