//! Workspaces: a provider account's sealed keys, settings and pauses.

use redialer_core::{
    Id, Secret, Timestamp, id,
    rng::Rng,
    settings::{Retention, WorkspaceSettings},
    tenant::Plans,
    time::{minutes, plus},
    timing::{BACKFILL_EVERY_MINUTES, SYNC_EVERY_MINUTES},
    workspace::{Pause, ProviderName},
};
use serde_json::{Value, json};

use crate::{
    StoreError, TenantKey, TenantStore, at, bucket_of,
    db::{Row, Tx, args},
    log::audit::AuditEvent,
};

/// A workspace to create.
pub struct NewWorkspace<'a> {
    /// Its id.
    pub id: Id<id::Workspace>,
    /// Its provider.
    pub provider: &'a ProviderName,
    /// Its name.
    pub name: &'a str,
    /// The provider's API key.
    pub api_key: &'a str,
    /// How its webhooks are authenticated: a document in the provider's format.
    pub webhook_auth: &'a [u8],
    /// The provider's account that the API key belongs to, else a keyed digest of the key.
    pub account: Option<&'a str>,
    /// The settings that differ from the defaults.
    pub settings: &'a Value,
}

/// A workspace.
#[derive(Clone)]
pub struct WorkspaceRow {
    /// Its id.
    pub id: Id<id::Workspace>,
    /// Its tenant.
    pub tenant: Id<id::Tenant>,
    /// The tenant's bucket.
    pub bucket: i64,
    /// Its provider.
    pub provider: ProviderName,
    /// Its name.
    pub name: String,
    /// The settings in force.
    pub settings: WorkspaceSettings,
    /// The settings that were set; the others are defaults.
    pub set: Value,
    /// How long payloads are kept.
    pub retention: Retention,
    /// Why dialing is paused, and since when.
    pub paused: Option<(Pause, Timestamp)>,
    /// The provider's message about the pause.
    pub pause_message: Option<String>,
    /// The provider's account that the API key belongs to, if the provider names it.
    pub account: Option<String>,
    /// Countries of its own numbers, ISO 3166.
    pub number_countries: Vec<String>,
    /// Permissions that its API key lacks.
    pub missing_permissions: Vec<String>,
    /// Whether it was restored from a backup and has not yet been compared with the provider's records.
    pub is_restoring: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed by a user.
    pub updated_at: Timestamp,
    api_key: Vec<u8>,
    webhook_auth: Vec<u8>,
}

/// The changes of a PATCH; `None` leaves a field unchanged.
#[derive(Default)]
pub struct WorkspaceChange<'a> {
    /// The name.
    pub name: Option<&'a str>,
    /// The API key; a new one ends a pause.
    pub api_key: Option<&'a str>,
    /// How its webhooks are authenticated from now on: a document in the provider's format.
    pub webhook_auth: Option<&'a [u8]>,
    /// The provider's account that the new API key belongs to, if the provider names it.
    pub account: Option<&'a str>,
    /// The settings that differ from the defaults.
    pub settings: Option<&'a Value>,
    /// The retention.
    pub retention: Option<&'a Retention>,
    /// Apply only if `updated_at` has this value.
    pub if_unchanged: Option<Timestamp>,
}

macro_rules! columns {
    ($head:literal, $tail:literal) => {
        concat!(
            $head,
            "id, tenant_id, (select plan from tenants where tenants.id = workspaces.tenant_id) as plan, bucket, provider, name, api_key, webhook_keys, defaults, retention, paused, paused_at,
             pause_message, account, number_countries, missing_permissions,
             restore_generation < (select coalesce(max(generation), 0) from restore_generations) as is_restoring, created_at, updated_at",
            $tail
        )
    };
}

