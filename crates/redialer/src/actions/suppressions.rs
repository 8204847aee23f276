//! The do-not-call list.
//!
//! Invariant: the list covers all of the tenant's workspaces, so a workspace key may add numbers but not read or remove them.

use redialer_core::{Id, Phone, Timestamp, id};
use redialer_store::{SuppressionRow, TenantKey};

use crate::actions::{Acting, Refusal};

impl Acting<'_> {
    /// Returns a page of the list, newest first, or the entry of one number.
    pub async fn suppressions(
        &self,
        number: Option<&Phone>,
        key: &TenantKey,
        (before, limit): ((Timestamp, Id<id::Suppression>), i64),
    ) -> Result<Vec<SuppressionRow>, Refusal> {
        self.as_whole_tenant("read the do-not-call list, which applies to all workspaces")?;
        Ok(match number {
            Some(number) => self.store.suppression_of(number, key).await?.into_iter().collect(),
            None => self.store.suppressions(before, limit).await?,
        })
    }

    /// Removes a number from the list.
    pub async fn unsuppress(&self, id: Id<id::Suppression>) -> Result<(), Refusal> {
        self.as_whole_tenant("remove numbers from the do-not-call list, which applies to all workspaces")?;
        Ok(self.store.unsuppress(id, self.app.clock.now()).await?)
    }
}
