//! Members: who can sign in to the tenant, and with which role.
//!
//! Invariants: members belong to the tenant, so only a tenant-wide principal can see them. A principal cannot create,
//! change or remove a member whose role has scopes that the principal lacks.

use argon2::{Argon2, PasswordHasher as _};
use redialer_core::{Id, access::Role, id, rng::Rng};
use redialer_store::{MemberRow, NewMember};

use crate::actions::{Acting, Refusal};

/// Generates a password. Returns it with its Argon2id hash, which is computed on a blocking thread.
pub async fn password(rng: &Rng) -> anyhow::Result<(String, String)> {
    let (password, salt) = (rng.token::<15>(), rng.bytes::<16>());
    let plain = password.clone();
    let hashing = tokio::task::spawn_blocking(move || {
        Argon2::default().hash_password_with_salt(plain.as_bytes(), &salt).map(|hash| hash.to_string())
    });
    let hash = hashing.await?.map_err(|e| anyhow::anyhow!("the password could not be hashed: {e}"))?;
    Ok((password, hash))
}

impl Acting<'_> {
    /// A page of members, newest first.
    pub async fn members(
        &self,
        before: (redialer_core::Timestamp, Id<id::Member>),
        limit: i64,
    ) -> Result<Vec<MemberRow>, Refusal> {
        self.as_whole_tenant("see members")?;
        Ok(self.store.members(before, limit).await?)
    }

    /// Adds a member. Returns its row and the password, which is shown once.
    pub async fn add_member(&self, email: &str, role: Role) -> Result<(MemberRow, String), Refusal> {
        self.as_whole_tenant("add members")?;
        self.covers(role)?;
        let (password, hash) = password(&self.app.rng).await.map_err(|error| {
            tracing::error!(%error, "a password could not be generated");
            Refusal::Unavailable
        })?;
        let now = self.app.clock.now();
        let new = NewMember { id: Id::new(now, &self.app.rng), email, password_hash: &hash, role };
        self.store.add_member(&new, now).await?;
        Ok((self.store.member(new.id).await?, password))
    }

    /// Changes a member's role.
    pub async fn change_role(&self, id: Id<id::Member>, role: Role) -> Result<MemberRow, Refusal> {
        self.as_whole_tenant("change members")?;
        let member = self.store.member(id).await?;
        self.covers(member.role)?;
        self.covers(role)?;
        self.store.change_role(&member, role, self.app.clock.now()).await?;
        Ok(self.store.member(id).await?)
    }

    /// Removes a member.
    pub async fn remove_member(&self, id: Id<id::Member>) -> Result<(), Refusal> {
        self.as_whole_tenant("remove members")?;
        let member = self.store.member(id).await?;
        self.covers(member.role)?;
        Ok(self.store.remove_member(&member, self.app.clock.now()).await?)
    }

    fn covers(&self, role: Role) -> Result<(), Refusal> {
        if self.principal.scopes.covers(role.scopes()) {
            return Ok(());
        }
        let why = format!(
            "This API key lacks scopes of the role `{}`, so it cannot add, change or remove a member with that role.",
            role.as_str()
        );
        Err(Refusal::forbidden("missing_scope", why))
    }
}
