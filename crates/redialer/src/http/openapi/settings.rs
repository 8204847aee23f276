//! The settings document of a workspace, as a schema.
//!
//! Its type is in core; a test compares this description with it.

use redialer_core::{
    access::{Role, Scope},
    callback::{HeldFor, RedialReason, State},
};
use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};

/// The schema of all settings.
pub(crate) fn defaults() -> RefOr<Schema> {
    read(object(settings(true), true))
}

/// The schema of a merge patch for the settings.
pub(crate) fn defaults_patch() -> RefOr<Schema> {
    read(object(settings(false), false))
}

/// The schema of an agent's overrides; null removes one.
pub(crate) fn overrides() -> RefOr<Schema> {
    read(json!({
        "type": "object",
        "description": "Settings of the workspace's `defaults` that this agent has otherwise; null takes one away.",
        "additionalProperties": true,
    }))
}

/// The schema of the retention of payloads.
pub(crate) fn retention() -> RefOr<Schema> {
    read(object(kept(), true))
}

/// The schema of a merge patch for the retention.
pub(crate) fn retention_patch() -> RefOr<Schema> {
    read(object(kept(), false))
}

/// The scopes that a key may have.
pub(crate) fn scopes() -> RefOr<Schema> {
    let words = Scope::ALL.map(Scope::as_str);
    read(json!({"type": "array", "minItems": 1, "items": {"type": "string", "enum": words}}))
}

/// The roles that a member may have.
pub(crate) fn role() -> RefOr<Schema> {
    read(json!({"type": "string", "enum": Role::ALL.map(Role::as_str)}))
}

/// The states of a callback.
pub(crate) fn state() -> RefOr<Schema> {
    read(json!({"type": "string", "enum": State::ALL.map(State::as_str)}))
}

/// Why a callback exists.
pub(crate) fn reason() -> RefOr<Schema> {
    read(json!({"type": "string", "enum": RedialReason::ALL.map(RedialReason::as_str)}))
}

/// Why a callback may be held; null if it is not.
pub(crate) fn held_for() -> RefOr<Schema> {
    let mut words: Vec<Value> = HeldFor::ALL.map(HeldFor::as_str).map(Value::from).into();
    words.push(Value::Null);
    read(json!({"type": ["string", "null"], "enum": words}))
}

/// The possible sources of a callee's time zone.
pub(crate) fn timezone_source() -> RefOr<Schema> {
    read(json!({"type": "string", "enum": ["request", "number", "agent", "workspace"]}))
}

/// The orders of a list of callbacks.
pub(crate) fn order() -> RefOr<Schema> {
    read(json!({"type": "string", "enum": ["created", "scheduled"], "default": "created"}))
}

/// The kinds of entries in the activity feed.
pub(crate) fn activity() -> RefOr<Schema> {
    read(json!({"type": "string", "enum": ["webhook", "dial", "refusal"]}))
}

/// Any JSON object, or none.
pub(crate) fn anything() -> RefOr<Schema> {
    read(json!({"type": ["object", "null"], "additionalProperties": true}))
}

/// The supported providers.
pub(crate) fn provider() -> RefOr<Schema> {
    read(json!({"type": "string", "enum": redialer_providers::NAMES}))
}

fn read(schema: Value) -> RefOr<Schema> {
    serde_json::from_value(schema).unwrap_or_default()
}

fn object(properties: Value, whole: bool) -> Value {
    let names: Vec<String> = properties.as_object().map(|p| p.keys().cloned().collect()).unwrap_or_default();
    let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
    if whole {
        schema["required"] = json!(names);
    }
    schema
}

fn kept() -> Value {
    json!({
        "level": {"type": "string", "enum": ["default", "minimal"]},
        "days": {"type": "integer", "const": -1, "description": "-1: kept until the workspace is deleted."},
    })
}

