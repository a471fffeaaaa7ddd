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

/** An e-mail address. */
export interface AddressInput {
  address: string;
}

/** An audience of the account. */
export interface Audience {
  id: string;
  name: string;
  memberCount: number;
  doubleOptin: boolean;
}

/** The contact as a member of an audience. */
export interface AudienceEntry {
  mailchimpListId: string;
  mailchimpListName: string;
  /** The member as Mailchimp returns it. */
  member: Record<string, unknown>;
}

/** An entry of the audit log: one change. */
export interface AuditEntry {
  /** Who made the change: the `sub` of the caller's token, `user-` and a keyed hash if that may be an e-mail address, or a name of the pipeline. */
  actor: string;
  /** The change, such as `segment.created`. */
  action: string;
  entityType: string;
  /** The id of the entity, or a keyed hash if the id may be an e-mail address. */
  entityId: string;
  at: string;
  details: Record<string, unknown>;
}

/** A page of the audit log, of all entries, or of those about one entity or by one actor. */
export interface AuditInput {
  /** The maximum number of items on the page. */
  limit?: number | undefined;
  /** The `nextCursor` of the previous page. Without it, the first page is returned. */
  cursor?: string | null | undefined;
  /** The kind of entity, such as `segment`. Needs `entityId`. */
  entityType?: string | null | undefined;
  entityId?: string | null | undefined;
  /** The name of the actor in the log, exactly. */
  actor?: string | null | undefined;
}

/** A page of entries, the newest first. */
export interface AuditPage {
  items: AuditEntry[];
  nextCursor: string | null;
}

/** A campaign of the connected account that is not tracked. Mailchimp's texts may be empty. */
export interface AvailableCampaign {
  mailchimpCampaignId: string;
  title: string;
  subjectLine: string;
  mailchimpListId: string;
  mailchimpListName: string;
  status: CampaignStatus;
  sendTime: string | null;
}

/** A tracked campaign with its latest figures. The figures are null until it is sent. */
export interface Campaign {
  id: string;
  mailchimpCampaignId: string;
  title: string;
  subjectLine: string | null;
  mailchimpListId: string | null;
  status: CampaignStatus;
  /** The share of delivered e-mails that were opened, 0 to 1, as Mailchimp reports it. */
  openRate: number | null;
  /** The share of delivered e-mails with a click, 0 to 1. */
  clickRate: number | null;
  emailsSent: number | null;
  uniqueOpens: number | null;
  uniqueClicks: number | null;
  sendTime: string | null;
  lastRefreshedAt: string | null;
  /** When the campaign was found deleted or archived at Mailchimp; its last figures stay. Null if Mailchimp has it. */
  missingSince: string | null;
  createdAt: string;
}

/** A page of a campaign's figures, the latest first. */
export interface CampaignHistory {
  items: CampaignStats[];
  nextCursor: string | null;
}

/** A tracked campaign, by its id. */
export interface CampaignInput {
  id: string;
}

/** A page of campaigns, the most recently tracked first. */
export interface CampaignPage {
  items: Campaign[];
  nextCursor: string | null;
}

/** The figures of a campaign at one refresh. */
export interface CampaignStats {
  refreshedAt: string;
  status: CampaignStatus;
  emailsSent: number;
  opens: number;
  uniqueOpens: number;
  openRate: number;
  /** The open rate without opens by mail programs; null for campaigns sent before 22 June 2024. */
  openRateWithoutMachineOpens: number | null;
  clicks: number;
  uniqueClicks: number;
  clickRate: number;
  bounces: number;
  unsubscribes: number;
}

/** The status of a campaign. */
export type CampaignStatus = "draft" | "scheduled" | "sending" | "sent" | "paused" | "cancelled";

/** How an opt-in or a withdrawal was made at Mailchimp. */
export type Channel = "link" | "admin" | "complaint" | "form" | "deletion";

/** The API key of the account to connect. */
export interface ConnectInput {
  /** Letters and digits, followed by the account's data centre, such as -us6. */
  apiKey: string;
}

/** The organisation's connection to its Mailchimp account. */
export interface Connection {
  id: string;
  organisationId: string;
  accountId: string;
  accountName: string;
  dataCenter: string;
  /** The last characters of the API key. */
  apiKeyHint: string;
  /** The worst status of the segments, from worst to best: error, syncing, pending, synced. */
  syncStatus: SegmentStatus;
  connectedAt: string;
  /** When the last successful sync of a segment ended. */
  lastSyncedAt: string | null;
  /** When Mailchimp began to refuse the API key; null if it accepts the key. */
  keyRefusedAt: string | null;
  /** Null if the API has no public URL for webhooks. Then each sync reads what changed at Mailchimp. */
  webhooks: Webhooks | null;
  softDeletedAt: string | null;
}

