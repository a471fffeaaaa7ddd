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

/** The contact in an audience, now. */
export interface AudienceEntry {
  mailchimpListId: string;
  mailchimpListName: string;
  /** All that Mailchimp says of it, in its own words. */
  member: Record<string, unknown>;
}

/** One change of state. */
export interface AuditEntry {
  /** Who did it: a token's `sub`, `user-` and a keyed hash where that may be an e-mail address, or the pipeline. */
  actor: string;
  /** What was done, such as `segment.created`. */
  action: string;
  entityType: string;
  /** The thing's id; of a contact whose id may be an e-mail address, a keyed hash. */
  entityId: string;
  at: string;
  details: Record<string, unknown>;
}

/** Which page of the log: of all of it, or of one thing's entries. */
export interface AuditInput {
  /** How many items at most. */
  limit?: number | undefined;
  /** The `nextCursor` of the page before; without it the first page. */
  cursor?: string | null | undefined;
  /** What kind of thing, such as `segment`; goes with `entityId`. */
  entityType?: string | null | undefined;
  entityId?: string | null | undefined;
}

/** Some entries, newest first. */
export interface AuditPage {
  items: AuditEntry[];
  nextCursor: string | null;
}

/** A tracked campaign with its latest figures; they are null until mail of it went out. */
export interface Campaign {
  id: string;
  mailchimpCampaignId: string;
  title: string;
  subjectLine: string | null;
  mailchimpListId: string | null;
  status: CampaignStatus;
  /** The share of those whom it reached that opened it, 0 to 1, as Mailchimp gives it. */
  openRate: number | null;
  /** The share of those whom it reached that clicked, 0 to 1. */
  clickRate: number | null;
  emailsSent: number | null;
  uniqueOpens: number | null;
  uniqueClicks: number | null;
  sendTime: string | null;
  lastRefreshedAt: string | null;
  /** When it was found deleted or archived at Mailchimp; the figures stay as they were. */
  missingSince: string | null;
  createdAt: string;
}

/** Some of a campaign's figures, the latest first. */
export interface CampaignHistory {
  items: CampaignStats[];
  nextCursor: string | null;
}

/** A tracked campaign, by its id. */
export interface CampaignInput {
  id: string;
}

/** Some campaigns, those tracked last first. */
export interface CampaignPage {
  items: Campaign[];
  nextCursor: string | null;
}

/** A campaign's figures as one refresh found them. */
export interface CampaignStats {
  refreshedAt: string;
  status: CampaignStatus;
  emailsSent: number;
  opens: number;
  uniqueOpens: number;
  openRate: number;
  /** The open rate without what mail programs opened by themselves; null for mail from before 22 June 2024. */
  openRateWithoutMachineOpens: number | null;
  clicks: number;
  uniqueClicks: number;
  clickRate: number;
  bounces: number;
  unsubscribes: number;
}

/** How far a campaign has come. */
export type CampaignStatus = "draft" | "scheduled" | "sending" | "sent" | "paused" | "cancelled";

/** How a statement was made at Mailchimp. */
export type Channel = "link" | "admin" | "complaint" | "form" | "deletion";

/** The key of the account to connect. */
export interface ConnectInput {
  /** Letters and digits, then the account's data centre, such as -us6. */
  apiKey: string;
}

/** The organisation's connection to its Mailchimp account. */
export interface Connection {
  id: string;
  organisationId: string;
  accountId: string;
  accountName: string;
  dataCenter: string;
  /** The last characters of the API key, to tell keys apart by. */
  apiKeyHint: string;
  /** The worst of the segments: error, syncing, pending, synced. */
  syncStatus: SegmentStatus;
  connectedAt: string;
  /** When a segment was last synced. */
  lastSyncedAt: string | null;
  /** Since when Mailchimp refuses the API key; null where it takes it. */
  keyRefusedAt: string | null;
  softDeletedAt: string | null;
}