impl WorkspaceRow {
    fn from_row(row: &Row, plans: &Plans) -> Result<Self, StoreError> {
        let set: Value = parsed(&row.get::<String>("defaults")?, "settings document")?;
        let pause = row.get::<Option<String>>("paused")?.and_then(|pause| pause.parse().ok());
        let since = row.get::<Option<i64>>("paused_at")?;
        Ok(Self {
            id: Id::from_uuid(row.get("id")?),
            tenant: Id::from_uuid(row.get("tenant_id")?),
            bucket: row.get("bucket")?,
            provider: ProviderName::new(&row.get::<String>("provider")?),
            name: row.get("name")?,
            settings: in_force(row, plans, &set)?,
            set,
            retention: parsed(&row.get::<String>("retention")?, "retention document")?,
            paused: pause.map(|p| (p, at(since.unwrap_or(0)))),
            pause_message: row.get("pause_message")?,
            account: row.get("account")?,
            number_countries: listed(&row.get::<String>("number_countries")?),
            missing_permissions: listed(&row.get::<String>("missing_permissions")?),
            is_restoring: row.get("is_restoring")?,
            created_at: at(row.get("created_at")?),
            updated_at: at(row.get("updated_at")?),
            api_key: row.get("api_key")?,
            webhook_auth: row.get("webhook_keys")?,
        })
    }

    /// Opens the provider's API key.
    pub fn api_key(&self, key: &TenantKey) -> Result<Secret<String>, StoreError> {
        let plain = key.open(API_KEY, self.id.uuid(), &self.api_key)?;
        Ok(Secret::new(String::from_utf8_lossy(&plain).into_owned()))
    }

    /// Opens the document that says how its webhooks are authenticated.
    pub fn webhook_auth(&self, key: &TenantKey) -> Result<Vec<u8>, StoreError> {
        Ok(key.open(WEBHOOK_AUTH, self.id.uuid(), &self.webhook_auth)?)
    }
}

pub(crate) const API_KEY: &str = "workspaces.api_key";
/// The column dates from when it held only keys. Sealed values are bound to its name, so the name stays.
pub(crate) const WEBHOOK_AUTH: &str = "workspaces.webhook_keys";

