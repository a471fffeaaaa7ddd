// Load: `load.mjs URL TOKENS SECONDS CONNECTIONS` asks over so many connections at once; prints JSON of what came back.
import { readFileSync } from "node:fs";
import { Agent, get } from "node:http";

const [url, tokensFile, seconds, connections] = process.argv.slice(2);
const tokens = JSON.parse(readFileSync(tokensFile, "utf8"));
const agent = new Agent({ keepAlive: true, maxSockets: Number(connections) });
const took = [];
let asked = 0;

const once = () =>
  new Promise((done, failed) => {
    const begun = performance.now();
    const headers = { authorization: `Bearer ${tokens[asked++ % tokens.length]}` };
    get(url, { agent, headers }, (answer) => {
      answer.resume().on("end", () => {
        if (answer.statusCode !== 200) failed(new Error(`answered ${answer.statusCode}`));
        took.push(performance.now() - begun);
        done();
      });
    }).on("error", failed);
  });

const run = async (until) => {
  while (performance.now() < until) await once();
};
const all = (length) => {
  const until = performance.now() + length * 1000;
  return Promise.all(Array.from({ length: Number(connections) }, () => run(until)));
};

await all(seconds / 5); // neither side is warm before
took.length = 0;
const begun = performance.now();
await all(seconds);
const ended = performance.now();
took.sort((a, b) => a - b);
console.log(JSON.stringify({ rate: (took.length / (ended - begun)) * 1000, p99: took[Math.floor(took.length * 0.99)] }));
process.exit(0);
