//! The database, scoped to one tenant.
//!
//! Invariant (I16): on Postgres every statement here runs as the role `redialer_tenant`, under row-level security: a
//! statement without a tenant condition still finds only that tenant's rows. On SQLite, and where that role could not
//! be created, only the statements' own conditions isolate tenants.

use redialer_core::{Id, id};
use sqlx::AssertSqlSafe;

use crate::{
    StoreError,
    db::{Args, Db, ReaderPool, Row, Tx},
};

pub(crate) struct TenantConn<'s> {
    db: &'s Db,
    tenant: Id<id::Tenant>,
    reader_pool: ReaderPool,
}

/// Scopes the transaction to the tenant. The only variable part of the text is a UUID.
fn prelude(tenant: Id<id::Tenant>) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!("set local role redialer_tenant; set local redialer.tenant = '{}'", tenant.uuid()))
}

impl<'s> TenantConn<'s> {
    pub(crate) const fn new(db: &'s Db, tenant: Id<id::Tenant>, reader_pool: ReaderPool) -> Self {
        Self { db, tenant, reader_pool }
    }

    pub(crate) async fn begin(&self) -> Result<Tx, StoreError> {
        let mut tx = self.db.begin().await?;
        if self.db.guards_rows() {
            tx.run(prelude(self.tenant)).await?;
        }
        Ok(tx)
    }

    pub(crate) async fn read(&self, sql: &'static str, args: Args) -> Result<Vec<Row>, StoreError> {
        let reading = match self.db.guards_rows() {
            true => self.db.begin_reading(self.reader_pool).await?,
            false => None,
        };
        let Some(mut tx) = reading else { return self.db.read_on(self.reader_pool, sql, args).await };
        tx.run(prelude(self.tenant)).await?;
        let rows = tx.fetch(sql, args).await?;
        tx.commit().await?;
        Ok(rows)
    }

    pub(crate) async fn read_one(&self, sql: &'static str, args: Args) -> Result<Option<Row>, StoreError> {
        Ok(self.read(sql, args).await?.into_iter().next())
    }

    pub(crate) async fn write(&self, sql: &'static str, args: Args) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let changed = tx.execute(sql, args).await?;
        tx.commit().await?;
        Ok(changed)
    }
}