/** Whom the organisation sends to Mailchimp. */
export interface ConsentRule {
  /** Only contacts who opted in; otherwise everybody who did not opt out. */
  optInOnly: boolean;
}

/** A change of what is kept about the contact. */
export interface ContactAuditEntry {
  actor: string;
  action: string;
  at: string;
  details: Record<string, unknown>;
}

/** Everything held about a contact. */
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
  /** The entries about the contact, newest first. */
  audit: ContactAuditEntry[];
  mailchimp: MailchimpHoldings;
  /** Whether the contact's present address was known; without it Mailchimp was asked for the former ones alone. */
  sourceAsked: boolean;
}

/** An employee or vendor. */
export interface EntityInput {
  entityId: string;
  entityType: EntityType;
}

/** The relation a contact comes from. */
export type EntityType = "employee" | "vendor";

/** How far the erasure of a contact has come. */
export interface Erasure {
  entityId: string;
  entityType: EntityType;
  /** Completed once Mailchimp has confirmed it for every audience; until then it goes on by itself. */
  status: ErasureStatus;
  /** In how many audiences the contact is or was. */
  audiences: number;
}

/** How far an erasure has come. Completed is only what Mailchimp confirmed for every audience. */
export type ErasureStatus = "pending" | "completed";

/** Why a contact that matches the criteria is not a member. */
export type Exclusion = "missing_address" | "invalid_address" | "duplicate" | "opted_out" | "no_consent" | "erased";

/** Which contacts match: per attribute any of its values, over attributes all of them. Empty matches everybody. A single string is taken as a list of one; values are trimmed, and of two that are compared as the same one is kept. */
export interface FilterCriteriaInput {
  department?: string | string[] | undefined;
  location?: string | string[] | undefined;
  employmentType?: string | string[] | undefined;
  employmentStatus?: string | string[] | undefined;
}

/** Which contacts match: per attribute any of its values, over attributes all of them. Empty matches everybody. A single string is taken as a list of one; values are trimmed, and of two that are compared as the same one is kept. */
export interface FilterCriteriaOutput {
  department: string[];
  location: string[];
  employmentType: string[];
  employmentStatus: string[];
}

/** Which page of a campaign's history. */
export interface HistoryInput {
  /** How many items at most. */
  limit?: number | undefined;
  /** The `nextCursor` of the page before; without it the first page. */
  cursor?: string | null | undefined;
  id: string;
}

