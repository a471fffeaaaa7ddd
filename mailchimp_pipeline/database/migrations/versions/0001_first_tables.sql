-- The tables of the first version. `tables` says what they are for; this file is never changed.

create table mailchimp_connections (
    id uuid default gen_random_uuid() not null,
    organisation_id text not null,
    account_id text not null,
    account_name text not null,
    data_center text not null,
    api_key_encrypted text,
    api_key_hint text not null,
    connected_by text not null,
    connected_at timestamptz not null,
    key_refused_at timestamptz,
    opt_in_only boolean default false not null,
    soft_deleted_at timestamptz,
    constraint pk_mailchimp_connections primary key (id),
    constraint ck_mailchimp_connections_key_while_live
        check ((api_key_encrypted is null) = (soft_deleted_at is not null)),
    constraint ck_mailchimp_connections_hint_is_short check (length(api_key_hint) <= 4)
);
create index ix_mailchimp_connections_organisation on mailchimp_connections (organisation_id, connected_at);
create unique index uq_mailchimp_connections_live on mailchimp_connections (organisation_id) where soft_deleted_at is
    null;

create table contact_segments (
    id uuid default gen_random_uuid() not null,
    organisation_id text not null,
    name text not null,
    description text,
    segment_type text not null,
    mailchimp_list_id text not null,
    mailchimp_list_name text,
    filter_criteria jsonb default '{}'::jsonb not null,
    on_leave text default 'keep' not null,
    status text default 'pending' not null,
    status_changed_at timestamptz not null,
    last_error text,
    member_count integer,
    last_report jsonb,
    last_synced_at timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    soft_deleted_at timestamptz,
    constraint pk_contact_segments primary key (id),
    constraint uq_contact_segments_organisation_id_id unique (organisation_id, id),
    constraint ck_contact_segments_segment_type_known check (segment_type in ('employee', 'vendor', 'mixed')),
    constraint ck_contact_segments_on_leave_known check (on_leave in ('keep', 'archive')),
    constraint ck_contact_segments_status_known check (status in ('pending', 'syncing', 'synced', 'error')),
    constraint ck_contact_segments_name_given check (name <> ''),
    constraint ck_contact_segments_list_given check (mailchimp_list_id <> ''),
    constraint ck_contact_segments_error_says_why check ((status = 'error') = (last_error is not null)),
    constraint ck_contact_segments_member_count_counts check (member_count >= 0)
);
create index ix_contact_segments_newest on contact_segments (organisation_id, created_at desc, id desc) where
    soft_deleted_at is null;
create index ix_contact_segments_syncing on contact_segments (status) where status = 'syncing';

create table segment_members (
    organisation_id text not null,
    segment_id uuid not null,
    mailchimp_list_id text not null,
    subscriber_hash text collate "C" not null,
    entity_type text not null,
    entity_id text collate "C" not null,
    email text not null,
    first_name text,
    last_name text,
    digest text not null,
    constraint pk_segment_members primary key (segment_id, subscriber_hash),
    constraint fk_segment_members_contact_segments foreign key(organisation_id, segment_id) references
        contact_segments (organisation_id, id),
    constraint ck_segment_members_entity_type_known check (entity_type in ('employee', 'vendor'))
);
create index ix_segment_members_audience on segment_members (organisation_id, mailchimp_list_id, subscriber_hash);
create index ix_segment_members_entity on segment_members (organisation_id, entity_type, entity_id);

create table audience_members (
    organisation_id text not null,
    mailchimp_list_id text not null,
    subscriber_hash text collate "C" not null,
    email text,
    entity_type text,
    entity_id text collate "C",
    digest text,
    attempted_digest text,
    state text not null,
    status text,
    refusal text,
    contact_id text,
    leaving boolean not null default false,
    first_pushed_at timestamptz,
    pushed_at timestamptz,
    refused_at timestamptz,
    changed_at timestamptz,
    constraint pk_audience_members primary key (organisation_id, mailchimp_list_id, subscriber_hash),
    constraint ck_audience_members_entity_type_known check (entity_type in ('employee', 'vendor')),
    constraint ck_audience_members_state_known check (state in ('seen', 'pushed', 'refused', 'archived')),
    constraint ck_audience_members_status_known
        check (status in ('subscribed', 'unsubscribed', 'cleaned', 'pending', 'transactional', 'archived')),
    constraint ck_audience_members_refusal_known
        check (refusal in ('compliance_state', 'permanently_deleted', 'looks_fake', 'invalid_address',
            'merge_field', 'too_many_signups', 'unsubscribed_at_mailchimp', 'cleaned_at_mailchimp',
            'archived_at_mailchimp', 'transactional_at_mailchimp', 'awaiting_confirmation', 'other')),
    constraint ck_audience_members_refusal_says_why check ((state = 'refused') = (refusal is not null))
);
create index ix_audience_members_entity on audience_members (organisation_id, entity_type, entity_id);
create index ix_audience_members_unsubscribed on audience_members (organisation_id, mailchimp_list_id) where status <>
    'subscribed';

