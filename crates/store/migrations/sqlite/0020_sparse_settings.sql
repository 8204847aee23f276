-- Settings are stored sparse: a workspace's document keeps what differs from the defaults of this version, and every
-- setting that is not in it follows the product's and the plan's default from now on. See docs/decisions/0014.
insert into schema_versions (version, compatible_from) values (20, 17);

update workspaces set defaults = json_remove(defaults, '$.timezone') where defaults -> '$.timezone' = '"UTC"';
update workspaces set defaults = json_remove(defaults, '$.quiet_hours') where defaults -> '$.quiet_hours' = '{"end":"09:00","start":"21:00"}';
update workspaces set defaults = json_remove(defaults, '$.quiet_days') where defaults -> '$.quiet_days' = '[]';
update workspaces set defaults = json_remove(defaults, '$.retry_triggers.voicemail') where defaults -> '$.retry_triggers.voicemail' = '{"enabled":true,"wait_minutes":240}';
update workspaces set defaults = json_remove(defaults, '$.retry_triggers.no_answer') where defaults -> '$.retry_triggers.no_answer' = '{"enabled":true,"wait_minutes":60}';
update workspaces set defaults = json_remove(defaults, '$.retry_triggers.busy') where defaults -> '$.retry_triggers.busy' = '{"enabled":true,"wait_minutes":10}';
update workspaces set defaults = json_remove(defaults, '$.retry_triggers.technical_error') where defaults -> '$.retry_triggers.technical_error' = '{"enabled":true,"wait_minutes":30}';
update workspaces set defaults = json_remove(defaults, '$.retry_triggers.conversation_silent') where defaults -> '$.retry_triggers.conversation_silent' = '{"enabled":true,"wait_minutes":1440}';
update workspaces set defaults = json_remove(defaults, '$.unclear_time') where defaults -> '$.unclear_time' = '{"action":"delay","min_confidence":0.5,"wait_minutes":1440}';
update workspaces set defaults = json_remove(defaults, '$.spoken_hours.day') where defaults -> '$.spoken_hours.day' = '{"from":"08:00","nominal":"10:00","to":"21:00"}';
update workspaces set defaults = json_remove(defaults, '$.spoken_hours.morning') where defaults -> '$.spoken_hours.morning' = '{"from":"08:00","nominal":"09:00","to":"12:00"}';
update workspaces set defaults = json_remove(defaults, '$.spoken_hours.lunch') where defaults -> '$.spoken_hours.lunch' = '{"from":"11:30","nominal":"12:00","to":"13:30"}';
update workspaces set defaults = json_remove(defaults, '$.spoken_hours.after_lunch') where defaults -> '$.spoken_hours.after_lunch' = '{"from":"12:30","nominal":"13:30","to":"15:00"}';
update workspaces set defaults = json_remove(defaults, '$.spoken_hours.afternoon') where defaults -> '$.spoken_hours.afternoon' = '{"from":"12:00","nominal":"14:00","to":"17:00"}';
update workspaces set defaults = json_remove(defaults, '$.spoken_hours.end_of_day') where defaults -> '$.spoken_hours.end_of_day' = '{"from":"16:00","nominal":"17:00","to":"18:00"}';
update workspaces set defaults = json_remove(defaults, '$.spoken_hours.evening') where defaults -> '$.spoken_hours.evening' = '{"from":"17:00","nominal":"18:00","to":"21:00"}';
update workspaces set defaults = json_remove(defaults, '$.spoken_hours.night') where defaults -> '$.spoken_hours.night' = '{"from":"18:00","nominal":"19:00","to":"22:00"}';
update workspaces set defaults = json_remove(defaults, '$.spoken_hours.after_dinner') where defaults -> '$.spoken_hours.after_dinner' = '{"from":"18:30","nominal":"19:00","to":"21:30"}';
update workspaces set defaults = json_remove(defaults, '$.language') where defaults -> '$.language' = '"auto"';
update workspaces set defaults = json_remove(defaults, '$.missed_after_minutes') where defaults -> '$.missed_after_minutes' = '120';
update workspaces set defaults = json_remove(defaults, '$.missed_action') where defaults -> '$.missed_action' = '"expire"';
update workspaces set defaults = json_remove(defaults, '$.callback_field') where defaults -> '$.callback_field' = '"redialer.io_callback"';
update workspaces set defaults = json_remove(defaults, '$.user_requested_callback') where defaults -> '$.user_requested_callback' = 'false';
update workspaces set defaults = json_remove(defaults, '$.spoken_numbers') where defaults -> '$.spoken_numbers' = 'false';
update workspaces set defaults = json_remove(defaults, '$.calls_per_second') where defaults -> '$.calls_per_second' = '1.0';
update workspaces set defaults = json_remove(defaults, '$.one_promise_per') where defaults -> '$.one_promise_per' = '"workspace"';
update workspaces set defaults = json_remove(defaults, '$.allowed_countries') where defaults -> '$.allowed_countries' = 'null';
update workspaces set defaults = json_remove(defaults, '$.retry_triggers') where defaults -> '$.retry_triggers' = '{}';
update workspaces set defaults = json_remove(defaults, '$.spoken_hours') where defaults -> '$.spoken_hours' = '{}';
update workspaces set defaults = json_remove(defaults, '$.max_attempts')
    where defaults -> '$.max_attempts' = case (select plan from tenants where tenants.id = workspaces.tenant_id)
        when 'pro' then '5' when 'scale' then '10' else '3' end;
