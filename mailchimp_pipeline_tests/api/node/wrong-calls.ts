// Calls that the generated types must refuse: where one passes, the expectation above it is the compiler's error.
import { createTRPCClient, httpBatchLink } from "@trpc/client";
import type { AppRouter, Echo } from "./app-router.js";

const trpc = createTRPCClient<AppRouter>({ links: [httpBatchLink({ url: "/api/trpc" })] });

export async function calls(): Promise<void> {
  // @ts-expect-error no such procedure
  await trpc.test.nope.query();
  // @ts-expect-error a query is no mutation
  await trpc.test.echo.mutate({ someText: "a" });
  // @ts-expect-error a mutation is no query
  await trpc.test.add.query({ amount: 1 });
  // @ts-expect-error the input is required
  await trpc.test.echo.query();
  // @ts-expect-error a field without default is required
  await trpc.test.echo.query({ times: 1 });
  // @ts-expect-error a field of another type
  await trpc.test.add.mutate({ amount: "1" });
  // @ts-expect-error an unknown field
  await trpc.test.add.mutate({ amount: 1, unit: "g" });
  // @ts-expect-error not one of the enumeration
  await trpc.test.echo.query({ someText: "a", colours: ["green"] });
  // @ts-expect-error snake_case is for Python
  await trpc.test.echo.query({ some_text: "a" });
  // @ts-expect-error takes no input
  await trpc.test.nothing.query({});
  const echo = await trpc.test.echo.query({ someText: "a" });
  // @ts-expect-error the output has no such field
  console.log(echo.nope);
  // @ts-expect-error a time is a string
  const at: Date = echo.at;
  // @ts-expect-error an output's field is always there
  const other: Echo = { someText: "a", times: 1, colours: [], at: "" };
  console.log(at, other);
}