/** Which contacts the organisation sends to Mailchimp. */
export interface ConsentRule {
  /** True: only contacts who opted in. False: all contacts who did not opt out. */
  optInOnly: boolean;
}

/** An entry of the audit log about the contact. */
export interface ContactAuditEntry {
  actor: string;
  action: string;
  at: string;
  details: Record<string, unknown>;
}

/** All data about a contact. */
export interface ContactExport {
  entityId: string;
  entityType: EntityType;
  exportedAt: string;
  preference: Preference | null;
  /** The consent statements, the oldest first. */
  statements: Statement[];
  memberships: Membership[];
  sent: Sending[];
  rejected: RejectedSending[];
  erasures: PastErasure[];
  /** The entries about the contact, the newest first. */
  audit: ContactAuditEntry[];
  mailchimp: MailchimpHoldings;
  /** Whether the source was read; if not, Mailchimp was searched only for addresses known from before. */
  sourceAsked: boolean;
}

/** A contact, and a page of the organisation's segments. */
export interface ContactInput {
  /** The maximum number of items on the page. */
  limit?: number | undefined;
  /** The `nextCursor` of the previous page. Without it, the first page is returned. */
  cursor?: string | null | undefined;
  entityId: string;
  entityType: EntityType;
}

/** An employee or vendor, by the id in the source. */
export interface ContactOfSource {
  entityType: EntityType;
  entityId: string;
}

/** Whether the contact is a member of a segment, and why not. */
export interface ContactSegment {
  segmentId: string;
  segmentName: string;
  mailchimpListId: string;
  mailchimpListName: string | null;
  /** Whether the last sync made the contact a member. */
  isMember: boolean;
  /** The filter criteria that the contact does not match now, such as `department`. */
  mismatches: string[];
  /** Why the contact is excluded now, although it matches the filter. */
  exclusion: Exclusion | null;
  /** The contact's status in the audience when that was last read. `removed` means that the pipeline archived it. */
  status: KnownStatus | null;
  /** Why Mailchimp rejects the contact. */
  rejection: Rejection | null;
  /** The same in words, and what to do. */
  rejectionText: string | null;
}

/** The segments of the contact's type, the newest first. */
export interface ContactSegments {
  isInSource: boolean;
  /** Whether the database has a preference, a consent statement or a membership of the contact. */
  isKnown: boolean;
  isErased: boolean;
  items: ContactSegment[];
  nextCursor: string | null;
}

/** An employee or vendor. */
export interface EntityInput {
  entityId: string;
  entityType: EntityType;
}

/** What a contact is: an employee or a vendor. Each type has its own relation in the source, a table or file. */
export type EntityType = "employee" | "vendor";

/** The erasure of a contact: whether Mailchimp has confirmed it for every audience. */
export interface Erasure {
  entityId: string;
  entityType: EntityType;
  /** `completed` when Mailchimp has confirmed the erasure for every audience. Until then `pending`, and it is retried. */
  status: ErasureStatus;
  /** The number of audiences in which the contact is or was. */
  audiences: number;
}

/** The status of an erasure. It is completed once nothing is left to delete at Mailchimp. */
export type ErasureStatus = "pending" | "completed";

/** The reason why a contact that matches a segment's criteria is not a member. */
export type Exclusion = "missing_address" | "invalid_address" | "duplicate" | "opted_out" | "no_consent" | "erased";

/** The criteria of a segment: for each attribute, the values that a contact may have. No values allow any. A contact has to match the criteria of all attributes, so empty criteria match everybody. A single string counts as a list of one. Values are trimmed. Of values that `folded` makes equal, only the first is kept. */
export interface FilterCriteriaInput {
  department?: string | string[] | undefined;
  location?: string | string[] | undefined;
  employmentType?: string | string[] | undefined;
  employmentStatus?: string | string[] | undefined;
}

/** The criteria of a segment: for each attribute, the values that a contact may have. No values allow any. A contact has to match the criteria of all attributes, so empty criteria match everybody. A single string counts as a list of one. Values are trimmed. Of values that `folded` makes equal, only the first is kept. */
export interface FilterCriteriaOutput {
  department: string[];
  location: string[];
  employmentType: string[];
  employmentStatus: string[];
}

