// The published client 10: node v10.mjs URL LINK report|race|tour [POST [GIVEN]]
import { createTRPCProxyClient, httpBatchLink, httpLink, unstable_httpBatchStreamLink } from "@trpc/client";
import { main } from "../scenarios.mjs";

await main(createTRPCProxyClient, { httpLink, httpBatchLink, httpBatchStreamLink: unstable_httpBatchStreamLink });
