// Calls of the pipeline's procedures that the generated types must let pass; compiled, never run.
import { createTRPCClient, httpBatchLink, TRPCClientError } from "@trpc/client";
import type { inferRouterOutputs } from "@trpc/server";
import type { AppRouter, Audience, Campaign, Connection, Preference, Segment } from "./app-router.js";

const trpc = createTRPCClient<AppRouter>({ links: [httpBatchLink({ url: "/api/trpc" })] });

export async function connection(apiKey: string): Promise<Audience[]> {
  const before: Connection | null = await trpc.mailchimp.connection.get.query();
  const made = await trpc.mailchimp.connection.connect.mutate({ apiKey });
  const status: "pending" | "syncing" | "synced" | "error" = made.syncStatus;
  const ended: string | null = (await trpc.mailchimp.connection.disconnect.mutate()).softDeletedAt;
  console.log(before?.apiKeyHint, status, ended);
  return trpc.mailchimp.connection.listAudiences.query();
}

export async function segments(id: string, mailchimpListId: string): Promise<Segment[]> {
  const made = await trpc.mailchimp.segments.create.mutate({
    name: "Sellers",
    segmentType: "employee",
    mailchimpListId,
    filterCriteria: { department: "Sales", location: ["Berlin", "Paris"] },
  });
  const departments: string[] = made.filterCriteria.department;
  await trpc.mailchimp.segments.update.mutate({ id, name: "Others", description: null, onLeave: "archive" });
  await trpc.mailchimp.segments.sync.mutate({ id });
  const fake: number | undefined = (await trpc.mailchimp.segments.retryRejected.mutate({ id })).counts?.rejected.looks_fake;
  const rejected = await trpc.mailchimp.segments.rejected.query({ id, limit: 10 });
  const again: string | null | undefined = rejected.items[0]?.nextAttemptAt;
  console.log(fake, again, rejected.items[0]?.text);
  await trpc.mailchimp.segments.delete.mutate({ id });
  const { matching, members, excluded } = await trpc.mailchimp.segments.preview.query({ segmentType: "mixed" });
  const optedOut: number | undefined = excluded.opted_out;
  console.log(departments, matching - members, optedOut, await trpc.mailchimp.segments.get.query({ id }));
  const page = await trpc.mailchimp.segments.list.query({ limit: 10 });
  const next = await trpc.mailchimp.segments.list.query({ cursor: page.nextCursor });
  return [...(await trpc.mailchimp.segments.list.query()).items, ...next.items];
}

export async function campaigns(mailchimpCampaignId: string): Promise<Campaign[]> {
  const { id } = await trpc.mailchimp.campaigns.trackCampaign.mutate({ mailchimpCampaignId });
  const refreshed = await trpc.mailchimp.campaigns.refreshStats.mutate({ id });
  const status: "draft" | "scheduled" | "sending" | "sent" | "paused" | "cancelled" = refreshed.status;
  const rate: number | null = (await trpc.mailchimp.campaigns.get.query({ id })).openRate;
  const history = await trpc.mailchimp.campaigns.history.query({ id, limit: 10 });
  console.log(status, rate, history.items[0]?.uniqueClicks);
  return (await trpc.mailchimp.campaigns.list.query()).items;
}

export async function preferences(entityId: string): Promise<Preference | null> {
  const entity = { entityId, entityType: "vendor" } as const;
  await trpc.mailchimp.preferences.updateOptStatus.mutate({ ...entity, optedIn: false, consentSource: "form" });
  const all = await trpc.mailchimp.preferences.list.query({ limit: 100 });
  const withdrawn: string | null | undefined = all.items[0]?.consentWithdrawnAt;
  const log = await trpc.mailchimp.audit.list.query({ entityType: "vendor", entityId });
  const detail: unknown = log.items[0]?.details["consent_source"];
  console.log(withdrawn, detail);
  return trpc.mailchimp.preferences.getForEntity.query(entity);
}

export async function erase(entityId: string): Promise<"pending" | "completed"> {
  const entity = { entityId, entityType: "employee" } as const;
  const held = await trpc.mailchimp.preferences.export.mutate(entity);
  const address: unknown = held.mailchimp.entries[0]?.member["email_address"];
  const channel: "link" | "admin" | "complaint" | "form" | "deletion" | null | undefined = held.statements[0]?.channel;
  console.log(channel, held.rejected[0]?.reason);
  console.log(address, held.mailchimp.incompleteBecause);
  return (await trpc.mailchimp.preferences.gdprDelete.mutate(entity)).status;
}

export function wrongField(error: unknown): string | undefined {
  const known = error instanceof TRPCClientError ? (error as TRPCClientError<AppRouter>) : undefined;
  return known?.data?.zodError?.fieldErrors["apiKey"]?.[0];
}

export type Shown = inferRouterOutputs<AppRouter>["mailchimp"]["segments"]["list"]["items"][number];
