create table consent_statements (
    id bigint generated always as identity,
    organisation_id text not null,
    entity_type text,
    entity_id text collate "C",
    subscriber_hash text collate "C",
    opted_in boolean not null,
    source text not null,
    mailchimp_list_id text,
    channel text,
    stated_at timestamptz not null,
    recorded_at timestamptz not null,
    constraint pk_consent_statements primary key (id),
    constraint ck_consent_statements_entity_type_known check (entity_type in ('employee', 'vendor')),
    constraint ck_consent_statements_channel_known check (channel in ('link', 'admin', 'complaint', 'form', 'deletion')),
    constraint ck_consent_statements_about_somebody check (entity_id is not null or subscriber_hash is not null),
    constraint ck_consent_statements_whole_entity check ((entity_type is null) = (entity_id is null))
);
create index ix_consent_statements_entity on consent_statements (organisation_id, entity_type, entity_id);
create index ix_consent_statements_address on consent_statements (organisation_id, subscriber_hash);
create index ix_consent_statements_recorded on consent_statements (organisation_id, recorded_at);

-- PostgreSQL's statistics quote people, and plans are to be the same for every organisation.
alter table consent_statements alter column organisation_id set statistics 0,
    alter column mailchimp_list_id set statistics 0, alter column entity_id set statistics 0,
    alter column subscriber_hash set statistics 0;

create policy own_organisation on consent_statements to mailchimp_pipeline_app
    using (organisation_id = nullif(current_setting('mailchimp_pipeline.organisation_id', true), ''));
create policy every_organisation on consent_statements for select to mailchimp_pipeline_overview using (true);
alter table consent_statements enable row level security;
-- Added and, by an erasure, removed. An erasure takes an address out of the statements of others.
grant select, insert, delete, update (subscriber_hash) on consent_statements to mailchimp_pipeline_app;
grant select on consent_statements to mailchimp_pipeline_overview;

-- In one step: no preference is written between this copy and the trigger.
lock table email_preferences in access exclusive mode;

insert into consent_statements (
    organisation_id, entity_type, entity_id, subscriber_hash, opted_in, source, mailchimp_list_id, channel, stated_at,
    recorded_at
)
with preferences as (
    select preference.*, there.mailchimp_list_id
    from email_preferences as preference
    left join lateral (
        select member.mailchimp_list_id from audience_members as member
        where member.organisation_id = preference.organisation_id and not preference.opted_in
            and preference.consent_source = 'mailchimp' and member.status = 'unsubscribed'
            and member.subscriber_hash = preference.subscriber_hash
            and member.changed_at = preference.consent_withdrawn_at
        order by member.mailchimp_list_id limit 1
    ) as there on true
),
found as (
    -- What was said before, as the audit log has it, of contacts who have a preference.
    select entry.organisation_id, entry.entity_type, entry.entity_id, null as subscriber_hash,
        entry.action = 'preference.opted_in' as opted_in,
        coalesce(entry.details ->> 'consent_source', 'unknown') as source, null as mailchimp_list_id,
        null as channel, entry.at as stated_at, entry.at as recorded_at, 0 as place
    from audit_log as entry
    join email_preferences as preference using (organisation_id, entity_type, entity_id)
    where entry.action in ('preference.opted_in', 'preference.opted_out')
        and entry.at < coalesce(
            case when preference.opted_in then preference.consent_given_at else preference.consent_withdrawn_at end,
            preference.updated_at
        )
        and entry.at is distinct from preference.consent_given_at
        and entry.at is distinct from preference.consent_withdrawn_at
        and entry.at is distinct from preference.updated_at
    union all
    select organisation_id, entity_type, entity_id, null, not opted_in, consent_source, null, null,
        least(consent_given_at, consent_withdrawn_at), updated_at, 1
    from preferences where consent_given_at is not null and consent_withdrawn_at is not null
    union all
    select organisation_id, entity_type, entity_id, subscriber_hash, opted_in, consent_source, mailchimp_list_id,
        case when consent_source = 'deleted_at_mailchimp' then 'deletion' end,
        greatest(case when opted_in then consent_given_at else consent_withdrawn_at end, '-infinity'),
        updated_at, 2
    from preferences
    union all
    -- Members who left, whoever they are.
    select member.organisation_id, member.entity_type, member.entity_id, member.subscriber_hash, false, 'mailchimp',
        member.mailchimp_list_id, null, coalesce(member.changed_at, '-infinity'), now(), 3
    from audience_members as member
    where member.status = 'unsubscribed' and not exists (
        -- Where we unsubscribed a contact who had opted out, or it is that contact's own preference.
        select from email_preferences as preference
        where preference.organisation_id = member.organisation_id and not preference.opted_in and (
            (preference.entity_type, preference.entity_id) = (member.entity_type, member.entity_id)
            or preference.subscriber_hash = member.subscriber_hash
        )
    )
)
select organisation_id, entity_type, entity_id, subscriber_hash, opted_in, source, mailchimp_list_id, channel,
    case when stated_at = '-infinity' then recorded_at else stated_at end, recorded_at
from found order by stated_at, place, opted_in desc;

alter table email_preferences add column statement_id bigint;
update email_preferences as preference set statement_id = (
    select max(id) from consent_statements as statement
    where statement.organisation_id = preference.organisation_id
        and statement.entity_type = preference.entity_type and statement.entity_id = preference.entity_id
);

