// Calls that the generated types must let pass; compiled, never run.
import { createTRPCClient, httpBatchLink, TRPCClientError } from "@trpc/client";
import type { inferRouterInputs, inferRouterOutputs } from "@trpc/server";
import type { AppRouter, Colour, Echo, EchoInput, Page } from "./app-router.js";

const trpc = createTRPCClient<AppRouter>({ links: [httpBatchLink({ url: "/api/trpc" })] });

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_same: Same<A, B>): void => undefined;

export async function calls(): Promise<void> {
  const echo = await trpc.test.echo.query({ someText: "a" });
  const colours: Colour[] = echo.colours;
  const weight: number | null = echo.weight;
  const at: string = echo.at;
  await trpc.test.echo.query({ someText: "a", times: 2, colours: [...colours, "dark-blue"], weight });
  const nothing: null = await trpc.test.nothing.query();
  const page: Page = await trpc.test.page.query();
  const next: string | null = page.nextCursor;
  const red: number | undefined = page.counts.red;
  await trpc.test.page.query({ limit: 1, cursor: next });
  const role: "viewer" | "editor" | "admin" = await trpc.test.admin.erase.mutate();
  console.log(at, nothing, red, role, await trpc.test.add.mutate({ amount: 1 }));
}

export function complaint(error: unknown): string | undefined {
  if (!(error instanceof TRPCClientError)) return undefined;
  const known = error as TRPCClientError<AppRouter>;
  const code: "FORBIDDEN" | "NOT_FOUND" | undefined =
    known.data?.code === "FORBIDDEN" || known.data?.code === "NOT_FOUND" ? known.data.code : undefined;
  return known.data?.zodError?.fieldErrors["someText"]?.[0] ?? code;
}

same<inferRouterInputs<AppRouter>["test"]["echo"], EchoInput>(true);
same<inferRouterOutputs<AppRouter>["test"]["echo"]["colours"], Echo["colours"]>(true);
