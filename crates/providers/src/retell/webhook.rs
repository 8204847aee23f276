//! What Retell sends: verified, then read.
//!
//! Invariants: [`receive`] looks at nothing but bytes until the signature holds (I8). What is read takes memory in
//! proportion to the body, whatever its shape.

use std::borrow::Cow;

use redialer_core::{
    agent::Channel,
    call::{CallFacts, Moment, Turn},
    delivery::{Delivery, Sameness},
};
use sha2::{Digest as _, Sha256};

use super::{
    conversation,
    facts::{self, CALL, CHAT, MAX_ID_BYTES, event, moment_of},
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
        facts::facts(&self.root, callback_field)
    }

    /// As [`conversation()`], of what was received.
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
    let root = event(text);
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
    let Delivery { event, call_id, sameness, signature, .. } = delivery(&text, &root, String::new(), true);
    let body = Cow::Owned(text.into_bytes());
    Some(Fetched {
        delivery: Delivery { event, call_id, sameness, body, signature },
        agent: object.short_text("agent_id", MAX_ID_BYTES),
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
    let event = root.short_text("event", 64).unwrap_or_else(|| "unreadable".to_owned());
    let inner = |key, names, id| root.with_object(key, names, |o| o.short_text(id, MAX_ID_BYTES)).flatten();
    let call_id = inner("call", CALL, "call_id").or_else(|| inner("chat", CHAT, "chat_id"));
    let moment = call_id.as_ref().map_or(Moment::Other, |_| moment_of(&event));
    let sameness = Sameness::of_moment(moment, fetched).unwrap_or_else(|| {
        let hash: String = Sha256::digest(text).iter().take(16).map(|b| format!("{b:02x}")).collect();
        Sameness::Content(format!("{}{event}#{hash}", if fetched { "fetched:" } else { "" }))
    });
    Delivery { event, call_id, sameness, body: Cow::Borrowed(text.as_bytes()), signature }
}

/// Reads a recorded event; `callback_field` is the name of the extraction that asks for a callback.
///
/// `None`: nothing can follow from it (an event of another kind, or a shape we do not know).
pub fn read(body: &[u8], callback_field: &str) -> Option<CallFacts> {
    facts::facts(&event(std::str::from_utf8(body).ok()?)?, callback_field)
}

/// Who said what, in a recorded event of a call or chat: at most the newest [`conversation::MAX_TURNS`] turns and
/// [`conversation::MAX_SPOKEN_BYTES`] of text.
pub fn conversation(body: &[u8]) -> Vec<Turn> {
    std::str::from_utf8(body).ok().and_then(event).and_then(|root| turns(&root)).unwrap_or_default()
}

fn turns(root: &Object<'_>) -> Option<Vec<Turn>> {
    match root.text("event")?.split_once('_')?.0 {
        "call" => root.with_object("call", CALL, |call| conversation::turns(call, "transcript_object")),
        "chat" => root.with_object("chat", CHAT, |chat| conversation::turns(chat, "message_with_tool_calls")),
        _ => None,
    }
}
