//! A transit engine of Vault or OpenBao: it wraps and unwraps, and never reveals its key.
//!
//! Invariants (I23): TLS, except on loopback. The context is sent as associated data, so that a key wrapped for one
//! tenant does not unwrap as another's. Every failure that is not specific to the wrapped value is reported as
//! [`KeyError::Unavailable`].
//! Required permissions: `docs/vault-policy.hcl`.
//! Absent on purpose: the vendor's client, which keeps keys in plain strings, and any way to rotate the transit key.

mod batch;
mod session;
mod settings;
mod wire;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::{Deserialize, Serialize};

use crate::KeyError;
use batch::Batches;
use redialer_core::Secret;
pub use settings::{BadTransit, Login, SecretId, Settings};
use wire::Client;

/// A key in a transit engine.
pub struct Transit {
    client: Client,
    path: String,
    batches: Batches,
}

/// The request body: a list of values.
#[derive(Serialize)]
struct Batch<T> {
    batch_input: Vec<T>,
}

#[derive(Serialize)]
struct Plain<'a> {
    plaintext: &'a str,
    associated_data: String,
}

#[derive(Serialize)]
struct Cipher<'a> {
    ciphertext: &'a str,
    associated_data: String,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    data: Option<Results<'a>>,
    #[serde(default)]
    errors: Vec<String>,
}

#[derive(Deserialize)]
struct Results<'a> {
    #[serde(borrow)]
    batch_results: Vec<Item<'a>>,
}

#[derive(Deserialize)]
struct Item<'a> {
    plaintext: Option<&'a str>,
    ciphertext: Option<&'a str>,
    error: Option<String>,
}

/// Why a value could not be unwrapped; cloned for every caller that requested it.
#[derive(Debug, Clone)]
enum UnwrapError {
    Sealed,
    Unavailable(String),
}

impl From<UnwrapError> for KeyError {
    fn from(why: UnwrapError) -> Self {
        match why {
            UnwrapError::Sealed => Self::Sealed,
            UnwrapError::Unavailable(why) => Self::Unavailable(why),
        }
    }
}

/// The key version that wrapped a value: the number in `vault:v3:…`; `None` if no transit engine made it.
pub(crate) fn version_of(wrapped: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(wrapped).ok()?;
    text.strip_prefix("vault:v")?.split(':').next()?.parse().ok()
}

impl Transit {
    /// Starts a session with the engine, which need not be reachable yet. The session ends when the handle is dropped.
    pub fn begin(settings: Settings) -> Result<Self, BadTransit> {
        let path = format!("{}/KIND/{}", settings.mount, settings.key);
        let client = Client::new(settings)?;
        let batches = Batches::over(client.clone(), path.replace("KIND", "decrypt"));
        Ok(Self { client, path: path.replace("KIND", "encrypt"), batches })
    }

    pub(crate) async fn wrap(&self, plain: &[u8], context: &[u8]) -> Result<Vec<u8>, KeyError> {
        let plain = Secret::new(BASE64.encode(plain));
        let item = Plain { plaintext: &plain, associated_data: BASE64.encode(context) };
        let body = Secret::new(serde_json::to_vec(&Batch { batch_input: vec![item] }).unwrap_or_default());
        let answer = self.client.send(&self.path, &body).await?;
        let items = items(&answer).map_err(KeyError::Unavailable)?;
        match items.first() {
            Some(Item { ciphertext: Some(text), .. }) => Ok(text.as_bytes().to_vec()),
            Some(Item { error: Some(error), .. }) => Err(KeyError::Unavailable(error.clone())),
            _ => Err(KeyError::Unavailable("the response contains no ciphertext".to_owned())),
        }
    }

    pub(crate) async fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<Secret<Vec<u8>>, KeyError> {
        Ok(self.batches.unwrap(wrapped, context).await?)
    }
}

/// The results in an answer, or its error messages.
fn items(answer: &wire::Response) -> Result<Vec<Item<'_>>, String> {
    let parsed: Answer<'_> = serde_json::from_slice(&answer.body)
        .map_err(|_| format!("HTTP {}: the response body could not be parsed", answer.status))?;
    match parsed.data {
        Some(results) if !results.batch_results.is_empty() => Ok(results.batch_results),
        _ => Err(format!("HTTP {}: {}", answer.status, parsed.errors.join("; "))),
    }
}
