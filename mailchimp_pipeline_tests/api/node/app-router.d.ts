// The types of the API's procedures, for createTRPCClient<AppRouter>. Generated: change the procedures instead.
import type {
  TRPCBuiltRouter,
  TRPCDefaultErrorData,
  TRPCDefaultErrorShape,
  TRPCMutationProcedure,
  TRPCQueryProcedure,
} from "@trpc/server";

/** What was wrong with an input, by camelCase field; `formErrors` concern no single field. */
export interface InputErrors {
  formErrors: string[];
  fieldErrors: Record<string, string[] | undefined>;
}

/** An error as clients get it: `error.data.code` says what kind it is. */
export interface ErrorShape extends TRPCDefaultErrorShape {
  data: TRPCDefaultErrorData & { zodError?: InputErrors };
}

type Query<Input, Output> = TRPCQueryProcedure<{ input: Input; output: Output; meta: object }>;
type Mutation<Input, Output> = TRPCMutationProcedure<{ input: Input; output: Output; meta: object }>;

/** What is added. */
export interface AddInput {
  amount: number;
}

/** A colour. */
export type Colour = "red" | "dark-blue";

/** An echo. */
export interface Echo {
  someText: string;
  times: number;
  colours: Colour[];
  weight: number | null;
  at: string;
}

/** What is echoed. */
export interface EchoInput {
  /** Comes back * / as it is. */
  someText: string;
  times?: number | undefined;
  colours?: Colour[] | undefined;
  weight?: number | null | undefined;
}

/** Which error is wanted. */
export interface FailInput {
  code: "PARSE_ERROR" | "BAD_REQUEST" | "UNAUTHORIZED" | "PAYMENT_REQUIRED" | "FORBIDDEN" | "NOT_FOUND" | "METHOD_NOT_SUPPORTED" | "TIMEOUT" | "CONFLICT" | "PRECONDITION_FAILED" | "PAYLOAD_TOO_LARGE" | "UNSUPPORTED_MEDIA_TYPE" | "UNPROCESSABLE_CONTENT" | "PRECONDITION_REQUIRED" | "TOO_MANY_REQUESTS" | "CLIENT_CLOSED_REQUEST" | "INTERNAL_SERVER_ERROR" | "NOT_IMPLEMENTED" | "BAD_GATEWAY" | "SERVICE_UNAVAILABLE" | "GATEWAY_TIMEOUT";
}

/** A page of numbers. */
export interface Page {
  items: number[];
  nextCursor: string | null;
  counts: Partial<Record<Colour, number>>;
}

/** Which page is wanted. */
export interface PageInput {
  limit?: number | undefined;
  cursor?: string | null | undefined;
}

/** What a caller may do; each role includes the ones before it. */
export type Role = "viewer" | "editor" | "admin";

/** How long to wait. */
export interface WaitInput {
  millis: number;
}

export type AppRouter = TRPCBuiltRouter<
  { ctx: object; meta: object; errorShape: ErrorShape; transformer: false },
  {
    test: {
      /** Return null. */
      nothing: Query<void, null>;
      /** Return what was sent. */
      echo: Query<EchoInput, Echo>;
      /** Fail with a code. */
      fail: Query<FailInput, null>;
      /** Fail unforeseen. */
      crash: Query<void, number>;
      /** Try to end the process. */
      exit: Query<void, number>;
      /** Fail in a way the business knows. */
      away: Query<void, number>;
      /** Return the milliseconds waited. */
      wait: Query<WaitInput, number>;
      /** Return numbers. */
      page: Query<PageInput | null | undefined, Page>;
      /** Return the amount doubled. */
      add: Mutation<AddInput, number>;
      /** Refuse, with the time to wait. */
      limited: Query<void, number>;
      /** Refuse a field. */
      field: Query<void, number>;
      admin: {
        /** Return the caller's role. */
        erase: Mutation<void, Role>;
      };
    };
  }
>;
