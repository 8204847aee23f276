//! The settings document of a workspace, as a schema.
//!
//! Its type is in core; a test compares this description with it.

use redialer_core::{
    access::{Role, Scope},
    agent::Channel,
    callback::{HeldFor, RedialReason, State},
    tenant::Plan,
    workspace::Pause,
};
use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};

/// The schema of all settings.
pub(crate) fn defaults() -> RefOr<Schema> {
    read(described(object(settings(true), true), "The settings in force."))
}

/// The schema of a merge patch for the settings.
pub(crate) fn defaults_patch() -> RefOr<Schema> {
    read(described(
        object(settings(false), false),
        "Settings to change; they are merged into the stored ones.",
    ))
}

/// The schema of an agent's overrides; null removes one.
pub(crate) fn overrides() -> RefOr<Schema> {
    read(json!({
        "type": "object",
        "description": "The agent's own values of the workspace's `defaults`; null removes an override.",
        "additionalProperties": true,
    }))
}

/// The schema of the retention of payloads.
pub(crate) fn retention() -> RefOr<Schema> {
    read(described(object(kept(), true), "How long payloads are kept."))
}

/// The schema of a merge patch for the retention.
pub(crate) fn retention_patch() -> RefOr<Schema> {
    read(described(object(kept(), false), "How long payloads are kept; other values are not available yet."))
}

/// The scopes that a key may have.
pub(crate) fn scopes() -> RefOr<Schema> {
    let words = Scope::ALL.map(Scope::as_str);
    read(json!({
        "type": "array",
        "description": "The permissions of the key. Default in a request: all scopes of the creating key except `pii:read`.",
        "minItems": 1,
        "items": {"type": "string", "enum": words},
    }))
}

/// The roles that a member may have.
pub(crate) fn role() -> RefOr<Schema> {
    let what = "`owner`, `admin`: everything. `operator`: callbacks, agents and the do-not-call list. `viewer`: read only, numbers masked.";
    read(word(&Role::ALL.map(Role::as_str), what))
}

/// The states of a callback.
pub(crate) fn state() -> RefOr<Schema> {
    read(word(&State::ALL.map(State::as_str), "The state of the callback."))
}

/// A filter by state.
pub(crate) fn states() -> RefOr<Schema> {
    let words = State::ALL.map(|state| format!("`{}`", state.as_str())).join(", ");
    let what = format!("One state, or several separated by commas: {words}.");
    read(json!({"type": "string", "description": what}))
}

/// Why a callback exists.
pub(crate) fn reason() -> RefOr<Schema> {
    let what =
        "Why the callback exists: a caller's request, a retry after a failed call, or the API (`scheduled`).";
    read(word(&RedialReason::ALL.map(RedialReason::as_str), what))
}

/// Why a callback may be held; null if it is not.
pub(crate) fn held_for() -> RefOr<Schema> {
    let mut words: Vec<Value> = HeldFor::ALL.map(HeldFor::as_str).map(Value::from).into();
    words.push(Value::Null);
    let what = "The condition that a held callback waits for; null if it is not held.";
    read(json!({"type": ["string", "null"], "description": what, "enum": words}))
}

/// The possible sources of a callee's time zone.
pub(crate) fn timezone_source() -> RefOr<Schema> {
    read(word(&["request", "number", "agent", "workspace"], "The source of the time zone."))
}

/// The orders of a list of callbacks.
pub(crate) fn order() -> RefOr<Schema> {
    let mut order = word(&["created", "scheduled"], "Newest first, by creation or by due time.");
    order["default"] = json!("created");
    read(order)
}

/// The kinds of entries in the activity feed.
pub(crate) fn activity() -> RefOr<Schema> {
    let what = "`webhook`: a received webhook. `dial`: a request to place a call. `refusal`: rejected webhooks, a dial that was delayed, held or dropped, or a workspace that was paused or resumed.";
    read(word(&["webhook", "dial", "refusal"], what))
}

/// The channels of an agent.
pub(crate) fn channel() -> RefOr<Schema> {
    read(word(&[Channel::Voice, Channel::Chat].map(Channel::as_str), "Phone calls, or text messages."))
}