/** What Mailchimp holds now. */
export interface MailchimpHoldings {
  entries: AudienceEntry[];
  /** Why not all audiences could be asked, null where all were. */
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

/** What a segment is made of. */
export interface NewSegmentInput {
  name: string;
  description?: string | null | undefined;
  segmentType: SegmentType;
  /** The id of the audience that its members are sent to. */
  mailchimpListId: string;
  filterCriteria?: FilterCriteriaInput | undefined;
  /** What happens at Mailchimp to members who leave the segment. */
  onLeave?: OnLeave | undefined;
}

/** What happens at Mailchimp to a member who left the segment. */
export type OnLeave = "keep" | "archive";

/** What a contact said, and where. */
export interface OptStatusInput {
  entityId: string;
  entityType: EntityType;
  optedIn: boolean;
  /** The channel or mechanism, such as `signup form`; never an address, nor `mailchimp`, which is said there. */
  consentSource: string;
}

/** Which page of a list. */
export interface PageInput {
  /** How many items at most. */
  limit?: number | undefined;
  /** The `nextCursor` of the page before; without it the first page. */
  cursor?: string | null | undefined;
}

/** An erasure that was asked for. */
export interface PastErasure {
  status: ErasureStatus;
  requestedAt: string;
  completedAt: string | null;
}

/** A contact's last word on e-mail; the time of the opposite one stays. */
export interface Preference {
  entityId: string;
  entityType: EntityType;
  optedIn: boolean;
  consentGivenAt: string | null;
  consentWithdrawnAt: string | null;
  consentSource: string;
  updatedAt: string;
}

/** Some preferences, those that changed last first. */
export interface PreferencePage {
  items: Preference[];
  nextCursor: string | null;
}

/** How many contacts match, and how many of them would be members; the others by what excludes them. */
export interface Preview {
  matching: number;
  members: number;
  excluded: Partial<Record<Exclusion, number>>;
}

/** The contacts that a segment would ask for. */
export interface PreviewInput {
  segmentType: SegmentType;
  filterCriteria?: FilterCriteriaInput | undefined;
}

/** A member of the segment whom Mailchimp does not accept. */
export interface RejectedContact {
  entityId: string;
  entityType: EntityType;
  reason: Rejection;
  /** The reason, for a person to read, and what to do. */
  text: string;
  attempts: number;
  /** Since when. */
  rejectedAt: string;
  /** When it is sent again; null: once the contact or the audience's merge fields change, if it is not final. */
  nextAttemptAt: string | null;
  /** Whether it is never sent again by itself. */
  isFinal: boolean;
}

/** Which rejected contacts: a page of those of a segment. */
export interface RejectedInput {
  /** How many items at most. */
  limit?: number | undefined;
  /** The `nextCursor` of the page before; without it the first page. */
  cursor?: string | null | undefined;
  id: string;
}

/** Some rejected contacts, the latest first. */
export interface RejectedPage {
  items: RejectedContact[];
  nextCursor: string | null;
}

/** Why Mailchimp did not accept the contact in an audience. */
export interface RejectedSending {
  mailchimpListId: string;
  subscriberHash: string;
  reason: string;
  rejectedAt: string;
  nextAttemptAt: string | null;
}

/** Why Mailchimp did not accept a contact, or why the contact was not sent because of its status there. */
export type Rejection = "compliance_state" | "permanently_deleted" | "looks_fake" | "invalid_address" | "merge_field" | "too_many_signups" | "unsubscribed_at_mailchimp" | "cleaned_at_mailchimp" | "archived_at_mailchimp" | "transactional_at_mailchimp" | "awaiting_confirmation" | "address_changed_at_mailchimp" | "withdrawn_meanwhile" | "other";

/** A group of contacts that is kept in step with an audience. */
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
  /** How many members the last sync found; null before the first. */
  memberCount: number | null;
  /** What became of the members in the last sync; null where there was none, or it did not come so far. */
  counts: SegmentCounts | null;
  lastSyncedAt: string | null;
  createdAt: string;
  updatedAt: string;
  softDeletedAt: string | null;
}

/** What to change of a segment; what is left out stays. */
export interface SegmentChangesInput {
  id: string;
  name?: string | undefined;
  description?: string | null | undefined;
  filterCriteria?: FilterCriteriaInput | undefined;
  onLeave?: OnLeave | undefined;
}

/** How many of the wanted members arrived, by the last sync. */
export interface SegmentCounts {
  wanted: number;
  inAudience: number;
  /** Members whom Mailchimp asked to confirm. */
  awaitingConfirmation: number;
  /** Members whom Mailchimp does not accept, by reason. */
  rejected: Partial<Record<Rejection, number>>;
  /** Members who are not sent because of their status in the audience, by reason. */
  withheld: Partial<Record<Rejection, number>>;
}

/** A segment, by its id. */
export interface SegmentInput {
  id: string;
}

/** Some segments, newest first. */
export interface SegmentPage {
  items: Segment[];
  nextCursor: string | null;
}

/** How a segment's last sync went. */
export type SegmentStatus = "pending" | "syncing" | "synced" | "error";

/** Which contacts a segment draws on. */
export type SegmentType = "employee" | "vendor" | "mixed";

/** What was sent of the contact to an audience, and when. */
export interface Sending {
  mailchimpListId: string;
  email: string | null;
  subscriberHash: string;
  contactId: string | null;
  /** Mailchimp's status of the contact, as it was read last; `removed` where we archived it. */
  status: string | null;
  firstPushedAt: string | null;
  pushedAt: string | null;
  changedAt: string | null;
}