/// The settings; in responses all of them are required, at every level.
fn settings(whole: bool) -> Value {
    let minutes = json!({"type": "integer", "minimum": 0, "maximum": 527_040});
    let part = |properties: Value| object(properties, whole);
    let trigger = || part(json!({"enabled": {"type": "boolean"}, "wait_minutes": minutes}));
    let clock = json!({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"});
    let span = || part(json!({"from": clock, "to": clock, "nominal": clock}));
    let mut spans = Map::new();
    for name in SPANS {
        spans.insert(name.to_owned(), span());
    }
    let triggers = ["voicemail", "no_answer", "busy", "technical_error", "conversation_silent"];
    let triggers: Map<String, Value> = triggers.into_iter().map(|t| (t.to_owned(), trigger())).collect();
    json!({
        "timezone": {"type": "string", "description": "An IANA name."},
        "quiet_hours": {
            "type": ["object", "null"],
            "properties": {"start": clock, "end": clock},
            "required": ["start", "end"],
            "additionalProperties": false,
        },
        "quiet_days": {
            "type": "array",
            "items": {"type": "string", "enum": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]},
            "maxItems": 6,
        },
        "max_attempts": {"type": "integer", "minimum": 1},
        "retry_triggers": part(Value::Object(triggers)),
        "unclear_time": part(json!({
            "action": {"type": "string", "enum": ["delay", "hold", "schedule"]},
            "wait_minutes": minutes,
            "min_confidence": {"type": "number", "minimum": 0, "maximum": 1},
        })),
        "spoken_hours": part(Value::Object(spans)),
        "language": {"type": "string", "enum": ["auto", "en", "es"]},
        "missed_after_minutes": minutes,
        "missed_action": {"type": "string", "enum": ["expire", "replan"]},
        "callback_field": {"type": "string", "minLength": 1, "maxLength": 200},
        "user_requested_callback": {"type": "boolean"},
        "spoken_numbers": {"type": "boolean"},
        "calls_per_second": {"type": "number", "minimum": 0.01, "maximum": 10_000},
        "one_promise_per": {
            "type": "string", "enum": ["workspace", "agent"],
            "description": "Whether a person has one waiting callback in the workspace, or one with each agent.",
        },
        "allowed_countries": {
            "description": "Countries whose numbers are called: ISO 3166 alpha-2 codes, or \"*\" for all. Until it is set, those of the workspace's own numbers.",
            "oneOf": [
                {"type": "string", "const": "*"},
                {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": "^([A-Z]{2}|\\*)$"}},
            ],
        },
    })
}

const SPANS: [&str; 9] =
    ["day", "morning", "lunch", "after_lunch", "afternoon", "end_of_day", "evening", "night", "after_dinner"];

#[cfg(test)]
mod tests {
    use redialer_core::settings::{Retention, WorkspaceSettings};
    use redialer_core::tenant::Plan;

    use super::*;

    fn check(document: &Value, schema: &Value, at: &str) {
        let (Some(document), Some(properties)) = (document.as_object(), schema["properties"].as_object())
        else {
            return;
        };
        let (had, told): (Vec<_>, Vec<_>) = (document.keys().collect(), properties.keys().collect());
        let sorted = |mut names: Vec<&String>| {
            names.sort();
            names.into_iter().cloned().collect::<Vec<_>>()
        };
        assert_eq!(sorted(had), sorted(told), "{at}");
        for (name, value) in document {
            check(value, &properties[name], &format!("{at}.{name}"));
        }
    }

    #[test]
    fn the_description_has_the_settings_there_are() {
        let document = WorkspaceSettings::of_plan(&Plan::Unlimited.limits()).to_value();
        check(&document, &object(settings(true), true), "defaults");
        check(&serde_json::to_value(Retention::default()).expect("JSON"), &object(kept(), true), "retention");
        assert!(matches!(defaults(), RefOr::T(_)) && matches!(overrides(), RefOr::T(_)));
    }
}
