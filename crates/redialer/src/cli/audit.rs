//! `redialer audit verify`: verifies every tenant's audit log.

use clap::Subcommand;
use redialer_store::{Checked, KeyError, StoreError};

use crate::{
    cli::{database, say},
    config::Config,
};

#[derive(Subcommand)]
pub(crate) enum Audit {
    /// Verify every tenant's audit log; fails if an entry was changed, removed or cut off
    Verify,
}

impl Audit {
    pub(crate) async fn run(self, config: &Config) -> anyhow::Result<()> {
        let Self::Verify = self;
        let store = database::open(config).await?;
        let mut broken = 0;
        for tenant in store.tenants().await? {
            let result = match store.for_tenant(tenant.id).check_audit().await {
                Ok(Checked::Whole(n)) => format!("whole, {n} acts"),
                Ok(Checked::Broken(seq)) => {
                    format!("BROKEN: act {seq} is missing or not what was written")
                }
                Ok(Checked::Cut(seq)) => format!("BROKEN: acts behind {seq} were cut off"),
                Err(StoreError::Key(KeyError::Destroyed)) => "closed: its key was destroyed".to_owned(),
                Err(error) => return Err(error.into()),
            };
            broken += usize::from(result.starts_with("BROKEN"));
            say(&format!("{} {}: {result}", tenant.id, tenant.name));
        }
        store.close().await;
        anyhow::ensure!(broken == 0, "{broken} books are not what was written");
        Ok(())
    }
}
