"use strict";

/* A page of one origin tries to reach a server of another with what needs no CORS. */

const { run } = require("./chromium");

/** In the page: embeds an element and waits until it has loaded, or has not. */
function embed([kind, url, policy]) {
  return new Promise((resolve) => {
    const element = document.createElement(kind === "frame" ? "iframe" : kind);
    element.referrerPolicy = policy;
    element.onload = element.onerror = () => resolve();
    if (kind === "form") {
      const frame = document.createElement("iframe");
      frame.name = `frame ${document.body.children.length}`;
      const field = document.createElement("textarea");
      Object.assign(field, { name: "d", value: "1:2" });
      Object.assign(element, { action: url, method: "POST", target: frame.name });
      element.append(field);
      document.body.append(frame, element);
      frame.onload = () => resolve();
      element.submit();
      return;
    }
    element.src = url;
    document.body.append(element);
  });
}

async function visit(browser, { page: address, server }, policy) {
  const page = await browser.visit(address);
  await page.evaluate(() => {
    window.read = [];
    window.___eio = { 0: (payload) => window.read.push(payload) };
  });
  const engine = `${server}/socket.io/?EIO=3&transport=polling`;
  await page.evaluate(embed, ["script", `${engine}&j=0`, policy]);
  const read = await page.evaluate(() => window.read);
  const sid = /"sid":"([^"]+)/.exec(read.join());
  const told = read.join().includes("private");
  if (sid && !told) await page.evaluate(embed, ["script", `${engine}&j=0&sid=${sid[1]}`, policy]);
  for (const kind of ["script", "img", "frame", "form"]) {
    await page.evaluate(embed, [kind, engine, policy]);
    await page.evaluate(embed, [kind, `${server}/socket.io/?EIO=4&transport=polling`, policy]);
  }
  const all = await page.evaluate(() => window.read);
  await page.context().close();
  return all;
}

run(async ({ visits, policies }, browser) => {
  const read = [];
  for (const each of visits) {
    for (const policy of policies) read.push(await visit(browser, each, policy));
  }
  return { read };
});
