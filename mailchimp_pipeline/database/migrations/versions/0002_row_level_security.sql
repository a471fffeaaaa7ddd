-- The roles that work with the tables, and what each may do. The policies are made table by table, after this.
-- Roles belong to the server: another database of it may have made them, or be about to. This may be run again.

do $$
declare
    name text;
begin
    foreach name in array array['mailchimp_pipeline_app', 'mailchimp_pipeline_overview'] loop
        if not exists (select from pg_roles where rolname = name) then
            begin
                execute format('create role %I nologin', name);
            exception
                -- Another database was faster; which of the two it is depends on how close they were.
                when duplicate_object or unique_violation then null;
                when insufficient_privilege then
                    raise insufficient_privilege using message = format(
                        'the role %s is missing, and %s may not create roles. Have an administrator of the server run: '
                        'create role mailchimp_pipeline_app nologin; create role mailchimp_pipeline_overview nologin; '
                        'grant mailchimp_pipeline_app, mailchimp_pipeline_overview to %I; '
                        'then run `mailchimp-pipeline migrate` again', name, current_user, current_user);
            end;
        end if;
    end loop;
end
$$;

-- Who migrates may also be who works, by one URL: then it must be able to take the roles on. As the owner it needs
-- nothing of what they may do, so it does not inherit that, where PostgreSQL can tell the two apart.
do $$
declare
    name text;
    way text := case when current_setting('server_version_num')::int >= 160000 then 'SET' else 'MEMBER' end;
begin
    foreach name in array array['mailchimp_pipeline_app', 'mailchimp_pipeline_overview'] loop
        if not pg_has_role(current_user, name, way) then
            begin
                execute format('grant %I to %I', name, current_user)
                    || case way when 'SET' then ' with inherit false, set true' else '' end;
            exception
                when unique_violation then null;
                when insufficient_privilege then
                    -- Another may migrate than works: nothing here needs it.
                    raise notice '% may not take on the role %', current_user, name;
            end;
        end if;
    end loop;
end
$$;

do $$
begin
    execute format('grant usage on schema %I to mailchimp_pipeline_app, mailchimp_pipeline_overview', current_schema());
    -- Members of a segment are staged in a temporary table. Everybody may make them, unless that was taken away.
    if not has_database_privilege('mailchimp_pipeline_app', current_database(), 'temporary') then
        execute format('grant temporary on database %I to mailchimp_pipeline_app', current_database());
    end if;
end
$$;

grant select, insert, update, delete on
    mailchimp_connections, contact_segments, segment_members, audience_members, audience_reads, audience_webhooks,
    sync_requests, email_preferences, erasure_requests, erased_contacts, pseudonym_keys, campaign_tracking,
    campaign_stats
to mailchimp_pipeline_app;
grant select, insert on audit_log to mailchimp_pipeline_app;
grant select on
    mailchimp_connections, contact_segments, segment_members, audience_members, audience_reads, audience_webhooks,
    sync_requests, email_preferences, erasure_requests, erased_contacts, pseudonym_keys, campaign_tracking,
    campaign_stats, audit_log
to mailchimp_pipeline_overview;
grant select on mailchimp_pipeline_revision to mailchimp_pipeline_app, mailchimp_pipeline_overview;

-- PostgreSQL's statistics quote people. Only a table's owner may have them taken anew, and an erasure must.
do $$
begin
    execute format(
        'create or replace function forget_samples_of_people() returns void language plpgsql security definer '
        'set search_path = pg_catalog, pg_temp as '
        '''begin analyze %1$I.segment_members, %1$I.audience_members, %1$I.email_preferences; end''',
        current_schema());
end
$$;
revoke execute on function forget_samples_of_people() from public;
grant execute on function forget_samples_of_people() to mailchimp_pipeline_app;
