//! The audit log: one row per privileged action, in the action's own transaction.
//!
//! Invariants (I26): the rows of a tenant are numbered without gaps. The MAC of a row covers the row and the previous
//! row's MAC, under the tenant's key, which only the key-encryption key can unwrap. A head row holds the number and the
//! MAC of the last row. A changed or missing row is therefore detected, and so is a truncated tail if the head row is
//! intact ([`TenantStore::check_audit`]). If the log and its head row are rolled back together, for example by an older
//! backup, only the lower number of events shows it; record that number outside the database.
//! Absent on purpose: any way to change or delete a row, and personal data in a row.

use std::{fmt::Display, sync::Arc};

use redialer_core::{Id, Timestamp, id};
use serde_json::Value;

use crate::{
    Actor, StoreError, TenantKey, TenantStore, at, bucket_of,
    db::{Row, Tx, args},
};

/// An audit event to write.
pub struct AuditEvent {
    /// The action: a noun, a dot, a verb.
    pub action: &'static str,
    /// The workspace in which it happened.
    pub workspace: Option<Id<id::Workspace>>,
    /// The id of the changed resource.
    pub target: String,
    /// The changed fields before the change; no personal data.
    pub before: Option<Value>,
    /// The changed fields after the change.
    pub after: Option<Value>,
}

impl AuditEvent {
    /// An event about `target`, without details.
    pub fn new(action: &'static str, workspace: Option<Id<id::Workspace>>, target: impl Display) -> Self {
        Self { action, workspace, target: target.to_string(), before: None, after: None }
    }

    /// Sets the changed fields before the change.
    pub fn before(mut self, value: Value) -> Self {
        self.before = Some(value);
        self
    }

    /// Sets the changed fields after the change.
    pub fn after(mut self, value: Value) -> Self {
        self.after = Some(value);
        self
    }
}

/// A row of the audit log.
#[derive(Debug, Clone)]
pub struct AuditRow {
    /// Its number, from 1.
    pub seq: i64,
    /// When it happened.
    pub at: Timestamp,
    /// The actor.
    pub actor: String,
    /// The action.
    pub action: String,
    /// The workspace in which it happened.
    pub workspace: Option<Id<id::Workspace>>,
    /// The id of the changed resource.
    pub target: String,
    /// The changed fields before the change, as JSON.
    pub before: Option<String>,
    /// The changed fields after the change, as JSON.
    pub after: Option<String>,
    /// The id of the request.
    pub request: Option<String>,
    /// The client address of the request.
    pub address: Option<String>,
    /// Its MAC.
    pub mac: Vec<u8>,
}

/// Filters of the audit log; `None` matches any value.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// In this workspace.
    pub workspace: Option<Id<id::Workspace>>,
    /// By this actor.
    pub actor: Option<String>,
    /// With this action.
    pub action: Option<String>,
    /// On this resource.
    pub target: Option<String>,
    /// At or after this time.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
}

/// The result of checking an audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditCheck {
    /// The log is complete, with this number of rows.
    Intact(i64),
    /// This row is missing or was changed.
    Broken(i64),
    /// Rows after this one were cut off.
    Truncated(i64),
}

macro_rules! columns {
    ($tail:literal) => {
        concat!(
            "select seq, at, actor, action, workspace_id, target, before, after, request_id, address, mac from audit ",
            $tail
        )
    };
}

impl AuditRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            seq: row.get("seq")?,
            at: at(row.get("at")?),
            actor: row.get("actor")?,
            action: row.get("action")?,
            workspace: row.get::<Option<uuid::Uuid>>("workspace_id")?.map(Id::from_uuid),
            target: row.get("target")?,
            before: row.get("before")?,
            after: row.get("after")?,
            request: row.get("request_id")?,
            address: row.get("address")?,
            mac: row.get("mac")?,
        })
    }

    /// The MAC over all fields. Each field is prefixed with its length; an absent field differs from an empty one.
    fn mac_over(&self, key: &TenantKey, last: &[u8]) -> [u8; 32] {
        let mut text = Vec::with_capacity(512);
        let mut put = |part: Option<&[u8]>| match part {
            Some(part) => {
                text.extend_from_slice(&(part.len() as u64 + 1).to_be_bytes());
                text.extend_from_slice(part);
            }
            None => text.extend_from_slice(&[0; 8]),
        };
        put(Some(last));
        put(Some(&self.seq.to_be_bytes()));
        put(Some(&self.at.as_millisecond().to_be_bytes()));
        put(self.workspace.as_ref().map(|w| w.uuid().into_bytes()).as_ref().map(<[u8; 16]>::as_slice));
        for part in [Some(&self.actor), Some(&self.action), Some(&self.target)] {
            put(part.map(String::as_bytes));
        }
        for part in [&self.before, &self.after, &self.request, &self.address] {
            put(part.as_deref().map(str::as_bytes));
        }
        key.mac("audit", &text)
    }
}

/// Writes a tenant's audit log on behalf of an actor.
pub(crate) struct AuditWriter {
    tenant: Id<id::Tenant>,
    actor: Arc<Actor>,
    key: TenantKey,
}

impl AuditWriter {
    pub(crate) const fn new(tenant: Id<id::Tenant>, actor: Arc<Actor>, key: TenantKey) -> Self {
        Self { tenant, actor, key }
    }