create table audience_reads (
    organisation_id text not null,
    mailchimp_list_id text not null,
    read_through timestamptz not null,
    push_unfinished boolean default false not null,
    constraint pk_audience_reads primary key (organisation_id, mailchimp_list_id)
);

create table audience_webhooks (
    id uuid default gen_random_uuid() not null,
    organisation_id text not null,
    mailchimp_list_id text not null,
    token_hash text collate "C" not null,
    mailchimp_webhook_id text,
    secret_encrypted text,
    created_at timestamptz not null,
    constraint pk_audience_webhooks primary key (id),
    constraint uq_audience_webhooks_organisation_id_mailchimp_list_id unique (organisation_id, mailchimp_list_id),
    constraint uq_audience_webhooks_token_hash unique (token_hash),
    constraint ck_audience_webhooks_secret_once_made
        check (secret_encrypted is null or mailchimp_webhook_id is not null)
);

create table sync_requests (
    id uuid default gen_random_uuid() not null,
    organisation_id text not null,
    segment_id uuid not null,
    status text default 'waiting' not null,
    departures_confirmed boolean not null default false,
    requested_by text not null,
    requested_at timestamptz not null,
    run_id text,
    started_at timestamptz,
    finished_at timestamptz,
    error text,
    constraint pk_sync_requests primary key (id),
    constraint fk_sync_requests_contact_segments foreign key(organisation_id, segment_id) references
        contact_segments (organisation_id, id),
    constraint ck_sync_requests_status_known check (status in ('waiting', 'running', 'done', 'failed')),
    constraint ck_sync_requests_error_says_why check ((status = 'failed') = (error is not null)),
    constraint ck_sync_requests_finished_when_over check ((status in ('done', 'failed')) = (finished_at is not null))
);
create index ix_sync_requests_open on sync_requests (status, requested_at) where status in ('waiting', 'running');
create index ix_sync_requests_segment on sync_requests (segment_id, requested_at);
create unique index uq_sync_requests_waiting on sync_requests (segment_id) where status = 'waiting';

create table email_preferences (
    organisation_id text not null,
    entity_type text not null,
    entity_id text collate "C" not null,
    subscriber_hash text collate "C",
    opted_in boolean not null,
    consent_given_at timestamptz,
    consent_withdrawn_at timestamptz,
    consent_source text not null,
    updated_at timestamptz not null,
    constraint pk_email_preferences primary key (organisation_id, entity_type, entity_id),
    constraint ck_email_preferences_entity_type_known check (entity_type in ('employee', 'vendor')),
    constraint ck_email_preferences_time_of_the_word
        check (case when opted_in then consent_given_at else consent_withdrawn_at end is not null)
);
create index ix_email_preferences_newest on email_preferences (organisation_id, updated_at, entity_type, entity_id);
create index ix_email_preferences_subscriber on email_preferences (organisation_id, subscriber_hash);

create table erasure_requests (
    id uuid default gen_random_uuid() not null,
    organisation_id text not null,
    entity_hash text collate "C" not null,
    status text default 'pending' not null,
    audiences integer default '0' not null,
    targets_encrypted text,
    attempts integer default '0' not null,
    last_tried_at timestamptz,
    last_error text,
    requested_by text not null,
    requested_at timestamptz not null,
    completed_at timestamptz,
    constraint pk_erasure_requests primary key (id),
    constraint ck_erasure_requests_status_known check (status in ('pending', 'completed')),
    constraint ck_erasure_requests_completed_when check ((status = 'completed') = (completed_at is not null)),
    constraint ck_erasure_requests_forgotten_when_completed check (status = 'pending' or targets_encrypted is null)
);
create index ix_erasure_requests_entity on erasure_requests (organisation_id, entity_hash);
create index ix_erasure_requests_pending on erasure_requests (requested_at) where status = 'pending';

