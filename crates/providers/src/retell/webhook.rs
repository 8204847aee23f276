//! Parses Retell's webhooks, and its API's records of calls, as events.
//!
//! Invariant: parsing takes memory in proportion to the body, regardless of its shape.

use std::borrow::Cow;

use redialer_core::{
    agent::Channel,
    call::{CallFacts, CallPhase, Turn},
    inbound_event::{DedupKey, InboundEvent},
};
use sha2::{Digest as _, Sha256};

use super::{
    conversation,
    facts::{self, CALL, CHAT, MAX_ID_BYTES, event, phase_of},
};
use crate::{
    json::{Object, is_json},
    provider::{Content, Event, NotJson, Record},
};

/// A Retell event, with the members that were read.
struct Root<'b>(Object<'b>);

impl Content for Root<'_> {
    fn facts(&self, callback_field: &str) -> Option<CallFacts> {
        facts::facts(&self.0, callback_field)
    }

    fn conversation(&self) -> Vec<Turn> {
        turns(&self.0).unwrap_or_default()
    }
}

/// Parses a webhook, or a record in the form of [`fetched`].
pub fn read(body: &[u8]) -> Result<Event<'_>, NotJson> {
    let text = std::str::from_utf8(body).map_err(|_| NotJson)?;
    // An object that was parsed is valid JSON; only other text has to be checked.
    let root = event(text);
    if root.is_none() && !is_json(text) {
        return Err(NotJson);
    }
    let root = root.unwrap_or_default();
    Ok(Event { delivery: delivery(text, &root, false), content: Box::new(Root(root)) })
}

/// Wraps a record fetched from Retell's API as if its webhook had arrived.
///
/// `record` is a call or chat object as returned by `get-call` or `get-chat`.
pub fn fetched(record: &str, channel: Channel) -> Option<Record> {
    let (noun, names) = match channel {
        Channel::Voice => ("call", CALL),
        Channel::Chat => ("chat", CHAT),
    };
    let object = Object::parse(record, names)?;
    let over = match channel {
        Channel::Voice => object.text("disconnection_reason").is_some(),
        Channel::Chat => matches!(object.text("chat_status").as_deref(), Some("ended" | "error")),
    };
    let analyzed = object.object(&format!("{noun}_analysis"), &[]).is_some();
    let moment = match (over, analyzed) {
        (true, true) => "analyzed",
        (true, false) => "ended",
        (false, _) => "started",
    };
    let text = format!("{{\"event\":\"{noun}_{moment}\",\"{noun}\":{record}}}");
    let root = event(&text).unwrap_or_default();
    let InboundEvent { event, call_id, dedup_key, signature, .. } = delivery(&text, &root, true);
    let body = Cow::Owned(text.into_bytes());
    Some(Record {
        delivery: InboundEvent { event, call_id, dedup_key, body, signature },
        agent: object.short_text("agent_id", MAX_ID_BYTES),
        is_over: over,
    })
}

fn delivery<'b>(text: &'b str, root: &Object<'_>, fetched: bool) -> InboundEvent<'b> {
    let event = root.short_text("event", 64).unwrap_or_else(|| "unreadable".to_owned());
    let inner = |key, names, id| root.with_object(key, names, |o| o.short_text(id, MAX_ID_BYTES)).flatten();
    let call_id = inner("call", CALL, "call_id").or_else(|| inner("chat", CHAT, "chat_id"));
    let moment = call_id.as_ref().map_or(CallPhase::Other, |_| phase_of(&event));
    let dedup_key = DedupKey::of_phase(moment, fetched).unwrap_or_else(|| {
        let hash: String = Sha256::digest(text).iter().take(16).map(|b| format!("{b:02x}")).collect();
        DedupKey::Content(format!("{}{event}#{hash}", if fetched { "fetched:" } else { "" }))
    });
    InboundEvent { event, call_id, dedup_key, body: Cow::Borrowed(text.as_bytes()), signature: String::new() }
}

fn turns(root: &Object<'_>) -> Option<Vec<Turn>> {
    match root.text("event")?.split_once('_')?.0 {
        "call" => root.with_object("call", CALL, |call| conversation::turns(call, "transcript_object")),
        "chat" => root.with_object("chat", CHAT, |chat| conversation::turns(chat, "message_with_tool_calls")),
        _ => None,
    }
}
