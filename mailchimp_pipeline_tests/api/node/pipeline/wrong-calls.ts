// Calls that the generated types must refuse: where one passes, the expectation above it is the compiler's error.
import { createTRPCClient, httpBatchLink } from "@trpc/client";
import type { AppRouter } from "./app-router.js";

const trpc = createTRPCClient<AppRouter>({ links: [httpBatchLink({ url: "/api/trpc" })] });

export async function calls(): Promise<void> {
  // @ts-expect-error the key is required
  await trpc.mailchimp.connection.connect.mutate({});
  // @ts-expect-error a query is no mutation
  await trpc.mailchimp.connection.get.mutate();
  // @ts-expect-error a mutation is no query
  await trpc.mailchimp.connection.disconnect.query();
  // @ts-expect-error the key never comes out
  console.log((await trpc.mailchimp.connection.get.query())?.apiKey);
  // @ts-expect-error no audience is named
  await trpc.mailchimp.segments.create.mutate({ name: "All", segmentType: "mixed" });
  // @ts-expect-error no such type
  await trpc.mailchimp.segments.preview.query({ segmentType: "customer" });
  // @ts-expect-error no such criterion
  await trpc.mailchimp.segments.preview.query({ segmentType: "mixed", filterCriteria: { city: "Berlin" } });
  // @ts-expect-error a segment keeps its audience
  await trpc.mailchimp.segments.update.mutate({ id: "1", mailchimpListId: "a1b2c3d4e5" });
  // @ts-expect-error a name cannot be taken away
  await trpc.mailchimp.segments.update.mutate({ id: "1", name: null });
  // @ts-expect-error an id is a string
  await trpc.mailchimp.segments.sync.mutate({ id: 1 });
  // @ts-expect-error counts are missing before the first sync
  console.log((await trpc.mailchimp.segments.get.query({ id: "1" })).counts.wanted);
  // @ts-expect-error Mailchimp's id is not ours
  await trpc.mailchimp.campaigns.trackCampaign.mutate({ id: "1" });
  // @ts-expect-error a rate may be missing
  console.log((await trpc.mailchimp.campaigns.get.query({ id: "1" })).openRate.toFixed());
  // @ts-expect-error the source is required
  await trpc.mailchimp.preferences.updateOptStatus.mutate({ entityId: "1", entityType: "vendor", optedIn: true });
  // @ts-expect-error no such kind of contact
  await trpc.mailchimp.preferences.getForEntity.query({ entityId: "1", entityType: "customer" });
  // @ts-expect-error a preference may be missing
  console.log((await trpc.mailchimp.preferences.getForEntity.query({ entityId: "1", entityType: "vendor" })).optedIn);
  // @ts-expect-error nobody writes the audit log
  await trpc.mailchimp.audit.list.mutate({});
}
