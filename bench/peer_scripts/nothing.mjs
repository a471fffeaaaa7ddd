// The reference server with procedures that do nothing: `nothing.mjs PORT`, copied beside its node_modules.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(import.meta.url);
const load = (name) => import(pathToFileURL(require.resolve(name)));
const { initTRPC } = await load("@trpc/server");
const { createHTTPServer } = await load("@trpc/server/adapters/standalone");

const t = initTRPC.create();
const nothing = t.procedure.query(() => null);
const router = t.router({
  mailchimp: t.router({ connection: t.router({ get: nothing }), segments: t.router({ list: nothing }) }),
});
createHTTPServer({ router, basePath: "/api/trpc/" }).listen(Number(process.argv[2]), "127.0.0.1");