/// Splits a stored list at its commas.
pub(crate) fn listed(text: &str) -> Vec<String> {
    text.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn parsed<T: serde::de::DeserializeOwned>(text: &str, what: &'static str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::Corrupt(what))
}

impl TenantStore {
    /// Creates a workspace, if the plan has room for one more.
    pub async fn create_workspace(
        &self,
        new: &NewWorkspace<'_>,
        max: u32,
        key: &TenantKey,
        now: Timestamp,
        rng: &Rng,
    ) -> Result<(), StoreError> {
        // Updating the tenant's row serializes concurrent creations on Postgres.
        const LOCK: &str = "update tenants set name = name where id = $1";
        const COUNT: &str =
            "select count(*) as n from workspaces where tenant_id = $1 and deleted_at is null";
        const PUT: &str = "insert into workspaces
                 (id, bucket, tenant_id, provider, name, api_key, webhook_keys, defaults, retention, created_at, updated_at, restore_generation, backfill_at, sync_at,
                  account)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, (select coalesce(max(generation), 0) from restore_generations), $11, $12, $13)";
        let api_key = key.seal(API_KEY, new.id.uuid(), new.api_key.as_bytes(), rng);
        let webhook_auth = key.seal(WEBHOOK_AUTH, new.id.uuid(), new.webhook_auth, rng);
        let settings = new.settings.to_string();
        let retention = serde_json::to_string(&Retention::default()).unwrap_or_default();
        self.check_whole_tenant()?;
        let act = AuditEvent::new("workspace.create", Some(new.id), new.id)
            .after(json!({"name": new.name, "provider": new.provider.as_str()}));
        let audit_writer = self.audit_writer().await?;
        let mut tx = self.db().begin().await?;
        tx.execute(LOCK, args![self.tenant]).await?;
        let n: i64 = tx.fetch_one(COUNT, args![self.tenant]).await?.ok_or(StoreError::NotFound)?.get("n")?;
        if n >= i64::from(max) {
            return Err(StoreError::PlanLimit);
        }
        self.account_is_free(&mut tx, new.id, new.account).await?;
        let bucket = bucket_of(self.tenant);
        let provider = new.provider.as_str();
        tx.execute(
            PUT,
            args![
                new.id,
                bucket,
                self.tenant,
                provider,
                new.name,
                api_key,
                webhook_auth,
                settings,
                retention,
                now,
                plus(now, minutes(BACKFILL_EVERY_MINUTES)),
                plus(now, minutes(SYNC_EVERY_MINUTES)),
                new.account
            ],
        )
        .await?;
        audit_writer.write(&mut tx, act, now).await?;
        tx.commit().await
    }

    /// Rejects a provider account that another workspace has: both would act on the same calls.
    pub(crate) async fn account_is_free(
        &self,
        tx: &mut Tx,
        workspace: Id<id::Workspace>,
        account: Option<&str>,
    ) -> Result<(), StoreError> {
        const SAME: &str = "select id from workspaces
             where tenant_id = $1 and deleted_at is null and account = $2 and id <> $3 limit 1";
        match tx.fetch_one(SAME, args![self.tenant, account, workspace]).await? {
            Some(_) => Err(StoreError::AlreadyConnected),
            None => Ok(()),
        }
    }

    /// One workspace.
    pub async fn workspace(&self, id: Id<id::Workspace>) -> Result<WorkspaceRow, StoreError> {
        const SQL: &str =
            columns!("select ", " from workspaces where tenant_id = $1 and id = $2 and deleted_at is null");
        self.check_workspace(id)?;
        let row = self.db().read_one(SQL, args![self.tenant, id]).await?.ok_or(StoreError::NotFound)?;
        WorkspaceRow::from_row(&row, &self.store.plans)
    }

    /// A page of workspaces, newest first, before the given position.
    pub async fn workspaces(
        &self,
        before: (Timestamp, Id<id::Workspace>),
        limit: i64,
    ) -> Result<Vec<WorkspaceRow>, StoreError> {
        const SQL: &str = columns!(
            "select ",
            " from workspaces where tenant_id = $1 and deleted_at is null and (created_at, id) < ($2, $3)
              order by created_at desc, id desc limit $4"
        );
        if let Some(own) = self.workspace {
            let own = self.workspace(own).await?;
            return Ok(if (own.created_at, own.id) < before { vec![own] } else { Vec::new() });
        }
        let rows = self.db().read(SQL, args![self.tenant, before.0, before.1, limit]).await?;
        rows.iter().map(|row| WorkspaceRow::from_row(row, &self.store.plans)).collect()
    }

    /// Applies a change.
    pub async fn change_workspace(
        &self,
        id: Id<id::Workspace>,
        change: &WorkspaceChange<'_>,
        key: &TenantKey,
        now: Timestamp,
        rng: &Rng,
    ) -> Result<(), StoreError> {
        const SQL: &str = "update workspaces set
                 name = coalesce($3, name), api_key = coalesce($4, api_key), webhook_keys = coalesce($5, webhook_keys),
                 defaults = coalesce($6, defaults), retention = coalesce($7, retention),
                 updated_at = case when updated_at < $8 then $8 else updated_at + 1 end
             where tenant_id = $1 and id = $2 and deleted_at is null and (cast($9 as bigint) is null or updated_at = $9)";
        const RESUME: &str =
            "update workspaces set paused = null, paused_at = null, probe_at = null, pause_message = null,
                 missing_permissions = '', account = $3 where tenant_id = $1 and id = $2";
        let api_key = change.api_key.map(|k| key.seal(API_KEY, id.uuid(), k.as_bytes(), rng));
        let has_new_key = api_key.is_some();
        let webhook_auth = change.webhook_auth.map(|auth| key.seal(WEBHOOK_AUTH, id.uuid(), auth, rng));
        let has_new_webhook_key = webhook_auth.is_some();
        let settings = change.settings.map(Value::to_string);
        let retention = change.retention.and_then(|r| serde_json::to_string(r).ok());
        self.check_workspace(id)?;
        let audit_writer = self.audit_writer().await?;
        let mut tx = self.db().begin().await?;
        let before = settings_of(&mut tx, self, id).await?;
        let changed = tx
            .execute(
                SQL,
                args![
                    self.tenant,
                    id,
                    change.name,
                    api_key,
                    webhook_auth,
                    settings,
                    retention,
                    now,
                    change.if_unchanged
                ],
            )
            .await?;
        if changed == 0 {
            // The row was read before, so its `updated_at` has changed since.
            return Err(StoreError::Changed);
        }
        if has_new_key {
            self.account_is_free(&mut tx, id, change.account).await?;
            tx.execute(RESUME, args![self.tenant, id, change.account]).await?;
            tx.note_due_now();
        }
        let mut after = settings_of(&mut tx, self, id).await?;
        for (name, replaced) in [("api_key", has_new_key), ("webhook_key", has_new_webhook_key)] {
            if replaced {
                after[name] = json!("replaced");
            }
        }
        let (before, after) = changed_fields(before, after);
        let act = AuditEvent::new("workspace.change", Some(id), id).before(before).after(after);
        audit_writer.write(&mut tx, act, now).await?;
        tx.commit().await
    }
}