create table erased_contacts (
    organisation_id text not null,
    kind text not null,
    keyed_hash text collate "C" not null,
    erasure_request_id uuid not null,
    erased_at timestamptz not null,
    constraint pk_erased_contacts primary key (organisation_id, kind, keyed_hash),
    constraint ck_erased_contacts_kind_known check (kind in ('address', 'entity')),
    constraint fk_erased_contacts_erasure_requests foreign key(erasure_request_id) references erasure_requests (id)
);
create index ix_erased_contacts_request on erased_contacts (erasure_request_id);

create table pseudonym_keys (
    organisation_id text not null,
    key_encrypted text not null,
    constraint pk_pseudonym_keys primary key (organisation_id)
);

create table campaign_tracking (
    id uuid default gen_random_uuid() not null,
    organisation_id text not null,
    mailchimp_campaign_id text not null,
    title text not null,
    subject_line text,
    mailchimp_list_id text,
    status text not null,
    open_rate double precision,
    click_rate double precision,
    emails_sent integer,
    unique_opens integer,
    unique_clicks integer,
    send_time timestamptz,
    last_refreshed_at timestamptz,
    missing_since timestamptz,
    created_at timestamptz not null,
    constraint pk_campaign_tracking primary key (id),
    constraint uq_campaign_tracking_organisation_id_mailchimp_campaign_id unique (organisation_id,
        mailchimp_campaign_id),
    constraint uq_campaign_tracking_organisation_id_id unique (organisation_id, id),
    constraint ck_campaign_tracking_status_known
        check (status in ('draft', 'scheduled', 'sending', 'sent', 'paused', 'cancelled')),
    constraint ck_campaign_tracking_open_rate_is_a_share check (open_rate between 0 and 1),
    constraint ck_campaign_tracking_click_rate_is_a_share check (click_rate between 0 and 1)
);
create index ix_campaign_tracking_newest on campaign_tracking (organisation_id, created_at desc, id desc);

create table campaign_stats (
    id uuid default gen_random_uuid() not null,
    organisation_id text not null,
    campaign_id uuid not null,
    status text not null,
    emails_sent integer not null,
    opens integer not null,
    unique_opens integer not null,
    open_rate double precision not null,
    open_rate_without_machine_opens double precision,
    clicks integer not null,
    unique_clicks integer not null,
    click_rate double precision not null,
    bounces integer not null,
    unsubscribes integer not null,
    refreshed_at timestamptz not null,
    constraint pk_campaign_stats primary key (id),
    constraint fk_campaign_stats_campaign_tracking foreign key(organisation_id, campaign_id) references
        campaign_tracking (organisation_id, id),
    constraint uq_campaign_stats_organisation_id_campaign_id_refreshed_at unique (organisation_id, campaign_id,
        refreshed_at),
    constraint ck_campaign_stats_status_known
        check (status in ('draft', 'scheduled', 'sending', 'sent', 'paused', 'cancelled')),
    constraint ck_campaign_stats_open_rate_is_a_share check (open_rate between 0 and 1),
    constraint ck_campaign_stats_open_rate_without_machine_opens_is_a_share
        check (open_rate_without_machine_opens between 0 and 1),
    constraint ck_campaign_stats_click_rate_is_a_share check (click_rate between 0 and 1)
);

create table audit_log (
    id bigint generated always as identity,
    organisation_id text not null,
    actor text not null,
    action text not null,
    entity_type text not null,
    entity_id text not null,
    at timestamptz not null,
    details jsonb default '{}'::jsonb not null,
    constraint pk_audit_log primary key (id)
);
create index ix_audit_log_entity on audit_log (organisation_id, entity_type, entity_id, at desc, id desc);
create index ix_audit_log_newest on audit_log (organisation_id, at desc, id desc);

create function refuse_change_of_audit_log() returns trigger language plpgsql as $$
begin
    raise exception 'audit_log is append-only: % is refused', tg_op using errcode = 'insufficient_privilege';
end
$$;
create trigger audit_log_is_append_only before update or delete or truncate on audit_log
    for each statement execute function refuse_change_of_audit_log();
