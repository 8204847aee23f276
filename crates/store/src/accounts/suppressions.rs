//! The do-not-call list: a tenant's suppressed numbers, found by keyed index.
//!
//! Invariant: a number has one entry; adding it again keeps the first. The sealed value is the number, followed by a
//! line break and the note if there is one.

use redialer_core::{Id, Phone, Timestamp, id, rng::Rng};
use serde_json::json;

use crate::{
    StoreError, TenantKey, TenantStore, at, bucket_of,
    callbacks::transitions,
    db::{Row, Tx, args},
    log::audit::AuditEvent,
};

pub(crate) const SEALED: &str = "suppressions.sealed";

/// An entry of the do-not-call list.
pub struct SuppressionRow {
    /// Its id.
    pub id: Id<id::Suppression>,
    /// What added it, as `api` or `call`.
    pub source: String,
    /// When it was created.
    pub created_at: Timestamp,
    sealed: Vec<u8>,
}

impl SuppressionRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: Id::from_uuid(row.get("id")?),
            source: row.get("source")?,
            created_at: at(row.get("created_at")?),
            sealed: row.get("sealed")?,
        })
    }

    /// Opens the number, E.164, and the note.
    pub fn open(&self, key: &TenantKey) -> Result<(Phone, Option<String>), StoreError> {
        let plain = key.open(SEALED, self.id.uuid(), &self.sealed)?;
        let text = std::str::from_utf8(&plain).map_err(|_| StoreError::Corrupt("number"))?;
        let (number, note) = match text.split_once('\n') {
            Some((number, note)) => (number, Some(note.to_owned())),
            None => (text, None),
        };
        Ok((Phone::from_stored(number).ok_or(StoreError::Corrupt("number"))?, note))
    }
}

macro_rules! columns {
    ($tail:literal) => {
        concat!("select id, source, sealed, created_at from suppressions ", $tail)
    };
}

const OF_NUMBER: &str = columns!("where bucket = $1 and tenant_id = $2 and phone_hash = $3");

const IS_LISTED: &str =
    "select 1 as one from suppressions where bucket = $1 and tenant_id = $2 and phone_hash = $3";

impl TenantStore {
    /// A page of the list, newest first.
    pub async fn suppressions(
        &self,
        before: (Timestamp, Id<id::Suppression>),
        limit: i64,
    ) -> Result<Vec<SuppressionRow>, StoreError> {
        const SQL: &str = columns!(
            "where bucket = $1 and tenant_id = $2 and (created_at, id) < ($3, $4)
             order by created_at desc, id desc limit $5"
        );
        self.check_whole_tenant()?;
        let args = args![bucket_of(self.tenant), self.tenant, before.0, before.1, limit];
        self.db().read(SQL, args).await?.iter().map(SuppressionRow::from_row).collect()
    }

    /// The entry of a number, if it is on the list.
    pub async fn suppression_of(
        &self,
        number: &Phone,
        key: &TenantKey,
    ) -> Result<Option<SuppressionRow>, StoreError> {
        self.check_whole_tenant()?;
        let args = args![bucket_of(self.tenant), self.tenant, key.index(number.e164())];
        self.db().read_one(OF_NUMBER, args).await?.as_ref().map(SuppressionRow::from_row).transpose()
    }

    /// Adds numbers to the list, all or none, and ends their waiting callbacks (I7). Returns the entries in the order
    /// of the numbers; a number that is already listed keeps its entry.
    pub async fn suppress(
        &self,
        numbers: &[Phone],
        note: Option<&str>,
        key: &TenantKey,
        now: Timestamp,
        rng: &Rng,
    ) -> Result<Vec<SuppressionRow>, StoreError> {
        let (audit_writer, bucket) = (self.audit_writer().await?, bucket_of(self.tenant));
        let mut tx = self.db().begin().await?;
        let mut rows = Vec::with_capacity(numbers.len());
        let mut added = Vec::new();
        for number in numbers {
            let entry = Entry { number: number.e164(), note, source: "api" };
            let is_new = suppress(&mut tx, bucket, key, entry, now, rng).await?;
            let row = tx.fetch_one(OF_NUMBER, args![bucket, self.tenant, key.index(number.e164())]).await?;
            let row = SuppressionRow::from_row(&row.ok_or(StoreError::Corrupt("suppression"))?)?;
            if is_new {
                added.push((row.id, number.masked()));
            }
            rows.push(row);
        }
        // The audit log is locked after the callbacks, in the same order as when a callback is canceled.
        for (id, number) in added {
            let act = AuditEvent::new("suppression.create", None, id).after(json!({"number": number}));
            audit_writer.write(&mut tx, act, now).await?;
        }
        tx.commit().await?;
        Ok(rows)
    }

    /// Whether a number is on the list.
    pub async fn is_suppressed(&self, phone_hash: &[u8; 16]) -> Result<bool, StoreError> {
        let args = args![bucket_of(self.tenant), self.tenant, *phone_hash];
        Ok(self.db().read_one(IS_LISTED, args).await?.is_some())
    }

    /// Removes a number from the list.
    pub async fn unsuppress(&self, id: Id<id::Suppression>, now: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "delete from suppressions where bucket = $1 and tenant_id = $2 and id = $3";
        self.check_whole_tenant()?;
        let audit_writer = self.audit_writer().await?;
        let mut tx = self.db().begin().await?;
        if tx.execute(SQL, args![bucket_of(self.tenant), self.tenant, id]).await? == 0 {
            return Err(StoreError::NotFound);
        }
        let act = AuditEvent::new("suppression.delete", None, id);
        audit_writer.write(&mut tx, act, now).await?;
        tx.commit().await
    }
}

/// A new entry.
pub(crate) struct Entry<'a> {
    pub(crate) number: &'a str,
    pub(crate) note: Option<&'a str>,
    pub(crate) source: &'a str,
}

/// Adds a number to the list and ends its waiting callbacks; returns whether it was not listed before. A dial whose
/// intent is written is not stopped.
pub(crate) async fn suppress(
    tx: &mut Tx,
    bucket: i64,
    key: &TenantKey,
    entry: Entry<'_>,
    now: Timestamp,
    rng: &Rng,
) -> Result<bool, StoreError> {
    const PUT: &str =
        "insert into suppressions (bucket, tenant_id, phone_hash, id, source, sealed, created_at)
         values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing";
    let id: Id<id::Suppression> = Id::new(now, rng);
    let Entry { number, note, source } = entry;
    let plain = note.map_or_else(|| number.to_owned(), |note| format!("{number}\n{note}"));
    let sealed = key.seal(SEALED, id.uuid(), plain.as_bytes(), rng);
    let ix = key.index(number);
    let added = tx.execute(PUT, args![bucket, key.tenant(), ix, id, source, sealed, now]).await?;
    transitions::suppress(tx, (bucket, key.tenant()), ix, now).await?;
    Ok(added > 0)
}