/// Resolves the stored settings with the plan in `row`.
fn in_force(row: &Row, plans: &Plans, set: &Value) -> Result<WorkspaceSettings, StoreError> {
    let plan = row.get::<String>("plan")?.parse().map_err(|_| StoreError::Corrupt("plan"))?;
    WorkspaceSettings::resolved(set, plans.limits(plan)).map_err(|_| StoreError::Corrupt("settings document"))
}

/// A workspace's settings as the audit log shows them.
async fn settings_of(tx: &mut Tx, of: &TenantStore, id: Id<id::Workspace>) -> Result<Value, StoreError> {
    const SQL: &str = "select name, (select plan from tenants where tenants.id = workspaces.tenant_id) as plan, defaults, retention
         from workspaces where tenant_id = $1 and id = $2 and deleted_at is null";
    let row = tx.fetch_one(SQL, args![of.tenant, id]).await?.ok_or(StoreError::NotFound)?;
    let set = parsed(&row.get::<String>("defaults")?, "settings document")?;
    Ok(json!({
        "name": row.get::<String>("name")?,
        "defaults": in_force(&row, &of.store.plans, &set)?.to_value(),
        "retention": parsed::<Value>(&row.get::<String>("retention")?, "retention document")?,
    }))
}

/// Reduces two objects to the fields that differ.
pub(crate) fn changed_fields(before: Value, after: Value) -> (Value, Value) {
    let (Value::Object(mut before), Value::Object(mut after)) = (before, after) else {
        return (Value::Null, Value::Null);
    };
    let names: Vec<String> = before.keys().chain(after.keys()).cloned().collect();
    for name in names {
        let (old, new) = (before.remove(&name), after.remove(&name));
        let (old, new) = match (old, new) {
            (Some(old @ Value::Object(_)), Some(new @ Value::Object(_))) if old != new => {
                let (old, new) = changed_fields(old, new);
                (Some(old), Some(new))
            }
            (old, new) if old == new => continue,
            pair => pair,
        };
        before.extend(old.map(|v| (name.clone(), v)));
        after.extend(new.map(|v| (name, v)));
    }
    (Value::Object(before), Value::Object(after))
}

impl TenantStore {
    /// The number of workspaces.
    pub async fn count_workspaces(&self) -> Result<i64, StoreError> {
        const SQL: &str = "select count(*) as n from workspaces where tenant_id = $1 and deleted_at is null";
        if self.workspace.is_some() {
            return Ok(1);
        }
        let row = self.db().read_one(SQL, args![self.tenant]).await?;
        row.ok_or(StoreError::Corrupt("count"))?.get("n")
    }
}