-- A process of the version before writes preferences alone. Each makes a statement, so no consent is lost meanwhile.
create function record_statement_of_preference() returns trigger language plpgsql as $$
declare
    made bigint;
begin
    insert into consent_statements (
        organisation_id, entity_type, entity_id, subscriber_hash, opted_in, source, stated_at, recorded_at
    ) values (
        new.organisation_id, new.entity_type, new.entity_id, new.subscriber_hash, new.opted_in, new.consent_source,
        coalesce(case when new.opted_in then new.consent_given_at else new.consent_withdrawn_at end, new.updated_at),
        new.updated_at
    ) returning id into made;
    update email_preferences set statement_id = made
    where organisation_id = new.organisation_id and entity_type = new.entity_type and entity_id = new.entity_id;
    return null;
end
$$;
create trigger inserted_without_statement after insert on email_preferences
    for each row when (new.statement_id is null) execute function record_statement_of_preference();
create trigger updated_without_statement after update of opted_in, consent_given_at, consent_withdrawn_at
    on email_preferences
    for each row when (
        new.statement_id is not distinct from old.statement_id
        and (new.opted_in, new.consent_given_at, new.consent_withdrawn_at)
            is distinct from (old.opted_in, old.consent_given_at, old.consent_withdrawn_at)
    )
    execute function record_statement_of_preference();

-- next step
create table rejected_contacts (
    organisation_id text not null,
    mailchimp_list_id text not null,
    subscriber_hash text collate "C" not null,
    entity_type text not null,
    entity_id text collate "C" not null,
    reason text not null,
    is_final boolean not null,
    digest text not null,
    merge_fields text not null,
    attempts integer not null,
    rejected_at timestamptz not null,
    last_attempt_at timestamptz not null,
    next_attempt_at timestamptz,
    constraint pk_rejected_contacts primary key (organisation_id, mailchimp_list_id, subscriber_hash),
    constraint ck_rejected_contacts_entity_type_known check (entity_type in ('employee', 'vendor')),
    constraint ck_rejected_contacts_reason_known check (reason in ('compliance_state', 'permanently_deleted',
        'looks_fake', 'invalid_address', 'merge_field', 'too_many_signups', 'unsubscribed_at_mailchimp',
        'cleaned_at_mailchimp', 'archived_at_mailchimp', 'transactional_at_mailchimp', 'awaiting_confirmation',
        'address_changed_at_mailchimp', 'withdrawn_meanwhile', 'other')),
    constraint ck_rejected_contacts_attempts_count check (attempts > 0)
);
create index ix_rejected_contacts_entity on rejected_contacts (organisation_id, entity_type, entity_id);
alter table rejected_contacts alter column organisation_id set statistics 0,
    alter column mailchimp_list_id set statistics 0, alter column subscriber_hash set statistics 0,
    alter column entity_id set statistics 0, alter column digest set statistics 0;
create policy own_organisation on rejected_contacts to mailchimp_pipeline_app
    using (organisation_id = nullif(current_setting('mailchimp_pipeline.organisation_id', true), ''));
create policy every_organisation on rejected_contacts for select to mailchimp_pipeline_overview using (true);
alter table rejected_contacts enable row level security;
grant select, insert, update, delete on rejected_contacts to mailchimp_pipeline_app;
grant select on rejected_contacts to mailchimp_pipeline_overview;

-- next step
alter table audience_reads add column if not exists merge_fields text, drop column if exists pushed_through;
alter table mailchimp_connections add column if not exists opt_outs_propagated_at timestamptz;
alter table erased_contacts drop constraint if exists pk_erased_contacts;
alter table erased_contacts
    add constraint pk_erased_contacts primary key (organisation_id, kind, keyed_hash, erasure_request_id);

-- next step
alter table audience_members add column if not exists member_id text;
create index if not exists ix_audience_members_replaced on audience_members (organisation_id, replaced_hash)
    where replaced_hash is not null;
alter table audience_members alter column member_id set statistics 0;
alter table audience_members drop constraint if exists ck_audience_members_status_known;
alter table audience_members add constraint ck_audience_members_status_known check (status in ('subscribed',
    'unsubscribed', 'cleaned', 'pending', 'transactional', 'archived', 'removed'));
do $$
begin
    if exists (
        select from pg_attribute where attrelid = 'audience_members'::regclass and attname = 'state' and not attisdropped
    ) then
        insert into rejected_contacts (
            organisation_id, mailchimp_list_id, subscriber_hash, entity_type, entity_id, reason, is_final, digest,
            merge_fields, attempts, rejected_at, last_attempt_at, next_attempt_at
        )
        select organisation_id, mailchimp_list_id, subscriber_hash, entity_type, entity_id, refusal,
            refusal = 'permanently_deleted', coalesce(attempted_digest, ''), '', 1, coalesce(refused_at, now()),
            coalesce(refused_at, now()), now()
        from audience_members where state = 'refused' and entity_id is not null
        on conflict do nothing;
        update audience_members set status = 'removed' where state = 'archived' and status = 'archived';
        alter table audience_members drop column state, drop column refusal, drop column attempted_digest,
            drop column refused_at;
    end if;
end
$$;
