//! What Retell sends: verified, then read.
//!
//! Invariants: [`receive`] looks at nothing but bytes until the signature holds (I8). [`read`] never fails on
//! JSON: what it cannot use is absent, and an event it does not know leads to nothing.

use std::{borrow::Cow, collections::BTreeMap};

use jiff::Timestamp;
use redialer_core::{
    agent::{Channel, Version},
    call::{Asked, CallFacts, Direction, Moment, Role, Tags, Turn},
    delivery::{Delivery, Sameness},
    outcome::{Ending, Outcome},
    time::from_ms,
};
use sha2::{Digest as _, Sha256};

use super::{
    reasons::ending_of,
    signature::{self, BadSignature},
};
use crate::json::{Object, is_json};

/// Why a webhook is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// 401.
    #[error(transparent)]
    Signature(#[from] BadSignature),
    /// 400: signed, but not JSON in UTF-8.
    #[error("the body is not JSON")]
    NotJson,
}

/// A verified webhook, and what it says.
pub struct Received<'b> {
    /// The only way into the inbox.
    pub delivery: Delivery<'b>,
    root: Object<'b>,
}

impl Received<'_> {
    /// As [`read`], of what was received.
    pub fn facts(&self, callback_field: &str) -> Option<CallFacts> {
        facts(&self.root, callback_field)
    }

    /// As [`conversation`], of what was received.
    pub fn conversation(&self) -> Vec<Turn> {
        turns(&self.root).unwrap_or_default()
    }
}

/// Verifies a webhook.
pub fn receive<'k, 'b>(
    header: Option<&[u8]>,
    body: &'b [u8],
    keys: impl IntoIterator<Item = &'k [u8]>,
    now_ms: i64,
    tolerance_ms: u64,
) -> Result<Received<'b>, Rejected> {
    signature::verify(header, body, keys, now_ms, tolerance_ms)?;
    let text = std::str::from_utf8(body).map_err(|_| Rejected::NotJson)?;
    // An object that can be read is JSON; only what is none must be looked at for that.
    let root = Object::event(text);
    if root.is_none() && !is_json(text) {
        return Err(Rejected::NotJson);
    }
    let (signature, root) = (
        header.map(|h| String::from_utf8_lossy(h).into_owned()).unwrap_or_default(),
        root.unwrap_or_default(),
    );
    Ok(Received { delivery: delivery(text, &root, signature, false), root })
}

/// Wraps a record fetched from Retell's API as if its webhook had come.
///
/// `record` is a call or chat object as `get-call` or `get-chat` answers it.
pub fn fetched(record: &str, channel: Channel) -> Option<Fetched> {
    let object = Object::parse(record)?;
    let (noun, prefix) = match channel {
        Channel::Voice => ("call", "call"),
        Channel::Chat => ("chat", "chat"),
    };
    let over = match channel {
        Channel::Voice => object.text("disconnection_reason").is_some(),
        Channel::Chat => matches!(object.text("chat_status").as_deref(), Some("ended" | "error")),
    };
    let analyzed = object.object(&format!("{prefix}_analysis")).is_some();
    let event = match (over, analyzed) {
        (true, true) => "analyzed",
        (true, false) => "ended",
        (false, _) => "started",
    };
    let text = format!("{{\"event\":\"{prefix}_{event}\",\"{noun}\":{record}}}");
    let root = Object::event(&text).unwrap_or_default();
    let Delivery { event, call_id, sameness, signature, .. } = delivery(&text, &root, String::new(), true);
    let body = Cow::Owned(text.into_bytes());
    Some(Fetched {
        delivery: Delivery { event, call_id, sameness, body, signature },
        agent: object.text("agent_id"),
        over,
    })
}

/// A record that was asked for.
pub struct Fetched {
    /// As if its latest webhook had come.
    pub delivery: Delivery<'static>,
    /// The provider's id of the agent that spoke.
    pub agent: Option<String>,
    /// Whether the call is over.
    pub over: bool,
}

