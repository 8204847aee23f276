//! `redialer check-signature`: the webhook check alone, at a given moment. JSON lines in and out.

use std::io::{BufRead as _, Write as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use redialer_providers::retell::signature::{TOLERANCE_MS, verify};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Case {
    id: Value,
    provider: Option<String>,
    secret: String,
    now_ms: i64,
    body_b64: String,
    header: Option<String>,
}

/// The format of the lines, for the end of the help page.
pub(super) const FORMAT: &str = r#"Each line of standard input is a JSON object:
  id        echoed in the answer
  provider  `retell`; may be left out
  secret    the key that the provider signs with
  now_ms    the time of the check, in milliseconds since 1970
  body_b64  the webhook's body in base64
  header    the signature header, as `v=<milliseconds>,d=<hex>`; null if there was none
Each answer is a line {"id","verdict":"accept" or "reject","reason"}."#;

pub(super) fn run() -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if !line.trim().is_empty() {
            writeln!(out, "{}", judge(&line))?;
        }
    }
    Ok(())
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
    let verdict = match (case.provider.as_deref().unwrap_or("retell"), STANDARD.decode(&case.body_b64)) {
        ("retell", Ok(body)) => {
            let header = case.header.as_deref().map(str::as_bytes);
            verify(header, &body, [case.secret.as_bytes()], case.now_ms, TOLERANCE_MS)
                .map_err(|e| e.to_string())
        }
        ("retell", Err(_)) => Err("body_b64 is not base64".to_owned()),
        (other, _) => Err(format!("provider `{other}` is not known")),
    };
    match verdict {
        Ok(()) => json!({"id": case.id, "verdict": "accept", "reason": "the signature holds"}),
        Err(reason) => json!({"id": case.id, "verdict": "reject", "reason": reason}),
    }
}
