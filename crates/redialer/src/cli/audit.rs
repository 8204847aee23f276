//! `redialer audit verify`: verifies every tenant's audit log.

use clap::Subcommand;
use redialer_store::{AuditCheck, KeyError, StoreError};

use crate::{
    cli::{database, say},
    config::Config,
};

#[derive(Subcommand)]
pub(crate) enum Audit {
    /// Verify every tenant's audit log. Fails if an event was changed or removed, also at the end of the log
    Verify,
}

impl Audit {
    pub(crate) async fn run(self, config: &Config) -> anyhow::Result<()> {
        let Self::Verify = self;
        let store = database::open(config).await?;
        let mut broken = 0;
        for tenant in store.tenants().await? {
            let result = match store.for_tenant(tenant.id).check_audit().await {
                Ok(AuditCheck::Intact(n)) => format!("intact, {n} events"),
                Ok(AuditCheck::Broken(seq)) => {
                    format!("BROKEN: event {seq} is missing or was changed")
                }
                Ok(AuditCheck::Truncated(seq)) => format!("BROKEN: the events after {seq} were cut off"),
                Err(StoreError::Key(KeyError::Destroyed)) => {
                    "not verified, because the tenant's key was destroyed".to_owned()
                }
                Err(error) => return Err(error.into()),
            };
            broken += usize::from(result.starts_with("BROKEN"));
            say(&format!("{} {}: {result}", tenant.id, tenant.name));
        }
        store.close().await;
        anyhow::ensure!(broken == 0, "{broken} audit logs failed verification");
        Ok(())
    }
}
