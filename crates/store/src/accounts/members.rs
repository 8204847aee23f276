//! Members of a tenant: their sign-in and their role.
//!
//! Invariants: a tenant always has an owner, even if two are removed concurrently. One person may be a member of
//! several tenants, none of which can see the others. Passwords are stored only as Argon2id hashes.

use redialer_core::{Id, Timestamp, access::Role, id};
use serde_json::json;

use crate::{
    StoreError, TenantStore, at,
    db::{Row, Tx, args},
    log::audit::AuditEvent,
};

/// A member.
#[derive(Debug, Clone)]
pub struct MemberRow {
    /// Its id.
    pub id: Id<id::Member>,
    /// The email address for sign-in, in lower case.
    pub email: String,
    /// Its role.
    pub role: Role,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A member to create.
pub struct NewMember<'a> {
    /// Its id.
    pub id: Id<id::Member>,
    /// The email address for sign-in, in lower case.
    pub email: &'a str,
    /// The Argon2id hash of its password.
    pub password_hash: &'a str,
    /// Its role.
    pub role: Role,
}

impl MemberRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: Id::from_uuid(row.get("id")?),
            email: row.get("email")?,
            role: row.get::<String>("role")?.parse().map_err(|_| StoreError::Corrupt("role"))?,
            created_at: at(row.get("created_at")?),
        })
    }
}

macro_rules! columns {
    ($tail:literal) => {
        concat!("select id, email, role, created_at from members ", $tail)
    };
}

/// Whether the tenant has another owner. Locks the tenant's row, so that concurrent checks wait for this transaction.
async fn has_other_owner(
    tx: &mut Tx,
    tenant: Id<id::Tenant>,
    than: Id<id::Member>,
) -> Result<bool, StoreError> {
    const LOCK: &str = "update tenants set name = name where id = $1";
    const OTHER: &str =
        "select 1 as one from members where tenant_id = $1 and id <> $2 and role = 'owner' limit 1";
    tx.execute(LOCK, args![tenant]).await?;
    Ok(tx.fetch_one(OTHER, args![tenant, than]).await?.is_some())
}

impl TenantStore {
    /// A page of members, newest first.
    pub async fn members(
        &self,
        before: (Timestamp, Id<id::Member>),
        limit: i64,
    ) -> Result<Vec<MemberRow>, StoreError> {
        const SQL: &str = columns!(
            "where tenant_id = $1 and (created_at, id) < ($2, $3) order by created_at desc, id desc limit $4"
        );
        self.check_whole_tenant()?;
        let rows = self.db().read(SQL, args![self.tenant, before.0, before.1, limit]).await?;
        rows.iter().map(MemberRow::from_row).collect()
    }

    /// One member.
    pub async fn member(&self, id: Id<id::Member>) -> Result<MemberRow, StoreError> {
        const SQL: &str = columns!("where tenant_id = $1 and id = $2");
        self.check_whole_tenant()?;
        let row = self.db().read_one(SQL, args![self.tenant, id]).await?.ok_or(StoreError::NotFound)?;
        MemberRow::from_row(&row)
    }

    /// Creates a member.
    pub async fn add_member(&self, new: &NewMember<'_>, now: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "insert into members (id, tenant_id, email, password_hash, role, created_at)
             values ($1, $2, $3, $4, $5, $6)";
        self.check_whole_tenant()?;
        let values = args![new.id, self.tenant, new.email, new.password_hash, new.role.as_str(), now];
        let act = AuditEvent::new("member.add", None, new.id).after(json!({"role": new.role.as_str()}));
        let audit_writer = self.audit_writer().await?;
        let mut tx = self.db().begin().await?;
        tx.execute(SQL, values).await.map_err(|e| match e {
            StoreError::Duplicate => StoreError::EmailTaken,
            other => other,
        })?;
        audit_writer.write(&mut tx, act, now).await?;
        tx.commit().await
    }

    /// Changes a member's role.
    pub async fn change_role(
        &self,
        member: &MemberRow,
        role: Role,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "update members set role = $3 where tenant_id = $1 and id = $2 and role = $4";
        self.check_whole_tenant()?;
        let audit_writer = self.audit_writer().await?;
        let mut tx = self.db().begin().await?;
        if !has_other_owner(&mut tx, self.tenant, member.id).await? && role != Role::Owner {
            return Err(StoreError::LastOwner);
        }
        let args = args![self.tenant, member.id, role.as_str(), member.role.as_str()];
        if tx.execute(SQL, args).await? == 0 {
            return Err(StoreError::Changed);
        }
        let act = AuditEvent::new("member.change", None, member.id)
            .before(json!({"role": member.role.as_str()}))
            .after(json!({"role": role.as_str()}));
        audit_writer.write(&mut tx, act, now).await?;
        tx.commit().await
    }

    /// Removes a member.
    pub async fn remove_member(&self, member: &MemberRow, now: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "delete from members where tenant_id = $1 and id = $2 and role = $3";
        self.check_whole_tenant()?;
        let audit_writer = self.audit_writer().await?;
        let mut tx = self.db().begin().await?;
        if !has_other_owner(&mut tx, self.tenant, member.id).await? {
            return Err(StoreError::LastOwner);
        }
        if tx.execute(SQL, args![self.tenant, member.id, member.role.as_str()]).await? == 0 {
            return Err(StoreError::Changed);
        }
        let act =
            AuditEvent::new("member.remove", None, member.id).before(json!({"role": member.role.as_str()}));
        audit_writer.write(&mut tx, act, now).await?;
        tx.commit().await
    }
}