/** An employee or vendor that was found. */
export interface FoundContact {
  entityType: EntityType;
  entityId: string;
}

/** The contacts that were found, sorted by type and id. */
export interface FoundContacts {
  items: FoundContact[];
}

/** A page of a campaign's history. */
export interface HistoryInput {
  /** The maximum number of items on the page. */
  limit?: number | undefined;
  /** The `nextCursor` of the previous page. Without it, the first page is returned. */
  cursor?: string | null | undefined;
  id: string;
}

/** A page of a segment's past syncs. */
export interface HistoryOfSegment {
  /** The maximum number of items on the page. */
  limit?: number | undefined;
  /** The `nextCursor` of the previous page. Without it, the first page is returned. */
  cursor?: string | null | undefined;
  id: string;
}

/** The status of a member in the database: Mailchimp's status, or `removed`. `removed` means that the pipeline archived the member, and `archived` that somebody else did. */
export type KnownStatus = "subscribed" | "unsubscribed" | "cleaned" | "pending" | "transactional" | "archived" | "removed";

/** The data about the contact at Mailchimp. */
export interface MailchimpHoldings {
  entries: AudienceEntry[];
  /** Why some audiences could not be read; null if all were. */
  incompleteBecause: string | null;
}

/** A segment that has the contact as a member, and the contact's data there. */
export interface Membership {
  segmentId: string;
  segmentName: string;
  mailchimpListId: string;
  email: string;
  firstName: string | null;
  lastName: string | null;
}

/** The segment to create. */
export interface NewSegmentInput {
  name: string;
  description?: string | null | undefined;
  segmentType: SegmentType;
  /** The audience to which its members are sent. */
  mailchimpListId: string;
  filterCriteria?: FilterCriteriaInput | undefined;
  /** What Mailchimp does with members who leave the segment. */
  onLeave?: OnLeave | undefined;
}

/** What the pipeline does at Mailchimp with a member who left the segment. */
export type OnLeave = "keep" | "archive";

/** An opt-in or opt-out of a contact. */
export interface OptStatusInput {
  entityId: string;
  entityType: EntityType;
  optedIn: boolean;
  /** The channel, such as `signup form`; not an address, and not `mailchimp`, which the pipeline itself writes. */
  consentSource: string;
}

/** A page of a list. */
export interface PageInput {
  /** The maximum number of items on the page. */
  limit?: number | undefined;
  /** The `nextCursor` of the previous page. Without it, the first page is returned. */
  cursor?: string | null | undefined;
}

/** An erasure of the contact that was requested. */
export interface PastErasure {
  status: ErasureStatus;
  requestedAt: string;
  completedAt: string | null;
}

/** A sync of the segment that ended. */
export interface PastSync {
  /** Null if the run stopped before the sync, or if the time is unknown. */
  startedAt: string | null;
  endedAt: string;
  /** What started the run: the daily `schedule`, a `request`, or a person in `dagster`. Null if unknown. */
  trigger: Trigger | null;
  /** The id of the run in Dagster; null if unknown. */
  runId: string | null;
  /** Why it failed, and what to do; null if it succeeded. */
  error: string | null;
  /** The rule that stopped it. `departures` are confirmed with `confirmDepartures`. */
  stoppedBy: StopReason | null;
  /** Null if it failed. */
  counts: SyncCounts | null;
  /** The duration; null without `startedAt`. */
  seconds: number | null;
}

/** A page of past syncs, the latest first. */
export interface PastSyncPage {
  items: PastSync[];
  nextCursor: string | null;
}

/** The erasures that Mailchimp has yet to confirm. They are retried until it does. */
export interface PendingErasures {
  count: number;
  /** When the oldest of them was requested; null if none is pending. */
  oldestRequestedAt: string | null;
}

/** What a sync would do with contacts. Those whom Mailchimp asks to confirm are in `add` and `subscribeAgain`. */
export interface PlannedActions {
  add: PlannedContacts;
  /** The members whose data changed. */
  update: PlannedContacts;
  /** The members whose address changed. */
  move: PlannedContacts;
  /** The contacts who unsubscribed, and opted in later. */
  subscribeAgain: PlannedContacts;
  archive: PlannedContacts;
  /** The members who opted out here, and whom Mailchimp still has as subscribed. */
  unsubscribe: PlannedContacts;
}