    /// Writes an event in the transaction of its change.
    pub(crate) async fn write(&self, tx: &mut Tx, act: AuditEvent, now: Timestamp) -> Result<(), StoreError> {
        // Updating the head row serializes concurrent writers.
        const NEXT: &str = "insert into audit_heads (bucket, tenant_id, seq, mac) values ($1, $2, 1, $3)
             on conflict (bucket, tenant_id) do update set seq = audit_heads.seq + 1 returning seq, mac";
        const PUT: &str = "insert into audit
                 (bucket, tenant_id, seq, at, actor, action, workspace_id, target, before, after, request_id, address, mac)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
        const HEAD: &str = "update audit_heads set mac = $3 where bucket = $1 and tenant_id = $2";
        let bucket = bucket_of(self.tenant);
        let head = tx.fetch_one(NEXT, args![bucket, self.tenant, Vec::<u8>::new()]).await?;
        let head = head.ok_or(StoreError::Corrupt("head of the audit log"))?;
        let mut row = AuditRow {
            seq: head.get("seq")?,
            at: at(now.as_millisecond()),
            actor: self.actor.name.clone(),
            action: act.action.to_owned(),
            workspace: act.workspace,
            target: act.target,
            before: act.before.map(|v| v.to_string()),
            after: act.after.map(|v| v.to_string()),
            request: self.actor.request.clone(),
            address: self.actor.address.map(|a| a.to_string()),
            mac: Vec::new(),
        };
        row.mac = row.mac_over(&self.key, &head.get::<Vec<u8>>("mac")?).to_vec();
        let values = args![
            bucket,
            self.tenant,
            row.seq,
            row.at,
            row.actor,
            row.action,
            row.workspace,
            row.target,
            row.before,
            row.after,
            row.request,
            row.address,
            row.mac.clone()
        ];
        tx.execute(PUT, values).await?;
        tx.execute(HEAD, args![bucket, self.tenant, row.mac]).await?;
        Ok(())
    }
}

/// Rows per read when a log is checked.
const AT_ONCE: i64 = 500;

impl TenantStore {
    /// The audit writer for this store's tenant and actor.
    pub(crate) async fn audit_writer(&self) -> Result<AuditWriter, StoreError> {
        let key = self.tenant_key().await?;
        Ok(AuditWriter::new(self.tenant, Arc::clone(&self.actor), key))
    }

    /// Writes an event for an action that changes nothing else, such as showing personal data.
    pub async fn record_audit_event(&self, act: AuditEvent, now: Timestamp) -> Result<(), StoreError> {
        let audit_writer = self.audit_writer().await?;
        let mut tx = self.db().begin().await?;
        audit_writer.write(&mut tx, act, now).await?;
        tx.commit().await
    }

    /// A page of the audit log, newest first, of events numbered below `before`.
    pub async fn audit_events(
        &self,
        filter: &AuditFilter,
        before: i64,
        limit: i64,
    ) -> Result<Vec<AuditRow>, StoreError> {
        const SQL: &str = columns!(
            "where bucket = $1 and tenant_id = $2 and seq < $3
               and ($5 is null or workspace_id = $5) and (cast($6 as text) is null or actor = $6)
               and (cast($7 as text) is null or action = $7) and (cast($8 as text) is null or target = $8)
               and (cast($9 as bigint) is null or at >= $9) and (cast($10 as bigint) is null or at < $10)
             order by seq desc limit $4"
        );
        let args = args![
            bucket_of(self.tenant),
            self.tenant,
            before,
            limit,
            self.narrowed(filter.workspace)?,
            filter.actor.clone(),
            filter.action.clone(),
            filter.target.clone(),
            filter.since,
            filter.until
        ];
        self.db().read(SQL, args).await?.iter().map(AuditRow::from_row).collect()
    }

    /// Checks the whole log.
    pub async fn check_audit(&self) -> Result<AuditCheck, StoreError> {
        const ROWS: &str =
            columns!("where bucket = $1 and tenant_id = $2 and seq > $3 order by seq limit $4");
        const HEAD: &str = "select seq, mac from audit_heads where bucket = $1 and tenant_id = $2";
        let (bucket, key) = (bucket_of(self.tenant), self.tenant_key().await?);
        let head = self.db().read_one(HEAD, args![bucket, self.tenant]).await?;
        let Some(head) = head else { return Ok(AuditCheck::Intact(0)) };
        let (end, end_mac): (i64, Vec<u8>) = (head.get("seq")?, head.get("mac")?);
        let (mut seq, mut last) = (0, Vec::new());
        while seq < end {
            let rows = self.db().read(ROWS, args![bucket, self.tenant, seq, AT_ONCE]).await?;
            if rows.is_empty() {
                return Ok(AuditCheck::Truncated(seq));
            }
            for row in rows.iter().map(AuditRow::from_row) {
                let row = row?;
                seq += 1;
                if row.seq != seq || row.mac_over(&key, &last).as_slice() != row.mac {
                    return Ok(AuditCheck::Broken(seq));
                }
                if seq == end && row.mac != end_mac {
                    return Ok(AuditCheck::Broken(seq));
                }
                last = row.mac;
            }
        }
        Ok(AuditCheck::Intact(seq))
    }
}
