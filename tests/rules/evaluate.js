"use strict";
// Runs JSONP answers as a page would: a list of scripts on standard input, one line of JSON each.

const fs = require("fs");
const vm = require("vm");

for (const script of JSON.parse(fs.readFileSync(0, "utf8"))) {
  const calls = [];
  const alerts = [];
  const page = {
    ___eio: new Proxy({}, { get: (_, index) => (text) => calls.push([index, text]) }),
    alert: (text) => alerts.push(text),
  };
  let error = null;
  try {
    vm.runInNewContext(script, page, { timeout: 1000 });
  } catch (failure) {
    error = failure.name;
  }
  const line = JSON.stringify({ calls, alerts, error });
  // Some of these end a line for the reader.
  console.log(line.replace(/[\u007f-\uffff]/g, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0")));
}
