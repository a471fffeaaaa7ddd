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

/** The amount to double. */
export interface AddInput {
  amount: number;
}

/** A colour. */
export type Colour = "red" | "dark-blue";

/** The output of `echo`. */
export interface Echo {
  someText: string;
  times: number;
  colours: Colour[];
  weight: number | null;
  at: string;
}

/** The input of `echo`. */
export interface EchoInput {
  /** Returned * / unchanged. */
  someText: string;
  times?: number | undefined;
  colours?: Colour[] | undefined;
  weight?: number | null | undefined;
}

/** The error to raise. */
export interface FailInput {
  code: "PARSE_ERROR" | "BAD_REQUEST" | "UNAUTHORIZED" | "PAYMENT_REQUIRED" | "FORBIDDEN" | "NOT_FOUND" | "METHOD_NOT_SUPPORTED" | "TIMEOUT" | "CONFLICT" | "PRECONDITION_FAILED" | "PAYLOAD_TOO_LARGE" | "UNSUPPORTED_MEDIA_TYPE" | "UNPROCESSABLE_CONTENT" | "PRECONDITION_REQUIRED" | "TOO_MANY_REQUESTS" | "CLIENT_CLOSED_REQUEST" | "INTERNAL_SERVER_ERROR" | "NOT_IMPLEMENTED" | "BAD_GATEWAY" | "SERVICE_UNAVAILABLE" | "GATEWAY_TIMEOUT";
}

/** A page of numbers. */
export interface Page {
  items: number[];
  nextCursor: string | null;
  counts: Partial<Record<Colour, number>>;
}

/** The page to return. */
export interface PageInput {
  limit?: number | undefined;
  cursor?: string | null | undefined;
}

/** The role of a caller. Each role includes the rights of the ones before it. */
export type Role = "viewer" | "editor" | "admin";

/** The time to wait. */
export interface WaitInput {
  millis: number;
}

export type AppRouter = TRPCBuiltRouter<
  { ctx: object; meta: object; errorShape: ErrorShape; transformer: false },
  {
    test: {
      /** Return null. */
      nothing: Query<void, null>;
      /** Return the input. */
      echo: Query<EchoInput, Echo>;
      /** Fail with a code. */
      fail: Query<FailInput, null>;
      /** Raise an unexpected error. */
      crash: Query<void, number>;
      /** Try to end the process. */
      exit: Query<void, number>;
      /** Raise a known error. */
      away: Query<void, number>;
      /** Wait, and return the milliseconds. */
      wait: Query<WaitInput, number>;
      /** Return numbers. */
      page: Query<PageInput | null | undefined, Page>;
      /** Return the amount doubled. */
      add: Mutation<AddInput, number>;
      /** Raise TOO_MANY_REQUESTS with a time to wait. */
      limited: Query<void, number>;
      /** Reject a field. */
      field: Query<void, number>;
      admin: {
        /** Return the caller's role. */
        erase: Mutation<void, Role>;
      };
    };
  }
>;
