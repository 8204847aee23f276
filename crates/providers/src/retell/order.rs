//! The request that places a call or opens a chat: its path and its exact bytes.
//!
//! Invariant: the bytes are a function only of the order. They are stored with the intent, and a repeat under the
//! idempotency key sends the same bytes.

use std::collections::BTreeMap;

use redialer_core::{
    agent::{Channel, Version},
    callback::RedialReason,
    order::CallOrder,
};
use serde::Serialize;
use serde_json::value::RawValue;

use super::facts::MAX_METADATA_BYTES;
use crate::json::each_member;

/// The API path for orders of this channel.
pub const fn path(channel: Channel) -> &'static str {
    match channel {
        Channel::Voice => "/v2/create-phone-call",
        Channel::Chat => "/create-sms-chat",
    }
}

/// Variables that Retell sets itself; replaying those of an old call would mislead the agent.
const RESERVED: [&str; 15] = [
    "current_agent_state",
    "previous_agent_state",
    "current_node",
    "previous_node",
    "session_type",
    "session_duration",
    "session_duration_ms",
    "direction",
    "user_number",
    "agent_number",
    "call_id",
    "call_type",
    "chat_id",
    "do_not_call",
    "current_time",
];
const RESERVED_PREFIXES: [&str; 3] = ["current_time_", "current_hour", "current_calendar"];

#[derive(Serialize)]
struct Body<'a> {
    from_number: &'a str,
    to_number: &'a str,
    override_agent_id: &'a str,
    override_agent_version: VersionText<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<String>,
    honor_internal_dnc: bool,
    metadata: BTreeMap<String, Box<RawValue>>,
    retell_llm_dynamic_variables: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum VersionText<'a> {
    Text(&'a str),
    Number(i64),
}

/// The body of the request: JSON with keys in a fixed order.
pub fn body(order: &CallOrder) -> Vec<u8> {
    let body = Body {
        from_number: order.from.e164(),
        to_number: order.to.e164(),
        override_agent_id: &order.agent,
        override_agent_version: match &order.version {
            Version::Tag(tag) => VersionText::Text(tag),
            Version::Number(n) => VersionText::Number(*n),
            // The provider's default with an override agent may be an unpublished draft.
            Version::LatestPublished => VersionText::Text("latest_published"),
        },
        idempotency_key: (order.channel == Channel::Voice).then(|| order.dispatch.to_string()),
        honor_internal_dnc: true,
        metadata: metadata(order),
        retell_llm_dynamic_variables: variables(order),
    };
    serde_json::to_vec(&body).unwrap_or_else(|_| unreachable!("strings and numbers always serialize"))
}

fn metadata(order: &CallOrder) -> BTreeMap<String, Box<RawValue>> {
    let original = order.metadata.as_deref().filter(|m| m.len() < MAX_METADATA_BYTES - 1_000);
    let mut all: BTreeMap<String, Box<RawValue>> = BTreeMap::new();
    each_member(original.unwrap_or_default(), |key, raw| {
        if let (false, Ok(raw)) = (is_ours(key), RawValue::from_string(raw.to_owned())) {
            all.insert(key.to_owned(), raw);
        }
        true
    });
    for (key, value) in [
        ("redialer_id", order.callback.to_string()),
        ("redialer_attempt", order.attempt.to_string()),
        ("redialer_chain", order.chain.to_string()),
        ("redialer_dispatch", order.dispatch.to_string()),
    ] {
        let text = serde_json::value::to_raw_value(&value);
        all.extend(text.ok().map(|raw| (key.to_owned(), raw)));
    }
    all
}

/// `redialer_user_number` and `redialer_agent_number` belong to the user: chats need them again.
fn is_ours(key: &str) -> bool {
    matches!(key, "redialer_id" | "redialer_attempt" | "redialer_chain" | "redialer_dispatch")
}

fn variables(order: &CallOrder) -> BTreeMap<String, String> {
    let reserved =
        |key: &str| RESERVED.contains(&key) || RESERVED_PREFIXES.iter().any(|p| key.starts_with(p));
    let mut all: BTreeMap<String, String> = order
        .variables
        .iter()
        .filter(|(key, _)| !reserved(key))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    // For a callback that was scheduled through the API, only the request gives the reason.
    let requested =
        ["redialer.io_redial_reason", "redialer_redial_reason"].map(|name| order.variables.get(name));
    let requested =
        requested.into_iter().flatten().next().filter(|_| order.reason == RedialReason::Scheduled);
    let reason = requested.cloned().unwrap_or_else(|| order.reason.redial_word().to_owned());
    // An unset variable is spoken with its braces, so each of these is sent on every redial.
    for (name, value) in [
        ("redial_reason", reason),
        ("attempt", order.attempt.to_string()),
        ("is_final_attempt", order.is_final.to_string()),
    ] {
        // Both spellings, because it is not documented whether a dot in a name works in every place.
        all.insert(format!("redialer.io_{name}"), value.clone());
        all.insert(format!("redialer_{name}"), value);
    }
    all
}