/// The plans.
pub(crate) fn plan() -> RefOr<Schema> {
    read(word(&Plan::ALL.map(Plan::as_str), "The tenant's plan."))
}

/// Why a workspace is paused.
pub(crate) fn pause() -> RefOr<Schema> {
    read(word(&Pause::ALL.map(Pause::as_str), "The provider refused the API key, or requires payment first."))
}

/// The verdicts of a gate.
pub(crate) fn verdict() -> RefOr<Schema> {
    let what =
        "`pass`: goes on. `wait`: is dialed later. `hold`: waits for a person or a condition. `stop`: ends.";
    read(word(&["pass", "wait", "hold", "stop"], what))
}

/// The metadata of a callback.
pub(crate) fn metadata() -> RefOr<Schema> {
    read(json!({
        "type": ["object", "null"],
        "description": "A JSON object that the provider gets as metadata, at most 16 KiB. The metadata of a call is shown only with `pii:read`.",
        "additionalProperties": true,
    }))
}

/// The fields that a privileged action changed.
pub(crate) fn changes() -> RefOr<Schema> {
    read(json!({
        "type": ["object", "null"],
        "description": "The changed fields with their values before or after the change; null if the action has none.",
        "additionalProperties": true,
    }))
}

/// The body of a captured webhook.
pub(crate) fn payload() -> RefOr<Schema> {
    read(json!({
        "type": ["object", "null"],
        "description": "The webhook's body as received; null if it cannot be decrypted.",
        "additionalProperties": true,
    }))
}

/// The supported providers.
pub(crate) fn provider() -> RefOr<Schema> {
    read(word(&redialer_providers::NAMES, "The provider of the account."))
}

/// A text that is one of these words.
fn word(words: &[&str], what: &str) -> Value {
    json!({"type": "string", "description": what, "enum": words})
}

fn described(mut schema: Value, what: &str) -> Value {
    schema["description"] = what.into();
    schema
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
        "level": word(&["default", "minimal"], "Which payloads are kept."),
        "days": {"type": "integer", "const": -1, "description": "-1: kept until the workspace is deleted."},
    })
}

/// The settings; in responses all of them are required, at every level.
fn settings(whole: bool) -> Value {
    let mut all = settings_of_calls(whole);
    if let (Some(all), Value::Object(others)) = (all.as_object_mut(), settings_of_requests(whole)) {
        all.extend(others);
    }
    all
}

fn part(properties: Value, whole: bool, what: &str) -> Value {
    described(object(properties, whole), what)
}

fn minutes(what: &str) -> Value {
    json!({"type": "integer", "minimum": 0, "maximum": 527_040, "description": what})
}

