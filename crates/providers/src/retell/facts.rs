//! Facts about a call or chat, read from an event.
//!
//! Invariant: valid JSON never fails to be read: unusable values count as absent, and an event of an unknown kind
//! yields nothing. Stored variables and metadata are bounded.

use std::collections::BTreeMap;

use jiff::Timestamp;
use redialer_core::{
    agent::{Channel, Version},
    call::{CallFacts, CallPhase, CallbackRequest, Direction, Tags},
    outcome::{Outcome, OutcomeClass},
    time::from_ms,
};

use super::{conversation, extractions, reasons::class_of};
use crate::json::{Names, Object, each_member, has_nul};

/// The members of an event that are read.
pub(super) const EVENT: Names = &["event", "call", "chat"];
/// The members of a call that are read.
pub(super) const CALL: Names = &[
    "call_id",
    "call_type",
    "agent_id",
    "agent_version",
    "agent_tag",
    "direction",
    "from_number",
    "to_number",
    "start_timestamp",
    "end_timestamp",
    "disconnection_reason",
    "metadata",
    "retell_llm_dynamic_variables",
    "transcript",
    "transcript_object",
    "call_analysis",
];
/// The members of a chat that are read.
pub(super) const CHAT: Names = &[
    "chat_id",
    "chat_type",
    "chat_status",
    "agent_id",
    "version",
    "agent_tag",
    "start_timestamp",
    "end_timestamp",
    "metadata",
    "retell_llm_dynamic_variables",
    "transcript",
    "message_with_tool_calls",
    "chat_analysis",
];

/// The provider's ids have about thirty characters; a longer value is not an id.
pub(super) const MAX_ID_BYTES: usize = 128;
const MAX_REASON_BYTES: usize = 64;
const MAX_NUMBER_BYTES: usize = 200;
/// Maximum number of dynamic variables, and of the bytes of their names and values together; the rest is dropped.
const MAX_VARIABLES: usize = 1_000;
const MAX_VARIABLES_BYTES: usize = 256 << 10;
/// The provider keeps no more metadata than this.
pub(super) const MAX_METADATA_BYTES: usize = 50_000;

/// Parses an event's root, and the call or chat in it in the same pass.
pub(super) fn event(text: &str) -> Option<Object<'_>> {
    Object::nested(text, EVENT, &[("call", CALL), ("chat", CHAT)])
}

/// The phase of its call or chat that an event of that name reports.
pub(super) fn phase_of(event: &str) -> CallPhase {
    match event {
        "call_started" | "chat_started" => CallPhase::Started,
        "call_ended" | "chat_ended" => CallPhase::Ended,
        "call_analyzed" | "chat_analyzed" => CallPhase::Analyzed,
        _ => CallPhase::Other,
    }
}

/// Facts about a call or chat, read from an event; `callback_field` names the extraction that requests a callback.
pub(super) fn facts(root: &Object<'_>, callback_field: &str) -> Option<CallFacts> {
    let event = root.text("event")?;
    let moment = phase_of(&event);
    match event.split_once('_')?.0 {
        "call" => root.with_object("call", CALL, |object| call(object, moment, callback_field))?,
        "chat" => root.with_object("chat", CHAT, |object| chat(object, moment, callback_field))?,
        _ => None,
    }
}

fn call(call: &Object<'_>, moment: CallPhase, callback_field: &str) -> Option<CallFacts> {
    let by_phone = call.text("call_type").as_deref() != Some("web_call");
    let direction = match call.text("direction").as_deref() {
        Some("inbound") if by_phone => Some(Direction::Inbound),
        Some("outbound") if by_phone => Some(Direction::Outbound),
        _ => None,
    };
    let number = |key| call.short_text(key, MAX_NUMBER_BYTES);
    let (person_number, agent_number) = match direction {
        Some(Direction::Inbound) => (number("from_number"), number("to_number")),
        Some(Direction::Outbound) => (number("to_number"), number("from_number")),
        None => (None, None),
    };
    let analysis = call.object("call_analysis", &["in_voicemail", "custom_analysis_data"]);
    let analysis = analysis.unwrap_or_default();
    let reason = call.short_text("disconnection_reason", MAX_REASON_BYTES).or_else(|| {
        // An analyzed call that has no reason yet never gets one.
        (moment == CallPhase::Analyzed).then(|| "unknown".to_owned())
    });
    Some(CallFacts {
        call_id: call.short_text("call_id", MAX_ID_BYTES)?,
        moment,
        channel: Channel::Voice,
        direction,
        person_number,
        agent_number,
        agent: call.short_text("agent_id", MAX_ID_BYTES),
        version: version(call, "agent_version"),
        started_at: time(call, "start_timestamp"),
        ended_at: time(call, "end_timestamp"),
        outcome: reason.map(|reason| Outcome { class: class_of(&reason), reason }),
        in_voicemail: analysis.get("in_voicemail").unwrap_or(false),
        request: callback_request(&analysis, callback_field),
        variables: variables(call),
        metadata: metadata(call),
        tags: tags(call),
    })
}

