//! The book of privileged acts: one row an act, in the act's own transaction.
//!
//! Invariants (I26): rows of a tenant are numbered without gaps; each is sealed together with the row before it, under a key
//! that only the key service can open; the last row's number and seal stand in a row of their own. A row that is
//! changed or left out therefore shows, and so does an end cut off without that row ([`TenantStore::check_audit`]).
//! What does not show: a book put back, with its head, to what it was earlier, as by an older backup. Against that only a
//! number of acts kept elsewhere helps.
//! Absent on purpose: any way to change or delete a row, and personal data in one.

use std::{fmt::Display, sync::Arc};

use redialer_core::{Id, Timestamp, id};
use serde_json::Value;

use crate::{
    Actor, StoreError, TenantKey, TenantStore, at, bucket_of,
    db::{Row, Tx, args},
};

/// An act to be written down.
pub struct AuditEvent {
    /// What was done: a noun, a dot, a verb.
    pub action: &'static str,
    /// The workspace it was done in.
    pub workspace: Option<Id<id::Workspace>>,
    /// The id of what it was done to.
    pub target: String,
    /// What changed, as it was; nothing personal.
    pub before: Option<Value>,
    /// What changed, as it is.
    pub after: Option<Value>,
}

impl AuditEvent {
    /// That was done to `target`, of which nothing more is to be said.
    pub fn new(action: &'static str, workspace: Option<Id<id::Workspace>>, target: impl Display) -> Self {
        Self { action, workspace, target: target.to_string(), before: None, after: None }
    }

    /// What changed was that.
    pub fn before(mut self, value: Value) -> Self {
        self.before = Some(value);
        self
    }

    /// What changed is that now.
    pub fn after(mut self, value: Value) -> Self {
        self.after = Some(value);
        self
    }
}

/// A row of the book.
#[derive(Debug, Clone)]
pub struct AuditRow {
    /// Its number, from 1.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// In which workspace.
    pub workspace: Option<Id<id::Workspace>>,
    /// To what.
    pub target: String,
    /// What changed, as it was: JSON.
    pub before: Option<String>,
    /// What changed, as it is: JSON.
    pub after: Option<String>,
    /// The request it came with.
    pub request: Option<String>,
    /// Where that came from.
    pub address: Option<String>,
    /// Its seal.
    pub mac: Vec<u8>,
}

/// Which acts to list; `None` is any.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// In that workspace.
    pub workspace: Option<Id<id::Workspace>>,
    /// Of that actor.
    pub actor: Option<String>,
    /// Of that kind.
    pub action: Option<String>,
    /// To that thing.
    pub target: Option<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

/// What the book looks like to whoever checks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// All of it is there: so many rows.
    Whole(i64),
    /// This row is missing, or is not what was written.
    Broken(i64),
    /// Rows were cut off behind this one.
    Cut(i64),
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

    /// Everything that is sealed, each with its length before it; absent is not empty.
    fn seal(&self, key: &TenantKey, last: &[u8]) -> [u8; 32] {
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

/// What writes a tenant's book in somebody's name.
pub(crate) struct AuditWriter {
    tenant: Id<id::Tenant>,
    actor: Arc<Actor>,
    key: TenantKey,
}

impl AuditWriter {
    pub(crate) const fn new(tenant: Id<id::Tenant>, actor: Arc<Actor>, key: TenantKey) -> Self {
        Self { tenant, actor, key }
    }

    /// Writes an act down with what it does.
    pub(crate) async fn write(&self, tx: &mut Tx, act: AuditEvent, now: Timestamp) -> Result<(), StoreError> {
        // Whoever has this row writes next.
        const NEXT: &str = "insert into audit_heads (bucket, tenant_id, seq, mac) values ($1, $2, 1, $3)
             on conflict (bucket, tenant_id) do update set seq = audit_heads.seq + 1 returning seq, mac";
        const PUT: &str = "insert into audit
                 (bucket, tenant_id, seq, at, actor, action, workspace_id, target, before, after, request_id, address, mac)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
        const HEAD: &str = "update audit_heads set mac = $3 where bucket = $1 and tenant_id = $2";
        let bucket = bucket_of(self.tenant);
        let head = tx.fetch_one(NEXT, args![bucket, self.tenant, Vec::<u8>::new()]).await?;
        let head = head.ok_or(StoreError::Corrupt("head of the book"))?;
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
        row.mac = row.seal(&self.key, &head.get::<Vec<u8>>("mac")?).to_vec();
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

/// Rows read at once when a book is checked.
const AT_ONCE: i64 = 500;

impl TenantStore {
    /// What writes acts down in this store's name.
    pub(crate) async fn audit_writer(&self) -> Result<AuditWriter, StoreError> {
        let key = self.tenant_key().await?;
        Ok(AuditWriter::new(self.tenant, Arc::clone(&self.actor), key))
    }

    /// Writes down an act that changes nothing else, such as showing what is personal.
    pub async fn note(&self, act: AuditEvent, now: Timestamp) -> Result<(), StoreError> {
        let audit_writer = self.audit_writer().await?;
        let mut tx = self.db().begin().await?;
        audit_writer.write(&mut tx, act, now).await?;
        tx.commit().await
    }

    /// A page of the book, newest first, from before that number.
    pub async fn acts(
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

    /// Walks the whole book.
    pub async fn check_audit(&self) -> Result<Checked, StoreError> {
        const ROWS: &str =
            columns!("where bucket = $1 and tenant_id = $2 and seq > $3 order by seq limit $4");
        const HEAD: &str = "select seq, mac from audit_heads where bucket = $1 and tenant_id = $2";
        let (bucket, key) = (bucket_of(self.tenant), self.tenant_key().await?);
        let head = self.db().read_one(HEAD, args![bucket, self.tenant]).await?;
        let Some(head) = head else { return Ok(Checked::Whole(0)) };
        let (end, end_mac): (i64, Vec<u8>) = (head.get("seq")?, head.get("mac")?);
        let (mut seq, mut last) = (0, Vec::new());
        while seq < end {
            let rows = self.db().read(ROWS, args![bucket, self.tenant, seq, AT_ONCE]).await?;
            if rows.is_empty() {
                return Ok(Checked::Cut(seq));
            }
            for row in rows.iter().map(AuditRow::from_row) {
                let row = row?;
                seq += 1;
                if row.seq != seq || row.seal(&key, &last).as_slice() != row.mac {
                    return Ok(Checked::Broken(seq));
                }
                if seq == end && row.mac != end_mac {
                    return Ok(Checked::Broken(seq));
                }
                last = row.mac;
            }
        }
        Ok(Checked::Whole(seq))
    }
}
