//! Proof that the configured key-encryption key is the one that the data was sealed with.

use redialer_core::rng::Rng;
use redialer_kek::KeyError;

use crate::{Store, StoreError, db::args};

pub(crate) const KEK_PROOF: &str = "select value from meta where name = 'kek_check'";
/// The context that the value is bound to.
pub(crate) const KEK_CHECK: &[u8] = b"kek_check";

impl Store {
    /// Checks that the key opens the data; `false` if nothing is sealed yet. Writes nothing.
    pub async fn key_opens(&self) -> Result<bool, StoreError> {
        match self.db.read_one(KEK_PROOF, args![]).await? {
            Some(row) => self.opens_proof(&row.get::<Vec<u8>>("value")?).await.map(|()| true),
            None => Ok(false),
        }
    }

    /// Unwraps a stored value, which is created on first use, to prove that the key is available and the right one.
    pub async fn prove_key(&self, rng: &Rng) -> Result<(), StoreError> {
        const PUT: &str =
            "insert into meta (name, value) values ('kek_check', $1) on conflict (name) do nothing";
        const PROOF: &[u8] = b"redialer";
        let wrapped = match self.db.read_one(KEK_PROOF, args![]).await? {
            Some(row) => row.get::<Vec<u8>>("value")?,
            None => {
                let wrapped = self.kek.wrap(PROOF, KEK_CHECK, rng).await?;
                self.db.write(PUT, args![wrapped]).await?;
                self.db
                    .read_one(KEK_PROOF, args![])
                    .await?
                    .ok_or(StoreError::Corrupt("key check"))?
                    .get("value")?
            }
        };
        self.opens_proof(&wrapped).await
    }

    async fn opens_proof(&self, wrapped: &[u8]) -> Result<(), StoreError> {
        match self.kek.unwrap(wrapped, KEK_CHECK).await {
            Ok(_) => Ok(()),
            Err(KeyError::Sealed) => Err(KeyError::Wrong.into()),
            Err(error) => Err(error.into()),
        }
    }
}
