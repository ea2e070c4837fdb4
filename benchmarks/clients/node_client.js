// The comparison's client on JavaScript's socket.io-client: node --expose-gc node_client.js URL

const readline = require("node:readline");
const { io } = require("../../peers/node_modules/socket.io-client-4");

const url = process.argv[2];

function connected(transport) {
  const socket = io(url, { transports: [transport], forceNew: true });
  return new Promise((resolve, reject) => {
    socket.once("connect", () => resolve(socket));
    socket.once("connect_error", reject);
  });
}

async function measure(socket, inFlight, total) {
  let left = total;
  const worker = async () => {
    while (left > 0) {
      left -= 1;
      await socket.emitWithAck("echo", "hello world");
    }
  };
  const cpu = process.cpuUsage();
  const clock = process.hrtime.bigint();
  await Promise.all(Array.from({ length: inFlight }, worker));
  const used = process.cpuUsage(cpu);
  const seconds = Number(process.hrtime.bigint() - clock) / 1e9;
  return { cpu_us: (used.user + used.system) / total, per_second: total / seconds };
}

async function main() {
  const sockets = {
    websocket: await connected("websocket"),
    polling: await connected("polling"),
  };
  const others = [];
  console.log("READY");
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [order, ...words] = line.split(" ");
    if (order === "echo") {
      const [transport, inFlight, total] = words;
      const answer = await measure(sockets[transport], Number(inFlight), Number(total));
      console.log(JSON.stringify(answer));
      continue;
    }
    const number = Number(words[0]);
    global.gc();
    const before = process.memoryUsage().rss;
    const cpu = process.cpuUsage();
    for (let i = 0; i < number; i += 1) others.push(await connected("websocket"));
    const used = process.cpuUsage(cpu);
    global.gc();
    const bytes = (process.memoryUsage().rss - before) / number;
    console.log(JSON.stringify({ bytes, cpu_us: (used.user + used.system) / number }));
  }
  for (const socket of [...Object.values(sockets), ...others]) socket.disconnect();
}

main();