fn delivery<'b>(text: &'b str, root: &Object<'_>, signature: String, fetched: bool) -> Delivery<'b> {
    let event = root.text("event").filter(|e| e.len() <= 64).unwrap_or_else(|| "unreadable".to_owned());
    let inner = |key: &str, id: &str| root.with_object(key, |object| object.text(id)).flatten();
    let call_id = inner("call", "call_id").or_else(|| inner("chat", "chat_id")).filter(|id| id.len() <= 128);
    let moment = call_id.as_ref().map_or(Moment::Other, |_| moment_of(&event));
    let sameness = Sameness::of_moment(moment, fetched).unwrap_or_else(|| {
        let hash: String = Sha256::digest(text).iter().take(16).map(|b| format!("{b:02x}")).collect();
        Sameness::Content(format!("{}{event}#{hash}", if fetched { "fetched:" } else { "" }))
    });
    Delivery { event, call_id, sameness, body: Cow::Borrowed(text.as_bytes()), signature }
}

fn moment_of(event: &str) -> Moment {
    match event {
        "call_started" | "chat_started" => Moment::Started,
        "call_ended" | "chat_ended" => Moment::Ended,
        "call_analyzed" | "chat_analyzed" => Moment::Analyzed,
        _ => Moment::Other,
    }
}

/// Reads a recorded event; `callback_field` is the name of the extraction that asks for a callback.
///
/// `None`: nothing can follow from it (an event of another kind, or a shape we do not know).
pub fn read(body: &[u8], callback_field: &str) -> Option<CallFacts> {
    facts(&Object::event(std::str::from_utf8(body).ok()?)?, callback_field)
}

/// Who said what, in a recorded event of a call or chat.
pub fn conversation(body: &[u8]) -> Vec<Turn> {
    std::str::from_utf8(body).ok().and_then(Object::event).and_then(|root| turns(&root)).unwrap_or_default()
}

fn turns(root: &Object<'_>) -> Option<Vec<Turn>> {
    match root.text("event")?.split_once('_')?.0 {
        "call" => root.with_object("call", |call| transcript(call, "transcript_object")),
        "chat" => root.with_object("chat", |chat| transcript(chat, "message_with_tool_calls")),
        _ => None,
    }
}

fn facts(root: &Object<'_>, callback_field: &str) -> Option<CallFacts> {
    let event = root.text("event")?;
    let (noun, _) = event.split_once('_')?;
    let moment = moment_of(&event);
    match noun {
        "call" => root.with_object("call", |object| call(object, moment, callback_field))?,
        "chat" => root.with_object("chat", |object| chat(object, moment, callback_field))?,
        _ => None,
    }
}

fn call(call: &Object<'_>, moment: Moment, callback_field: &str) -> Option<CallFacts> {
    let by_phone = call.text("call_type").as_deref() != Some("web_call");
    let direction = match call.text("direction").as_deref() {
        Some("inbound") if by_phone => Some(Direction::Inbound),
        Some("outbound") if by_phone => Some(Direction::Outbound),
        _ => None,
    };
    let (from, to) = (call.text("from_number"), call.text("to_number"));
    let (person_number, agent_number) = match direction {
        Some(Direction::Inbound) => (from, to),
        Some(Direction::Outbound) => (to, from),
        None => (None, None),
    };
    let analysis = call.object("call_analysis").unwrap_or_default();
    let reason = call.text("disconnection_reason").filter(|r| r.len() <= 64).or_else(|| {
        // An analysed call that still names no reason never will.
        (moment == Moment::Analyzed).then(|| "unknown".to_owned())
    });
    Some(CallFacts {
        call_id: call.text("call_id")?,
        moment,
        channel: Channel::Voice,
        direction,
        person_number,
        agent_number,
        agent: call.text("agent_id"),
        version: version(call, "agent_version"),
        started_at: time(call, "start_timestamp"),
        ended_at: time(call, "end_timestamp"),
        outcome: reason.map(|reason| Outcome { ending: ending_of(&reason), reason }),
        in_voicemail: analysis.get("in_voicemail").unwrap_or(false),
        asked: asked(&analysis, callback_field),
        variables: variables(call),
        metadata: metadata(call),
        tags: tags(call),
    })
}

