// What a client of any version and link is made to do, as a JSON report: { name: outcome }.
import { tour } from "./pipeline/tour.mjs";

const outcome = async (promise) => {
  try {
    const value = await promise;
    return { value: value === undefined ? "undefined" : value };
  } catch (error) {
    return { message: error.message, data: error.data ?? null, number: error.shape?.code ?? null };
  }
};

/** Calls everything once, all queries in one tick, so that batching links make one request of them. */
export async function report(makeClient) {
  const client = makeClient("admin");
  const queries = {
    nothing: client.test.nothing.query(),
    echo: client.test.echo.query({ someText: "ü \u2028 €", colours: ["red"] }),
    defaulted: client.test.page.query(),
    paged: client.test.page.query({ limit: 1 }),
    explicitNull: client.test.page.query(null),
    invalid: client.test.echo.query({ someText: "", times: 99 }),
    conflict: client.test.fail.query({ code: "CONFLICT" }),
    unavailable: client.test.fail.query({ code: "SERVICE_UNAVAILABLE" }),
    crash: client.test.crash.query(),
    unknown: client.test.nope.query(),
  };
  const mutations = {
    add: client.test.add.mutate({ amount: 21 }),
    erase: client.test.admin.erase.mutate(),
    missing: client.test.add.mutate(),
  };
  const others = {
    anonymous: makeClient("").test.nothing.query(),
    forbidden: makeClient("viewer").test.admin.erase.mutate(),
  };
  const named = Object.entries({ ...queries, ...mutations, ...others });
  const settled = await Promise.all(named.map(([, promise]) => outcome(promise)));
  return Object.fromEntries(named.map(([name], index) => [name, settled[index]]));
}

/** Counts the requests of two queries and says which came first; once the fast one is there, lets the slow one end. */
export async function race(makeClient, counter) {
  const client = makeClient("admin");
  const order = [];
  const note = (name) => () => order.push(name);
  const slow = client.gate.query().then(note("slow"));
  const fast = client.test.nothing.query().then(note("fast"));
  await fast;
  const requests = counter.requests;
  await client.open.mutate();
  await slow;
  return { order, requests };
}

/** A fetch that counts, and keeps which procedures were called. */
export function counting() {
  const counter = { requests: 0, called: new Set() };
  const fetched = (url, options) => {
    counter.requests += 1;
    new URL(url).pathname.split("/").pop().split(",").forEach((path) => counter.called.add(path));
    return fetch(url, options);
  };
  return { counter, fetched };
}

const SCENARIOS = {
  report,
  race,
  tour: async (makeClient, counter, given) => {
    const outcomes = await tour(makeClient, given);
    return { outcomes, called: [...counter.called].sort() };
  },
};

/** Runs one scenario, with what is `given` to it as JSON, and prints its report. */
export async function main(createClient, links) {
  const [url, linkName, scenario, methodOverride, given] = process.argv.slice(2);
  const { counter, fetched } = counting();
  const makeClient = (token) =>
    createClient({
      links: [
        links[linkName]({
          url,
          fetch: fetched,
          ...(methodOverride ? { methodOverride } : {}),
          headers: token ? { authorization: `Bearer ${token}` } : {},
        }),
      ],
    });
  const result = await SCENARIOS[scenario](makeClient, counter, JSON.parse(given || "null"));
  console.log(JSON.stringify(result));
}
