// The published client 11: node v11.mjs URL LINK report|race|tour [POST [GIVEN]]
import { createTRPCClient, httpBatchLink, httpBatchStreamLink, httpLink } from "@trpc/client";
import { main } from "./scenarios.mjs";

await main(createTRPCClient, { httpLink, httpBatchLink, httpBatchStreamLink });
