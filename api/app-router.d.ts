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

/** One change of state. */
export interface AuditEntry {
  /** The `sub` of a token, `user-` and a keyed hash if that may be an e-mail address, or the pipeline. */
  actor: string;
  /** The change, such as `segment.created`. */
  action: string;
  entityType: string;
  /** The id of the entity; a keyed hash if it may be an e-mail address. */
  entityId: string;
  at: string;
  details: Record<string, unknown>;
}

/** A page of the log, or of the entries about one entity. */
export interface AuditInput {
  /** The largest number of items. */
  limit?: number | undefined;
  /** The `nextCursor` of the previous page; without it, the first page. */
  cursor?: string | null | undefined;
  /** The kind of entity, such as `segment`; needs `entityId`. */
  entityType?: string | null | undefined;
  entityId?: string | null | undefined;
}

/** A page of entries, the newest first. */
export interface AuditPage {
  items: AuditEntry[];
  nextCursor: string | null;
}

/** A tracked campaign with its latest figures, which are null until it is sent. */
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
  /** When it was found deleted or archived at Mailchimp; the figures stay. */
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

/** A page of campaigns, the last tracked first. */
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

/** How a statement was made at Mailchimp. */
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
  /** The worst status of the segments: error, syncing, pending, synced. */
  syncStatus: SegmentStatus;
  connectedAt: string;
  /** The last successful sync of a segment. */
  lastSyncedAt: string | null;
  /** Since when Mailchimp refuses the API key; null if it accepts it. */
  keyRefusedAt: string | null;
  softDeletedAt: string | null;
}

/** Which contacts the organisation sends to Mailchimp. */
export interface ConsentRule {
  /** Only contacts who opted in; otherwise all contacts who did not opt out. */
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

/** An employee or vendor. */
export interface EntityInput {
  entityId: string;
  entityType: EntityType;
}

/** The relation that a contact comes from. */
export type EntityType = "employee" | "vendor";

/** The state of an erasure. */
export interface Erasure {
  entityId: string;
  entityType: EntityType;
  /** Completed once Mailchimp has confirmed it for every audience; until then it is retried. */
  status: ErasureStatus;
  /** The number of audiences with the contact, now or before. */
  audiences: number;
}

/** The status of an erasure. It is completed once every audience has confirmed the deletion. */
export type ErasureStatus = "pending" | "completed";

/** The reason for which a contact that matches the criteria is not a member. */
export type Exclusion = "missing_address" | "invalid_address" | "duplicate" | "opted_out" | "no_consent" | "erased";

/** The criteria of a segment. A contact matches if each attribute has any of its values. Empty criteria match everybody. A single string counts as a list of one. Values are trimmed, and values that are equal after folding are kept once. */
export interface FilterCriteriaInput {
  department?: string | string[] | undefined;
  location?: string | string[] | undefined;
  employmentType?: string | string[] | undefined;
  employmentStatus?: string | string[] | undefined;
}

/** The criteria of a segment. A contact matches if each attribute has any of its values. Empty criteria match everybody. A single string counts as a list of one. Values are trimmed, and values that are equal after folding are kept once. */
export interface FilterCriteriaOutput {
  department: string[];
  location: string[];
  employmentType: string[];
  employmentStatus: string[];
}

/** A page of a campaign's history. */
export interface HistoryInput {
  /** The largest number of items. */
  limit?: number | undefined;
  /** The `nextCursor` of the previous page; without it, the first page. */
  cursor?: string | null | undefined;
  id: string;
}

/** The data at Mailchimp. */
export interface MailchimpHoldings {
  entries: AudienceEntry[];
  /** Why some audiences could not be read; null if all were. */
  incompleteBecause: string | null;
}

/** The contact in a segment. */
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
  /** The largest number of items. */
  limit?: number | undefined;
  /** The `nextCursor` of the previous page; without it, the first page. */
  cursor?: string | null | undefined;
}

/** A requested erasure. */
export interface PastErasure {
  status: ErasureStatus;
  requestedAt: string;
  completedAt: string | null;
}

/** A contact's latest opt-in or opt-out; the time of the opposite statement stays. */
export interface Preference {
  entityId: string;
  entityType: EntityType;
  optedIn: boolean;
  consentGivenAt: string | null;
  consentWithdrawnAt: string | null;
  consentSource: string;
  updatedAt: string;
}

/** A page of preferences, the last changed first. */
export interface PreferencePage {
  items: Preference[];
  nextCursor: string | null;
}

/** The number of matching contacts, of members among them, and of the others by what excludes them. */
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
  /** When Mailchimp rejected it. */
  rejectedAt: string;
  /** When it is sent again. Null: when the contact or the merge fields of the audience change, unless final. */
  nextAttemptAt: string | null;
  /** Whether it is not sent again without `retryRejected`. */
  isFinal: boolean;
}

/** A page of a segment's rejected contacts. */
export interface RejectedInput {
  /** The largest number of items. */
  limit?: number | undefined;
  /** The `nextCursor` of the previous page; without it, the first page. */
  cursor?: string | null | undefined;
  id: string;
}

/** A page of rejected contacts, the latest first. */
export interface RejectedPage {
  items: RejectedContact[];
  nextCursor: string | null;
}

