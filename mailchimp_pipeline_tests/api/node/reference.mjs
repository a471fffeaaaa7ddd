// The reference server with the procedures of ../trpc/sample.py. Prints its port; ends when its standard input does.
import { initTRPC, TRPCError } from "@trpc/server";
import { createHTTPServer } from "@trpc/server/adapters/standalone";

const RANK = { viewer: 0, editor: 1, admin: 2 };

const t = initTRPC.create({
  isDev: false,
  errorFormatter: ({ shape, error }) =>
    error.cause?.fields ? { ...shape, data: { ...shape.data, zodError: error.cause.fields } } : shape,
});

/** A parser that lets in what `check` has no complaint of; a complaint is { field: message }. */
const parser = (check) => (input) => {
  if (typeof input !== "object" || input === null) {
    throw Object.assign(new Error("invalid"), {
      fields: { formErrors: ["Input should be an object"], fieldErrors: {} },
    });
  }
  const complaints = check(input);
  if (Object.keys(complaints).length) {
    const listed = Object.entries(complaints).map(([field, message]) => [field, [message]]);
    const fields = { formErrors: [], fieldErrors: Object.fromEntries(listed) };
    throw Object.assign(new Error("invalid"), { fields });
  }
  return input;
};

const allow = (role) =>
  t.procedure.use(({ ctx, path, next }) => {
    if (role && RANK[ctx.role] < RANK[role]) {
      throw new TRPCError({
        code: "FORBIDDEN",
        message: `${path} needs the role "${role}", yours is "${ctx.role}": ask an administrator of your organisation`,
      });
    }
    return next();
  });

const echoed = parser((input) => ({
  ...(input?.someText?.length > 0 ? {} : { someText: "String should have at least 1 character" }),
  ...((input?.times ?? 1) <= 9 ? {} : { times: "Input should be less than or equal to 9" }),
}));

const router = t.router({
  test: {
    nothing: allow(null).query(() => null),
    echo: allow("viewer")
      .input(echoed)
      .query(({ input }) => ({ times: 1, colours: [], weight: null, ...input, at: "2026-01-02T03:04:05Z" })),
    fail: allow("viewer")
      .input((input) => input)
      .query(({ input }) => {
        throw new TRPCError({ code: input.code, message: `failed with ${input.code}` });
      }),
    wait: allow("viewer")
      .input((input) => input)
      .query(({ input }) => new Promise((done) => setTimeout(() => done(input.millis), input.millis))),
    page: allow("viewer")
      .input((input) => input)
      .query(({ input }) => ({ items: [...Array(input?.limit ?? 2).keys()], nextCursor: null, counts: {} })),
    add: allow("editor")
      .input(parser((input) => (typeof input?.amount === "number" ? {} : { amount: "Field required" })))
      .mutation(({ input }) => input.amount * 2),
    admin: { erase: allow("admin").mutation(({ ctx }) => ctx.role) },
  },
});

const server = createHTTPServer({
  router,
  basePath: "/api/trpc/",
  allowMethodOverride: true,
  maxBatchSize: 5,
  maxBodySize: 1000,
  createContext: ({ req }) => {
    const role = (req.headers.authorization ?? "").replace("Bearer ", "");
    if (!role) throw new TRPCError({ code: "UNAUTHORIZED", message: "Sign in first" });
    return { role };
  },
});

server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