/** A number of contacts, and at most ten of them as examples. Erased contacts are counted, and are no examples. */
export interface PlannedContacts {
  count: number;
  examples: ContactOfSource[];
}

/** Whether a contact opted in or out, and the times of its latest opt-in and latest opt-out. */
export interface Preference {
  entityId: string;
  entityType: EntityType;
  optedIn: boolean;
  consentGivenAt: string | null;
  consentWithdrawnAt: string | null;
  consentSource: string;
  updatedAt: string;
}

/** A page of preferences, the most recently changed first. */
export interface PreferencePage {
  items: Preference[];
  nextCursor: string | null;
}

/** How many contacts match the filter, how many of them would be members, and how many are excluded, by reason. */
export interface Preview {
  matching: number;
  members: number;
  excluded: Partial<Record<Exclusion, number>>;
}

/** The segment to preview. */
export interface PreviewInput {
  segmentType: SegmentType;
  filterCriteria?: FilterCriteriaInput | undefined;
}

/** A member of the segment whom Mailchimp rejects. */
export interface RejectedContact {
  entityId: string;
  entityType: EntityType;
  reason: Rejection;
  /** The reason in words, and what to do. */
  text: string;
  attempts: number;
  /** When Mailchimp rejected the contact. */
  rejectedAt: string;
  /** When the contact is sent again. If null and not final, it is sent again when its data or the merge fields of the audience change. */
  nextAttemptAt: string | null;
  /** Whether the contact is sent again only after `retryRejected`. */
  isFinal: boolean;
}

/** A page of a segment's rejected contacts. */
export interface RejectedInput {
  /** The maximum number of items on the page. */
  limit?: number | undefined;
  /** The `nextCursor` of the previous page. Without it, the first page is returned. */
  cursor?: string | null | undefined;
  id: string;
}

/** A page of rejected contacts, the latest first. */
export interface RejectedPage {
  items: RejectedContact[];
  nextCursor: string | null;
}

/** Why Mailchimp rejected the contact in an audience. */
export interface RejectedSending {
  mailchimpListId: string;
  subscriberHash: string;
  reason: string;
  rejectedAt: string;
  nextAttemptAt: string | null;
}

/** The reason why Mailchimp rejected a contact, or why the pipeline did not send it. */
export type Rejection = "compliance_state" | "permanently_deleted" | "looks_fake" | "invalid_address" | "merge_field" | "too_many_signups" | "unsubscribed_at_mailchimp" | "cleaned_at_mailchimp" | "archived_at_mailchimp" | "transactional_at_mailchimp" | "awaiting_confirmation" | "address_changed_at_mailchimp" | "withdrawn_meanwhile" | "other";

/** A group of contacts that is synced into an audience. */
export interface Segment {
  id: string;
  name: string;
  description: string | null;
  segmentType: SegmentType;
  mailchimpListId: string;
  mailchimpListName: string | null;
  filterCriteria: FilterCriteriaOutput;
  onLeave: OnLeave;
  status: SegmentStatus;
  /** Why the last sync failed, and what to do. */
  lastError: string | null;
  /** The number of members at the last sync; null before the first sync. */
  memberCount: number | null;
  /** The outcome of the last sync. Null before the first sync, or if the last one failed too early. */
  counts: SegmentCounts | null;
  lastSyncedAt: string | null;
  /** When the sync was requested that has yet to end. Null if no requested sync is waiting or running. */
  syncRequestedAt: string | null;
  createdAt: string;
  updatedAt: string;
  softDeletedAt: string | null;
}

/** The changes to a segment. A field that is left out keeps its value. */
export interface SegmentChangesInput {
  id: string;
  name?: string | undefined;
  description?: string | null | undefined;
  filterCriteria?: FilterCriteriaInput | undefined;
  onLeave?: OnLeave | undefined;
}

/** The numbers of the segment's members at the last sync, by outcome. */
export interface SegmentCounts {
  /** The members that belong in the audience. */
  wanted: number;
  /** The wanted members that are subscribed. */
  inAudience: number;
  /** Members whom Mailchimp has asked to confirm. */
  awaitingConfirmation: number;
  /** Members whom Mailchimp rejects, by reason. */
  rejected: Partial<Record<Rejection, number>>;
  /** Members who are not sent because of their status in the audience, by reason. */
  withheld: Partial<Record<Rejection, number>>;
}

