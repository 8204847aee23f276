-- Settings are stored sparse: a workspace's document keeps what differs from the defaults of this version, and every
-- setting that is not in it follows the product's and the plan's default from now on. See docs/decisions/0014.
insert into schema_versions (version, compatible_from) values (20, 17);

update workspaces set defaults = (defaults::jsonb #- '{timezone}')::text where defaults::jsonb #> '{timezone}' = '"UTC"';
update workspaces set defaults = (defaults::jsonb #- '{quiet_hours}')::text where defaults::jsonb #> '{quiet_hours}' = '{"end":"09:00","start":"21:00"}';
update workspaces set defaults = (defaults::jsonb #- '{quiet_days}')::text where defaults::jsonb #> '{quiet_days}' = '[]';
update workspaces set defaults = (defaults::jsonb #- '{retry_triggers,voicemail}')::text where defaults::jsonb #> '{retry_triggers,voicemail}' = '{"enabled":true,"wait_minutes":240}';
update workspaces set defaults = (defaults::jsonb #- '{retry_triggers,no_answer}')::text where defaults::jsonb #> '{retry_triggers,no_answer}' = '{"enabled":true,"wait_minutes":60}';
update workspaces set defaults = (defaults::jsonb #- '{retry_triggers,busy}')::text where defaults::jsonb #> '{retry_triggers,busy}' = '{"enabled":true,"wait_minutes":10}';
update workspaces set defaults = (defaults::jsonb #- '{retry_triggers,technical_error}')::text where defaults::jsonb #> '{retry_triggers,technical_error}' = '{"enabled":true,"wait_minutes":30}';
update workspaces set defaults = (defaults::jsonb #- '{retry_triggers,conversation_silent}')::text where defaults::jsonb #> '{retry_triggers,conversation_silent}' = '{"enabled":true,"wait_minutes":1440}';
update workspaces set defaults = (defaults::jsonb #- '{unclear_time}')::text where defaults::jsonb #> '{unclear_time}' = '{"action":"delay","min_confidence":0.5,"wait_minutes":1440}';
update workspaces set defaults = (defaults::jsonb #- '{spoken_hours,day}')::text where defaults::jsonb #> '{spoken_hours,day}' = '{"from":"08:00","nominal":"10:00","to":"21:00"}';
update workspaces set defaults = (defaults::jsonb #- '{spoken_hours,morning}')::text where defaults::jsonb #> '{spoken_hours,morning}' = '{"from":"08:00","nominal":"09:00","to":"12:00"}';
update workspaces set defaults = (defaults::jsonb #- '{spoken_hours,lunch}')::text where defaults::jsonb #> '{spoken_hours,lunch}' = '{"from":"11:30","nominal":"12:00","to":"13:30"}';
update workspaces set defaults = (defaults::jsonb #- '{spoken_hours,after_lunch}')::text where defaults::jsonb #> '{spoken_hours,after_lunch}' = '{"from":"12:30","nominal":"13:30","to":"15:00"}';
update workspaces set defaults = (defaults::jsonb #- '{spoken_hours,afternoon}')::text where defaults::jsonb #> '{spoken_hours,afternoon}' = '{"from":"12:00","nominal":"14:00","to":"17:00"}';
update workspaces set defaults = (defaults::jsonb #- '{spoken_hours,end_of_day}')::text where defaults::jsonb #> '{spoken_hours,end_of_day}' = '{"from":"16:00","nominal":"17:00","to":"18:00"}';
update workspaces set defaults = (defaults::jsonb #- '{spoken_hours,evening}')::text where defaults::jsonb #> '{spoken_hours,evening}' = '{"from":"17:00","nominal":"18:00","to":"21:00"}';
update workspaces set defaults = (defaults::jsonb #- '{spoken_hours,night}')::text where defaults::jsonb #> '{spoken_hours,night}' = '{"from":"18:00","nominal":"19:00","to":"22:00"}';
update workspaces set defaults = (defaults::jsonb #- '{spoken_hours,after_dinner}')::text where defaults::jsonb #> '{spoken_hours,after_dinner}' = '{"from":"18:30","nominal":"19:00","to":"21:30"}';
update workspaces set defaults = (defaults::jsonb #- '{language}')::text where defaults::jsonb #> '{language}' = '"auto"';
update workspaces set defaults = (defaults::jsonb #- '{missed_after_minutes}')::text where defaults::jsonb #> '{missed_after_minutes}' = '120';
update workspaces set defaults = (defaults::jsonb #- '{missed_action}')::text where defaults::jsonb #> '{missed_action}' = '"expire"';
update workspaces set defaults = (defaults::jsonb #- '{callback_field}')::text where defaults::jsonb #> '{callback_field}' = '"redialer.io_callback"';
update workspaces set defaults = (defaults::jsonb #- '{user_requested_callback}')::text where defaults::jsonb #> '{user_requested_callback}' = 'false';
update workspaces set defaults = (defaults::jsonb #- '{spoken_numbers}')::text where defaults::jsonb #> '{spoken_numbers}' = 'false';
update workspaces set defaults = (defaults::jsonb #- '{calls_per_second}')::text where defaults::jsonb #> '{calls_per_second}' = '1.0';
update workspaces set defaults = (defaults::jsonb #- '{one_promise_per}')::text where defaults::jsonb #> '{one_promise_per}' = '"workspace"';
update workspaces set defaults = (defaults::jsonb #- '{allowed_countries}')::text where defaults::jsonb #> '{allowed_countries}' = 'null';
update workspaces set defaults = (defaults::jsonb #- '{retry_triggers}')::text where defaults::jsonb #> '{retry_triggers}' = '{}';
update workspaces set defaults = (defaults::jsonb #- '{spoken_hours}')::text where defaults::jsonb #> '{spoken_hours}' = '{}';
update workspaces set defaults = (defaults::jsonb - 'max_attempts')::text
    where defaults::jsonb ->> 'max_attempts' = case (select plan from tenants where tenants.id = workspaces.tenant_id)
        when 'pro' then '5' when 'scale' then '10' else '3' end;
