// The JavaScript parsers of every generation: batches of cases in, results out, as JSON lines.
//
// Values travel without loss: {"$object": [[key, value], …]}, {"$binary": hex},
// {"$number": "Infinity"} for what JSON cannot say, {"$undefined": true}.
"use strict";

const readline = require("node:readline");
const path = require("node:path");
const vm = require("node:vm");

const peers = path.join(__dirname, "..", "..", "peers", "node_modules");
const peer = (name) => require(path.join(peers, name));

const parser5 = peer("socket.io-parser");
const parser4 = peer("socket.io-parser-3");
const msgpack = peer("socket.io-msgpack-parser");
const engine4 = peer("engine.io-parser");
const engine3 = peer("engine.io-parser-2");
const engine3of1 = peer("socket.io-client-1/node_modules/engine.io-parser");
const { JSONP } = peer("engine.io/build/transports/polling-jsonp");

function tagged(value) {
  if (value === undefined) return { $undefined: true };
  if (Buffer.isBuffer(value)) return { $binary: value.toString("hex") };
  if (value instanceof ArrayBuffer) return { $binary: Buffer.from(value).toString("hex") };
  if (typeof value === "number" && (!Number.isFinite(value) || Object.is(value, -0))) {
    return { $number: Object.is(value, -0) ? "-0" : String(value) };
  }
  if (Array.isArray(value)) return value.map(tagged);
  if (value !== null && typeof value === "object") {
    return { $object: Object.keys(value).map((key) => [key, tagged(value[key])]) };
  }
  return value;
}

function untagged(value) {
  if (Array.isArray(value)) return value.map(untagged);
  if (value === null || typeof value !== "object") return value;
  if ("$binary" in value) return Buffer.from(value.$binary, "hex");
  if ("$number" in value) return Number(value.$number);
  const object = {};
  for (const [key, item] of value.$object) {
    Object.defineProperty(object, key, {
      value: untagged(item),
      configurable: true,
      enumerable: true,
      writable: true,
    });
  }
  return object;
}

// -- Socket.IO --------------------------------------------------------------------------

function decodeSocketIo(Decoder, messages) {
  const packets = [];
  const decoder = new Decoder();
  decoder.on("decoded", (packet) => {
    // Revision 4 makes an ERROR packet, without a namespace, of a wrong type.
    if (packet.nsp === undefined) throw new Error(packet.data);
    packets.push([packet.type, packet.nsp, tagged(packet.id), tagged(packet.data)]);
  });
  try {
    for (const message of messages) decoder.add(untagged(message));
  } catch (error) {
    return { packets, error: String(error.message) };
  }
  return { packets };
}

const hasBinary = (value) =>
  Buffer.isBuffer(value) ||
  (value !== null && typeof value === "object" && Object.values(value).some(hasBinary));

function encodeSocketIo(revision, [type, nsp, id, data]) {
  const packet = { type, nsp, data: untagged(data) };
  if (id !== null) packet.id = id;
  if (revision === 5) return new parser5.Encoder().encode(packet).map(tagged);
  if ((type === 2 || type === 3) && hasBinary(packet.data)) packet.type += 3;
  let messages;
  new parser4.Encoder().encode(packet, (encoded) => (messages = encoded));
  return messages.map(tagged);
}

// -- Engine.IO ----------------------------------------------------------------------------

const plain = ({ type, data }) => [type, tagged(data)];

function decodePayload4(text) {
  return engine4.decodePayload(text, "nodebuffer").map(plain);
}

function encodePayload4(packets) {
  let payload;
  const list = packets.map(([type, data]) => ({ type, data: untagged(data) }));
  engine4.encodePayload(list, (encoded) => (payload = encoded));
  return payload;
}

function decodePayload3(parser, payload) {
  const packets = [];
  parser.decodePayload(untagged(payload), (packet) => {
    packets.push(plain(packet));
  });
  return packets;
}

function encodePayload3(parser, binary, packets) {
  let payload;
  const list = packets.map(([type, data]) => ({ type, data: untagged(data) }));
  parser.encodePayload(list, binary, (encoded) => (payload = encoded));
  return tagged(payload);
}

// What the script of a JSONP answer hands to the callback with the number `index`.
function runJsonp(script, index) {
  const received = [];
  const callbacks = { [index]: (payload) => received.push(payload) };
  vm.runInNewContext(script, { ___eio: callbacks }, { timeout: 1000 });
  return received;
}

// What the reference reads in a JSONP form.
function readJsonp(form) {
  const received = [];
  const transport = new JSONP({ _query: { j: "0" } });
  Object.getPrototypeOf(JSONP.prototype).onData = (data) => received.push(data);
  transport.onData(form);
  return received.length ? received[0] : null;
}

const operations = {
  "socket.io decode": ({ revision, cases }) => {
    const { Decoder } = revision === 5 ? parser5 : parser4;
    return cases.map((messages) => decodeSocketIo(Decoder, messages));
  },
  "socket.io encode": ({ revision, cases }) => cases.map((c) => encodeSocketIo(revision, c)),
  "msgpack decode": ({ cases }) => cases.map((c) => decodeSocketIo(msgpack.Decoder, [c])),
  "msgpack encode": ({ cases }) =>
    cases.map(([type, nsp, id, data]) => {
      const packet = { type, nsp };
      if (data !== null) packet.data = untagged(data);
      if (id !== null) packet.id = id;
      return tagged(new msgpack.Encoder().encode(packet)[0]);
    }),
  "payload 4 decode": ({ cases }) => cases.map(decodePayload4),
  "payload 4 encode": ({ cases }) => cases.map(encodePayload4),
  "payload 3 decode": ({ generation, cases }) =>
    cases.map((c) => decodePayload3(generation === 1 ? engine3of1 : engine3, c)),
  "payload 3 encode": ({ generation, binary, cases }) =>
    cases.map((c) => encodePayload3(generation === 1 ? engine3of1 : engine3, binary, c)),
  "json parse": ({ cases }) => cases.map((text) => tagged(JSON.parse(text))),
  "json stringify": ({ cases }) => cases.map((value) => JSON.stringify(untagged(value))),
  "jsonp run": ({ cases }) => cases.map(([script, index]) => runJsonp(script, index)),
  "jsonp read": ({ cases }) => cases.map(readJsonp),
};

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const request = JSON.parse(line);
  let answer;
  try {
    answer = { id: request.id, value: operations[request.operation](request) };
  } catch (error) {
    answer = { id: request.id, error: error.stack };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
});