/** A segment, by its id. */
export interface SegmentInput {
  id: string;
}

/** A page of segments, the newest first. */
export interface SegmentPage {
  items: Segment[];
  nextCursor: string | null;
}

/** The sync status of a segment. */
export type SegmentStatus = "pending" | "syncing" | "synced" | "error";

/** Whether a segment selects employees, vendors or both. */
export type SegmentType = "employee" | "vendor" | "mixed";

/** A page of segments, of all of them or of those with one status. */
export interface SegmentsInput {
  /** The maximum number of items on the page. */
  limit?: number | undefined;
  /** The `nextCursor` of the previous page. Without it, the first page is returned. */
  cursor?: string | null | undefined;
  status?: SegmentStatus | null | undefined;
}

/** What was sent about the contact to an audience, and when. */
export interface Sending {
  mailchimpListId: string;
  email: string | null;
  subscriberHash: string;
  contactId: string | null;
  /** Mailchimp's last known status of the contact; `removed` if the pipeline archived it. */
  status: string | null;
  firstPushedAt: string | null;
  pushedAt: string | null;
  changedAt: string | null;
}

/** A consent statement of the contact, or one recorded for its address. */
export interface Statement {
  optedIn: boolean;
  source: string;
  statedAt: string;
  subscriberHash: string | null;
  /** The audience in which it was made; null if it was recorded by the API. */
  mailchimpListId: string | null;
  channel: Channel | null;
}

/** The rule that stopped a segment's sync. */
export type StopReason = "consent" | "departures" | "rejections";

/** The numbers of contacts in one sync. What a sync before an upgrade did not count is 0. */
export interface SyncCounts {
  /** The contacts that match the filter. */
  matching: number;
  /** The matching contacts that are no members, by reason. */
  excluded: Partial<Record<Exclusion, number>>;
  wanted: number;
  inAudience: number;
  new: number;
  changed: number;
  /** The members whose address was changed. */
  moved: number;
  archived: number;
  /** The members who opted out here, and were unsubscribed before the sync. */
  unsubscribed: number;
  rejected: Partial<Record<Rejection, number>>;
  withheld: Partial<Record<Rejection, number>>;
}

/** The segment to sync. */
export interface SyncInput {
  id: string;
  /** Let members leave even if they are more than half of the segment. */
  confirmDepartures?: boolean | undefined;
}

/** What a sync of a segment would do now. */
export interface SyncPreview {
  /** When the audience was last read. Later changes at Mailchimp are not known. If null, the audience was never read, and all members count as new. */
  audienceReadAt: string | null;
  /** Why the sync would stop before it sends anything, and what to do; null if it would not. The figures are those of a sync with `confirmDepartures`. */
  error: string | null;
  stoppedBy: StopReason | null;
  /** The contacts that match the filter. */
  matching: number;
  members: number;
  /** The members who would leave the segment. */
  leaving: number;
  /** The members whom the audience has already. */
  unchanged: number;
  actions: PlannedActions;
  /** The matching contacts that are no members, by reason. */
  excluded: Partial<Record<Exclusion, PlannedContacts>>;
  /** Members who are not sent because of their status in the audience, by reason. */
  withheld: Partial<Record<Rejection, PlannedContacts>>;
  /** Members whom Mailchimp rejected, and who are not due to be sent again, by reason. */
  rejected: Partial<Record<Rejection, PlannedContacts>>;
}

/** The campaign to track. */
export interface TrackInput {
  /** The id that Mailchimp's API uses, the address of the campaign's page at Mailchimp, or the number in it. */
  mailchimpCampaignId: string;
}

/** What started a run of syncs. */
export type Trigger = "schedule" | "request" | "dagster";

/** How many audiences report changes of their members at once. */
export interface Webhooks {
  /** The audiences that segments feed. */
  audiences: number;
  /** Those of them that have a webhook at Mailchimp. */
  registered: number;
}

