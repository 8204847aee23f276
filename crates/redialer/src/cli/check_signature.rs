//! `redialer check-signature`: checks webhook signatures at a given time. JSON lines in and out.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use redialer_core::{Timestamp, workspace::ProviderName};
use redialer_providers::{
    CheckedAt, NAMES, Webhook, WebhookAuth,
    http::{Clients, PLACE_DEADLINE},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{cli::answer_lines, config::Config};

#[derive(Deserialize)]
struct Case {
    id: Value,
    provider: Option<String>,
    secret: String,
    now_ms: i64,
    body_b64: String,
    header: Option<String>,
}

/// The line format, for the end of the help page.
pub(crate) const FORMAT: &str = r#"Each line of standard input is a JSON object:
  id        returned unchanged in the result
  provider  the provider's name; optional while only one provider is supported
  secret    the key that the provider signs with
  now_ms    the time of the check, in milliseconds since 1970-01-01 UTC
  body_b64  the webhook's body in base64
  header    the value of the signature header, `v=<milliseconds>,d=<hex>`; null if the webhook had none
Each result is one line {"id","verdict":"accept" or "reject","reason"}."#;

pub(crate) fn run() -> anyhow::Result<()> {
    answer_lines(|line| judge(line).to_string())
}

fn judge(line: &str) -> Value {
    let case: Case = match serde_json::from_str(line) {
        Ok(case) => case,
        Err(error) => {
            let id = serde_json::from_str::<Value>(line)
                .ok()
                .and_then(|v| v.get("id").cloned())
                .unwrap_or_default();
            return json!({"id": id, "verdict": "reject", "reason": format!("the line cannot be read: {error}")});
        }
    };
    let verdict = checked(&case);
    match verdict {
        Ok(()) => json!({"id": case.id, "verdict": "accept", "reason": "the signature is valid"}),
        Err(reason) => json!({"id": case.id, "verdict": "reject", "reason": reason}),
    }
}

fn checked(case: &Case) -> Result<(), String> {
    let name = case.provider.as_deref().unwrap_or(NAMES[0]);
    // The check sends nothing to the provider.
    let clients = Clients::new(PLACE_DEADLINE).map_err(|error| error.to_string())?;
    let providers = Config::default().providers(Arc::new(clients));
    let unknown = || format!("provider `{name}` is not known");
    let provider = providers.get(&ProviderName::new(name), false).map_err(|_| unknown())?;
    let body = STANDARD.decode(&case.body_b64).map_err(|_| "body_b64 is not base64".to_owned())?;
    let mut headers = HeaderMap::new();
    if let (Some(name), Some(text)) = (provider.signature_header(), &case.header) {
        let text = HeaderValue::from_bytes(text.as_bytes());
        headers.insert(name, text.map_err(|_| "header is not a valid header value".to_owned())?);
    }
    let now =
        Timestamp::from_millisecond(case.now_ms).map_err(|_| "now_ms is not a valid time".to_owned())?;
    let at = CheckedAt { now, tolerance_ms: Config::default().signature_tolerance_ms() };
    let auth = WebhookAuth::of_key(&case.secret);
    provider
        .verify(&auth, &Webhook { headers: &headers, body: &body }, &at)
        .map_err(|error| error.to_string())
}
