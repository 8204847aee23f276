//! The account's API keys: the permissions and the state of each.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::Response,
};
use redialer_core::permission::Permission;
use serde::{Deserialize, Serialize};

use super::{routes::error, world::World};

/// One API key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Key {
    /// Its permissions, by their names in [`Permission::as_str`]; `None`: all.
    #[serde(with = "names")]
    pub permissions: Option<Vec<Permission>>,
    /// Its state.
    pub state: KeyState,
}

/// The state of a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// Requests with it are accepted.
    #[default]
    Good,
    /// Every request with it gets a 401.
    Revoked,
    /// Every request with it gets a 402.
    Unpaid,
}

/// Looks up a key among the script's keys and the account's own key.
pub(super) fn find(keys: &BTreeMap<String, Key>, own: &str, key: &str) -> Option<Key> {
    keys.get(key).cloned().or_else(|| (key == own).then(Key::default))
}

/// Rejects requests without a valid key or without the required permission.
pub(super) async fn authorized(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    let key = headers
        .get(header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.strip_prefix("Bearer "))
        .and_then(|key| {
            let script = world.script();
            find(&script.keys, &script.api_key, key)
        });
    let required = required_permission(request.uri().path());
    match key {
        Some(Key { state: KeyState::Unpaid, .. }) => {
            error(StatusCode::PAYMENT_REQUIRED, "Trial has ended, please add payment method.")
        }
        Some(Key { state: KeyState::Good, permissions })
            if permissions.as_ref().is_none_or(|granted| granted.contains(&required)) =>
        {
            next.run(request).await
        }
        Some(Key { state: KeyState::Good, .. }) => error(StatusCode::FORBIDDEN, "Forbidden"),
        Some(Key { state: KeyState::Revoked, .. }) | None => {
            error(StatusCode::UNAUTHORIZED, "API key is missing or invalid.")
        }
    }
}

/// The permission that a request to this path requires.
fn required_permission(path: &str) -> Permission {
    let name = path.trim_start_matches("/v2").trim_start_matches("/v3").trim_start_matches('/');
    match name.split('/').next().unwrap_or_default() {
        "list-agents" | "get-agent" | "get-chat-agent" => Permission::Agents,
        "create-phone-call" | "create-sms-chat" => Permission::Calls,
        "list-phone-numbers" => Permission::Numbers,
        "get-concurrency" => Permission::Concurrency,
        "get-api-key-info" => Permission::KeyInfo,
        _ => Permission::History,
    }
}

/// Serializes permissions by name.
mod names {
    use redialer_core::permission::Permission;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

    type Granted = Option<Vec<Permission>>;

    pub(super) fn serialize<S: Serializer>(granted: &Granted, serializer: S) -> Result<S::Ok, S::Error> {
        let names = granted.as_ref().map(|all| all.iter().map(|p| p.as_str()).collect::<Vec<_>>());
        names.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Granted, D::Error> {
        let names = Option::<Vec<String>>::deserialize(deserializer)?;
        names
            .map(|names| names.iter().map(|name| name.parse().map_err(D::Error::custom)).collect())
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_round_trips_through_json() {
        let text = r#"{"permissions":["Agent: Read","Call: Edit"],"state":"revoked"}"#;
        let key: Key = serde_json::from_str(text).expect("a key");
        let want =
            Key { permissions: Some(vec![Permission::Agents, Permission::Calls]), state: KeyState::Revoked };
        assert_eq!(key, want);
        assert_eq!(serde_json::to_string(&key).expect("JSON"), text);
        assert_eq!(serde_json::from_str::<Key>("{}").expect("a key"), Key::default());
        let unknown =
            serde_json::from_str::<Key>(r#"{"permissions":["Agents"]}"#).expect_err("no permission");
        assert!(unknown.to_string().contains("Agent: Read"), "{unknown}");
    }

    #[test]
    fn every_path_requires_one_permission() {
        for (path, want) in [
            ("/v2/list-agents", Permission::Agents),
            ("/get-agent/agent_1", Permission::Agents),
            ("/v2/create-phone-call", Permission::Calls),
            ("/create-sms-chat", Permission::Calls),
            ("/v2/get-call/call_1", Permission::History),
            ("/v3/list-chats", Permission::History),
            ("/v2/list-phone-numbers", Permission::Numbers),
            ("/get-concurrency", Permission::Concurrency),
            ("/get-api-key-info", Permission::KeyInfo),
        ] {
            assert_eq!(required_permission(path), want, "{path}");
        }
    }
}