export type AppRouter = TRPCBuiltRouter<
  { ctx: object; meta: object; errorShape: ErrorShape; transformer: false },
  {
    mailchimp: {
      connection: {
        /** Return the organisation's connection, or null if it has none. */
        get: Query<void, Connection | null>;
        /** Connect the Mailchimp account of an API key. It replaces the organisation's previous connection. */
        connect: Mutation<ConnectInput, Connection>;
        /** End the connection and delete its API key. Segments and campaigns stay in the database. */
        disconnect: Mutation<void, Connection>;
        /** Return all audiences of the connected account, the oldest first. */
        listAudiences: Query<void, Audience[]>;
      };
      segments: {
        /** Return a page of segments, the newest first. */
        list: Query<SegmentsInput | null | undefined, SegmentPage>;
        /** Return one segment. */
        get: Query<SegmentInput, Segment>;
        /** Create a segment. It is synced by the next scheduled sync, or on request. */
        create: Mutation<NewSegmentInput, Segment>;
        /** Change a segment's name, description, filter criteria, or what happens to members who leave it. */
        update: Mutation<SegmentChangesInput, Segment>;
        /** Delete a segment. Its members stay in the audience. */
        delete: Mutation<SegmentInput, Segment>;
        /** Request a sync now. A second request while the first is waiting changes nothing. Returns the segment. */
        sync: Mutation<SyncInput, Segment>;
        /** Return a page of the members whom Mailchimp rejects, with the reason and when each is sent again. */
        rejected: Query<RejectedInput, RejectedPage>;
        /** Let the next sync send the segment's rejected contacts again, whatever the reason was. Returns the segment. */
        retryRejected: Mutation<SegmentInput, Segment>;
        /** Count the members that a segment would have now, and the excluded contacts. Stores and sends nothing. */
        preview: Query<PreviewInput, Preview>;
        /** Return what a sync of the segment would do now, with ids of contacts as examples. Stores and sends nothing. */
        previewSync: Query<SegmentInput, SyncPreview>;
        /** Return the values that the source has for each filter criterion, sorted, at most 100 of each. */
        filterValues: Query<void, Record<string, string[]>>;
        /** Return a page of the segment's past syncs, the latest first. A sync is kept for 400 days. */
        history: Query<HistoryOfSegment, PastSyncPage>;
      };
      campaigns: {
        /** Return a page of the tracked campaigns, the most recently tracked first. */
        list: Query<PageInput | null | undefined, CampaignPage>;
        /** Return the campaigns of the connected account that are not tracked, the latest created first, at most 100. */
        available: Query<void, AvailableCampaign[]>;
        /** Return one tracked campaign. */
        get: Query<CampaignInput, Campaign>;
        /** Return a page of a campaign's figures over time, the latest first. */
        history: Query<HistoryInput, CampaignHistory>;
        /** Track a campaign of the connected account, and read its figures. If it is already tracked, it is refreshed. */
        trackCampaign: Mutation<TrackInput, Campaign>;
        /** Refresh a campaign's figures now. If Mailchimp no longer has it, it is marked as missing and its figures stay. */
        refreshStats: Mutation<CampaignInput, Campaign>;
      };
      contacts: {
        /** Return for each segment whether the contact is a member, and why not. Mailchimp is not asked. */
        segments: Query<ContactInput, ContactSegments>;
      };
      preferences: {
        /** Return a contact's preference, or null if no opt-in or opt-out is recorded. */
        getForEntity: Query<EntityInput, Preference | null>;
        /** Return a page of all preferences, the most recently changed first. */
        list: Query<PageInput | null | undefined, PreferencePage>;
        /** Record an opt-in or opt-out. An opt-out is pushed to Mailchimp now, or by the next run if Mailchimp fails. */
        updateOptStatus: Mutation<OptStatusInput, Preference>;
        /** Return the contacts, at most 100, that were synced with an address. Erased contacts are not found. */
        findByAddress: Mutation<AddressInput, FoundContacts>;
        /** Return the consent rule. Raises PRECONDITION_FAILED if the organisation is not connected. */
        getConsentRule: Query<void, ConsentRule>;
        /** Set the consent rule. It applies from the next sync on, and stays when the organisation connects again. */
        setConsentRule: Mutation<ConsentRule, ConsentRule>;
        /** Erase a contact in the database and in every audience. Pending until Mailchimp has confirmed each deletion. */
        gdprDelete: Mutation<EntityInput, Erasure>;
        /** Return how many erasures of the organisation are pending, and since when. */
        pendingErasures: Query<void, PendingErasures>;
        /** Return all data about a contact, in the database and at Mailchimp. The audit log records the export. */
        export: Mutation<EntityInput, ContactExport>;
      };
      audit: {
        /** Return a page of the audit log, the newest entries first. */
        list: Query<AuditInput | null | undefined, AuditPage>;
      };
    };
  }
>;