fn chat(chat: &Object<'_>, moment: Moment, callback_field: &str) -> Option<CallFacts> {
    let sms = chat.text("chat_type").as_deref() != Some("api_chat");
    // The chat object has no numbers: they come from what the user put beside it.
    let beside = |key: &str| {
        let of = |name: &str| chat.object(name).and_then(|o| o.text(key));
        of("metadata").or_else(|| of("retell_llm_dynamic_variables")).filter(|_| sms)
    };
    let over = matches!(moment, Moment::Ended | Moment::Analyzed);
    let messages = chat.objects("message_with_tool_calls");
    let last_said = messages.iter().rfind(|m| m.text("role").as_deref() == Some("user"));
    Some(CallFacts {
        call_id: chat.text("chat_id")?,
        moment,
        channel: Channel::Chat,
        direction: None,
        person_number: beside("redialer_user_number"),
        agent_number: beside("redialer_agent_number"),
        agent: chat.text("agent_id"),
        version: version(chat, "version"),
        started_at: time(chat, "start_timestamp"),
        // A chat is closed an hour or more after its last message; "in twenty minutes" was said back then.
        ended_at: last_said
            .and_then(|m| time(m, "created_timestamp"))
            .or_else(|| time(chat, "end_timestamp")),
        // Chats have no reasons: one that is over was a conversation.
        outcome: over.then(|| Outcome { reason: "chat_ended".to_owned(), ending: Ending::Conversation }),
        in_voicemail: false,
        asked: asked(&chat.object("chat_analysis").unwrap_or_default(), callback_field),
        variables: variables(chat),
        metadata: metadata(chat),
        tags: tags(chat),
    })
}

pub(super) fn time(object: &Object<'_>, key: &str) -> Option<Timestamp> {
    object
        .get::<i64>(key)
        .or_else(|| object.get::<f64>(key).map(|f| f as i64))
        .filter(|ms| *ms > 0)
        .and_then(from_ms)
}

/// The tag the call was made with, else its version, else whatever is published.
fn version(object: &Object<'_>, number: &str) -> Version {
    let is_tag = |tag: &String| {
        let mut bytes = tag.bytes();
        tag.len() <= 20
            && bytes.next().is_some_and(|b| b.is_ascii_lowercase())
            && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
    };
    match (object.text("agent_tag").filter(is_tag), object.get::<i64>(number)) {
        (Some(tag), _) => Version::Tag(tag),
        (None, Some(n)) if n >= 0 => Version::Number(n),
        _ => Version::LatestPublished,
    }
}

fn asked(analysis: &Object<'_>, callback_field: &str) -> Asked {
    let data = analysis.object("custom_analysis_data").unwrap_or_default();
    let either = |name: &str| data.text(name).or_else(|| data.text(&name.replace('.', "_")));
    let yes = |name: &str| {
        data.get::<bool>(name)
            .unwrap_or_else(|| data.text(name).is_some_and(|t| t.trim().eq_ignore_ascii_case("true")))
    };
    Asked {
        callback: yes(callback_field) || yes(&callback_field.replace('.', "_")),
        time: either("redialer.io_callback_time"),
        number: either("redialer.io_callback_number"),
    }
}

fn transcript(object: &Object<'_>, key: &str) -> Vec<Turn> {
    let turns: Vec<Turn> = object
        .role_and_content(key)
        .into_iter()
        .filter_map(|(role, content)| {
            let role = match &*role {
                "agent" => Role::Agent,
                "user" => Role::User,
                _ => return None,
            };
            Some(Turn { role, content })
        })
        .collect();
    if !turns.is_empty() {
        return turns;
    }
    // Some storage settings leave only the flat text.
    let flat = object.text("transcript").unwrap_or_default();
    let line = |line: &str| {
        let (who, content) = line.split_once(": ")?;
        let role = match who {
            "Agent" => Role::Agent,
            "User" => Role::User,
            _ => return None,
        };
        Some(Turn { role, content: content.to_owned() })
    };
    flat.lines().filter_map(line).collect()
}

/// Only text values exist at Retell; numbers and booleans that slipped in are written as text.
fn variables(object: &Object<'_>) -> BTreeMap<String, String> {
    let Some(map) = object.object("retell_llm_dynamic_variables") else { return BTreeMap::new() };
    let text = |raw: &str| match serde_json::from_str(raw).ok()? {
        serde_json::Value::String(s) => Some(s),
        serde_json::Value::Number(n) => Some(n.to_string()),
        serde_json::Value::Bool(b) => Some(b.to_string()),
        _ => None,
    };
    map.members().filter_map(|(key, raw)| Some((key.to_owned(), text(raw)?))).collect()
}

fn metadata(object: &Object<'_>) -> Option<String> {
    object.object("metadata").and(object.raw("metadata")).map(str::to_owned)
}

fn tags(object: &Object<'_>) -> Option<Tags> {
    let metadata = object.object("metadata")?;
    let dispatch = metadata.text("redialer_dispatch")?;
    Some(Tags { dispatch, callback: metadata.text("redialer_id") })
}