/** The reason for which Mailchimp rejected the contact in an audience. */
export interface RejectedSending {
  mailchimpListId: string;
  subscriberHash: string;
  reason: string;
  rejectedAt: string;
  nextAttemptAt: string | null;
}

/** The reason for which Mailchimp rejected a contact, or for which the pipeline did not send the contact. */
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
  /** The number of members at the last sync; null before the first. */
  memberCount: number | null;
  /** The outcome of the last sync; null before the first, or if it failed too early. */
  counts: SegmentCounts | null;
  lastSyncedAt: string | null;
  createdAt: string;
  updatedAt: string;
  softDeletedAt: string | null;
}

/** The changes of a segment; a field that is left out stays. */
export interface SegmentChangesInput {
  id: string;
  name?: string | undefined;
  description?: string | null | undefined;
  filterCriteria?: FilterCriteriaInput | undefined;
  onLeave?: OnLeave | undefined;
}

/** The outcome of the last sync for the wanted members. */
export interface SegmentCounts {
  wanted: number;
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

/** The relations that a segment selects contacts from. */
export type SegmentType = "employee" | "vendor" | "mixed";

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

/** The segment to sync. */
export interface SyncInput {
  id: string;
  /** Let members leave even if they are more than half of the segment. */
  confirmDepartures?: boolean | undefined;
}

/** The campaign to track. */
export interface TrackInput {
  /** The id that Mailchimp's API uses, or the number in the address of the campaign's page at Mailchimp. */
  mailchimpCampaignId: string;
}

export type AppRouter = TRPCBuiltRouter<
  { ctx: object; meta: object; errorShape: ErrorShape; transformer: false },
  {
    mailchimp: {
      connection: {
        /** Return the organisation's connection; null if it has none. */
        get: Query<void, Connection | null>;
        /** Connect the account of an API key that Mailchimp accepts; it replaces the previous connection. */
        connect: Mutation<ConnectInput, Connection>;
        /** End the connection and delete its key. Segments and campaigns stay; requested syncs end. */
        disconnect: Mutation<void, Connection>;
        /** Return all audiences of the account, the oldest first. */
        listAudiences: Query<void, Audience[]>;
      };
      segments: {
        /** Return a page of segments, the newest first. */
        list: Query<PageInput | null | undefined, SegmentPage>;
        /** Return one segment. */
        get: Query<SegmentInput, Segment>;
        /** Create a segment. It is synced by the next scheduled sync, or on request. */
        create: Mutation<NewSegmentInput, Segment>;
        /** Change a segment's name, description, filter criteria, or what happens to members who leave it. */
        update: Mutation<SegmentChangesInput, Segment>;
        /** Delete a segment. The members of its audience stay there. */
        delete: Mutation<SegmentInput, Segment>;
        /** Request a sync now. A second request while the first waits changes nothing. Returns the segment. */
        sync: Mutation<SyncInput, Segment>;
        /** Return a page of the members whom Mailchimp rejects, with the reason and when each is sent again. */
        rejected: Query<RejectedInput, RejectedPage>;
        /** Let the next sync send the segment's rejected contacts again, for any reason. Returns the segment. */
        retryRejected: Mutation<SegmentInput, Segment>;
        /** Count the members that a segment would have now, and the excluded contacts. Stores and sends nothing. */
        preview: Query<PreviewInput, Preview>;
      };
      campaigns: {
        /** Return a page of the tracked campaigns, the last tracked first. */
        list: Query<PageInput | null | undefined, CampaignPage>;
        /** Return one tracked campaign. */
        get: Query<CampaignInput, Campaign>;
        /** Return a page of a campaign's figures over time, the latest first. */
        history: Query<HistoryInput, CampaignHistory>;
        /** Track a campaign of the connected account, with its current figures. A tracked campaign is refreshed. */
        trackCampaign: Mutation<TrackInput, Campaign>;
        /** Refresh a campaign now. If Mailchimp no longer has it, it is marked as missing and keeps its figures. */
        refreshStats: Mutation<CampaignInput, Campaign>;
      };
      preferences: {
        /** Return a contact's preference; null if there is none. */
        getForEntity: Query<EntityInput, Preference | null>;
        /** Return a page of all preferences, the last changed first. */
        list: Query<PageInput | null | undefined, PreferencePage>;
        /** Record an opt-in or opt-out. An opt-out is pushed to Mailchimp at once, or by the next run. */
        updateOptStatus: Mutation<OptStatusInput, Preference>;
        /** Return the consent rule. Raises PRECONDITION_FAILED if the organisation is not connected. */
        getConsentRule: Query<void, ConsentRule>;
        /** Set the consent rule from the next sync on; it stays after the organisation connects again. */
        setConsentRule: Mutation<ConsentRule, ConsentRule>;
        /** Erase a contact in the database and in every audience; pending until Mailchimp has confirmed each. */
        gdprDelete: Mutation<EntityInput, Erasure>;
        /** Return all data about a contact, in the database and at Mailchimp. The audit log has an entry. */
        export: Mutation<EntityInput, ContactExport>;
      };
      audit: {
        /** Return a page of the audit log, the newest entries first. */
        list: Query<AuditInput | null | undefined, AuditPage>;
      };
    };
  }
>;