/** A consent statement of the contact, or one that was made at its address. */
export interface Statement {
  optedIn: boolean;
  source: string;
  statedAt: string;
  subscriberHash: string | null;
  /** The audience in which it was made, null where it was made here. */
  mailchimpListId: string | null;
  channel: Channel | null;
}

/** Which segment to sync. */
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
        /** Return the organisation's connection, null where it has none. */
        get: Query<void, Connection | null>;
        /** Connect the account that the key opens, once Mailchimp has accepted it; takes the place of the one before. */
        connect: Mutation<ConnectInput, Connection>;
        /** End the connection and forget its key; segments and campaigns stay, syncs that were asked for do not. */
        disconnect: Mutation<void, Connection>;
        /** Return all audiences of the account, the oldest first. */
        listAudiences: Query<void, Audience[]>;
      };
      segments: {
        /** Return a page of segments, newest first. */
        list: Query<PageInput | null | undefined, SegmentPage>;
        /** Return one segment. */
        get: Query<SegmentInput, Segment>;
        /** Make a segment; it is synced with the next scheduled sync, or when asked. */
        create: Mutation<NewSegmentInput, Segment>;
        /** Change a segment's name, description, filter criteria, or what happens to those who leave it. */
        update: Mutation<SegmentChangesInput, Segment>;
        /** Delete a segment; who is in its audience stays there. */
        delete: Mutation<SegmentInput, Segment>;
        /** Ask for a sync now; asked again while it waits, it stays one request. Returns the segment as it still is. */
        sync: Mutation<SyncInput, Segment>;
        /** Return a page of the members whom Mailchimp does not accept, with the reason and when each is sent again. */
        rejected: Query<RejectedInput, RejectedPage>;
        /** Let the next sync send the segment's rejected contacts again, whatever the reason. Returns the segment. */
        retryRejected: Mutation<SegmentInput, Segment>;
        /** Count who would be in a segment, and who not and why, from the source as it is now; nothing is kept or sent. */
        preview: Query<PreviewInput, Preview>;
      };
      campaigns: {
        /** Return a page of the tracked campaigns, those tracked last first. */
        list: Query<PageInput | null | undefined, CampaignPage>;
        /** Return one tracked campaign. */
        get: Query<CampaignInput, Campaign>;
        /** Return a page of a campaign's figures over time, the latest first; each refresh that found any added some. */
        history: Query<HistoryInput, CampaignHistory>;
        /** Track a campaign of the connected account, with its figures of now; tracked again, it is refreshed. */
        trackCampaign: Mutation<TrackInput, Campaign>;
        /** Refresh a campaign now; one that Mailchimp no longer has is marked as missing, and keeps its figures. */
        refreshStats: Mutation<CampaignInput, Campaign>;
      };
      preferences: {
        /** Return a contact's preference, null where it never said anything. */
        getForEntity: Query<EntityInput, Preference | null>;
        /** Return a page of all preferences, those that changed last first. */
        list: Query<PageInput | null | undefined, PreferencePage>;
        /** Record that a contact opted in or out; an opt-out goes to Mailchimp at once, or with the next run. */
        updateOptStatus: Mutation<OptStatusInput, Preference>;
        /** Return whom the organisation sends to Mailchimp. Raises PRECONDITION_FAILED where it is not connected. */
        getConsentRule: Query<void, ConsentRule>;
        /** Choose whom the organisation sends to Mailchimp, from the next sync on, and also after it connects again. */
        setConsentRule: Mutation<ConsentRule, ConsentRule>;
        /** Erase a contact here and in every audience; pending until Mailchimp has confirmed it for each of them. */
        gdprDelete: Mutation<EntityInput, Erasure>;
        /** Return everything held about a contact: here, and at Mailchimp as far as it answers. Noted in the audit log. */
        export: Mutation<EntityInput, ContactExport>;
      };
      audit: {
        /** Return a page of the audit log, newest first. */
        list: Query<AuditInput | null | undefined, AuditPage>;
      };
    };
  }
>;