fn chat(chat: &Object<'_>, moment: CallPhase, callback_field: &str) -> Option<CallFacts> {
    let sms = chat.text("chat_type").as_deref() != Some("api_chat");
    // The chat object has no numbers: they come from the metadata or variables that the user set.
    let beside = |key: &str| {
        let of = |name: &str| {
            let object = chat.object(name, &["redialer_user_number", "redialer_agent_number"]);
            object.and_then(|o| o.short_text(key, MAX_NUMBER_BYTES))
        };
        of("metadata").or_else(|| of("retell_llm_dynamic_variables")).filter(|_| sms)
    };
    let over = matches!(moment, CallPhase::Ended | CallPhase::Analyzed);
    let analysis = chat.object("chat_analysis", &["custom_analysis_data"]).unwrap_or_default();
    Some(CallFacts {
        call_id: chat.short_text("chat_id", MAX_ID_BYTES)?,
        moment,
        channel: Channel::Chat,
        direction: None,
        person_number: beside("redialer_user_number"),
        agent_number: beside("redialer_agent_number"),
        agent: chat.short_text("agent_id", MAX_ID_BYTES),
        version: version(chat, "version"),
        started_at: time(chat, "start_timestamp"),
        // A chat is closed an hour or more after its last message; "in twenty minutes" counts from that message.
        ended_at: conversation::last_written_at(chat).or_else(|| time(chat, "end_timestamp")),
        // Chats have no disconnection reasons: one that is over counts as a conversation.
        outcome: over.then(|| Outcome { reason: "chat_ended".to_owned(), class: OutcomeClass::Conversation }),
        in_voicemail: false,
        request: callback_request(&analysis, callback_field),
        variables: variables(chat),
        metadata: metadata(chat),
        tags: tags(chat),
    })
}

/// A timestamp in milliseconds since 1970.
pub(super) fn time(object: &Object<'_>, key: &str) -> Option<Timestamp> {
    object
        .get::<i64>(key)
        .or_else(|| object.get::<f64>(key).map(|f| f as i64))
        .filter(|ms| *ms > 0)
        .and_then(from_ms)
}

/// The tag that the call was made with, else its version, else the published version.
fn version(object: &Object<'_>, number: &str) -> Version {
    let is_tag = |tag: &String| {
        let mut bytes = tag.bytes();
        bytes.next().is_some_and(|b| b.is_ascii_lowercase())
            && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
    };
    match (object.short_text("agent_tag", 20).filter(is_tag), object.get::<i64>(number)) {
        (Some(tag), _) => Version::Tag(tag),
        (None, Some(n)) if n >= 0 => Version::Number(n),
        _ => Version::LatestPublished,
    }
}

fn callback_request(analysis: &Object<'_>, callback_field: &str) -> CallbackRequest {
    extractions::callback_request(analysis.raw("custom_analysis_data"), callback_field)
}

/// Retell has only text values; numbers and booleans that occur anyway are kept as text.
fn variables(object: &Object<'_>) -> BTreeMap<String, String> {
    let text = |raw: &str| match raw.as_bytes().first()? {
        b'"' => serde_json::from_str(raw).ok().filter(|text: &String| !text.contains('\0')),
        b't' | b'f' | b'-' | b'0'..=b'9' => Some(raw.to_owned()),
        _ => None,
    };
    let (mut kept, mut seen, mut room) = (BTreeMap::new(), 0, MAX_VARIABLES_BYTES);
    each_member(object.raw("retell_llm_dynamic_variables").unwrap_or_default(), |name, raw| {
        seen += 1;
        // The length as written, which is never shorter than the decoded value.
        let Some(left) = room.checked_sub(name.len() + raw.len()) else { return false };
        room = left;
        if let Some(value) = text(raw).filter(|_| !name.contains('\0')) {
            kept.insert(name.to_owned(), value);
        }
        seen < MAX_VARIABLES
    });
    kept
}

fn metadata(object: &Object<'_>) -> Option<String> {
    let is_kept = |raw: &&str| raw.starts_with('{') && raw.len() <= MAX_METADATA_BYTES && !has_nul(raw);
    object.raw("metadata").filter(is_kept).map(str::to_owned)
}

/// Our own ids are read even from metadata that is otherwise dropped, because our own dials must be recognized.
fn tags(object: &Object<'_>) -> Option<Tags> {
    let metadata = object.object("metadata", &["redialer_dispatch", "redialer_id"])?;
    let id = |key| metadata.short_text(key, MAX_ID_BYTES);
    Some(Tags { dispatch: id("redialer_dispatch")?, callback: id("redialer_id") })
}