fn clock(what: &str) -> Value {
    json!({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$", "description": what})
}

fn flag(what: &str) -> Value {
    json!({"type": "boolean", "description": what})
}

/// The settings of when, where and how often calls are made.
fn settings_of_calls(whole: bool) -> Value {
    let trigger = |(name, after, default): (&str, &str, u32)| {
        let enabled = flag("Whether such a call is retried. Default: true.");
        let wait = minutes(&format!("Minutes until the retry. Default: {default}."));
        let trigger = part(json!({"enabled": enabled, "wait_minutes": wait}), whole, after);
        (name.to_owned(), trigger)
    };
    let triggers: Map<String, Value> = TRIGGERS.into_iter().map(trigger).collect();
    json!({
        "timezone": {
            "type": "string",
            "description": "IANA time zone, used if neither the number nor the agent determines it. Default: `UTC`.",
        },
        "quiet_hours": {
            "type": ["object", "null"],
            "description": "Hours in which only explicitly requested times are dialed, in the callee's time zone; null: none. Default: 21:00 to 09:00.",
            "properties": {"start": clock("The start, `HH:MM`."), "end": clock("The end, `HH:MM`.")},
            "required": ["start", "end"],
            "additionalProperties": false,
        },
        "quiet_days": {
            "type": "array",
            "description": "Days on which only explicitly requested times are dialed. Default: none.",
            "items": {"type": "string", "enum": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]},
            "maxItems": 6,
        },
        "max_attempts": {
            "type": "integer", "minimum": 1,
            "description": "The most dials in one chain. Default and maximum: the plan's.",
        },
        "retry_triggers": part(Value::Object(triggers), whole, "Which calls are retried, and when."),
        "missed_after_minutes": minutes(
            "A callback that is later than this many minutes because of an outage is missed. Default: 120.",
        ),
        "missed_action": word(
            &["expire", "replan"],
            "A missed callback ends, or is dialed at the next occurrence of the same local time. Default: `expire`.",
        ),
        "calls_per_second": {
            "type": "number", "minimum": 0.01, "maximum": 10_000,
            "description": "Call starts per second. Default: 1.",
        },
        "one_promise_per": word(
            &["workspace", "agent"],
            "Whether a person has one waiting callback in the workspace, or one with each agent. Default: `workspace`.",
        ),
        "allowed_countries": {
            "description": "Countries whose numbers are called: ISO 3166 alpha-2 codes, or \"*\" for all. Default: those of the workspace's own numbers.",
            "oneOf": [
                {"type": "string", "const": "*"},
                {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": "^([A-Z]{2}|\\*)$"}},
            ],
        },
    })
}

/// The settings of how callers' requests are understood.
fn settings_of_requests(whole: bool) -> Value {
    let span = |name: &str| {
        let span = json!({
            "from": clock("The start, `HH:MM`."),
            "to": clock("The end, `HH:MM`."),
            "nominal": clock("The time to call, `HH:MM`."),
        });
        (name.to_owned(), part(span, whole, "The hours that the word stands for."))
    };
    let spans: Map<String, Value> = SPANS.into_iter().map(span).collect();
    json!({
        "unclear_time": part(json!({
            "action": word(
                &["delay", "hold", "schedule"],
                "`delay`: call after `wait_minutes`. `hold`: hold until a person sets a time. `schedule`: use the best guess. Default: `delay`.",
            ),
            "wait_minutes": minutes("The delay in minutes. Default: 1440."),
            "min_confidence": {
                "type": "number", "minimum": 0, "maximum": 1,
                "description": "A time that was recognized with less confidence is unclear. Default: 0.5.",
            },
        }), whole, "A request whose time was not recognized, or not with enough confidence."),
        "spoken_hours": part(Value::Object(spans), whole, "Vague words for a time of day, in the callee's time zone."),
        "language": word(&["auto", "en", "es"], "The language of calls. Default: `auto`, the one in which a time is recognized."),
        "callback_field": {
            "type": "string", "minLength": 1, "maxLength": 200,
            "description": "The extraction that requests a callback. Default: `redialer.io_callback`.",
        },
        "user_requested_callback": flag(
            "Whether Retell's own disconnection reason of that name counts as a request. Default: false.",
        ),
        "spoken_numbers": flag(
            "Whether the number in `redialer.io_callback_number` may be dialed when a person asked for a callback. Default: false.",
        ),
    })
}

const TRIGGERS: [(&str, &str, u32); 5] = [
    ("voicemail", "After a call that reached voicemail.", 240),
    ("no_answer", "After a call that was not answered.", 60),
    ("busy", "After a call to a busy line.", 10),
    ("technical_error", "After a call that failed technically.", 30),
    ("conversation_silent", "After a call in which the person said nothing.", 1_440),
];

const SPANS: [&str; 9] =
    ["day", "morning", "lunch", "after_lunch", "afternoon", "end_of_day", "evening", "night", "after_dinner"];

#[cfg(test)]
mod tests {
    use redialer_core::settings::{Retention, WorkspaceSettings};

    use super::*;

    fn check(document: &Value, schema: &Value, at: &str) {
        let (Some(document), Some(properties)) = (document.as_object(), schema["properties"].as_object())
        else {
            return;
        };
        let (had, documented): (Vec<_>, Vec<_>) = (document.keys().collect(), properties.keys().collect());
        let sorted = |mut names: Vec<&String>| {
            names.sort();
            names.into_iter().cloned().collect::<Vec<_>>()
        };
        assert_eq!(sorted(had), sorted(documented), "{at}");
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
