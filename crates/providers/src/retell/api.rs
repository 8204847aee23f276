//! Asking Retell, and placing calls and chats.
//!
//! Invariants: [`Api::place`] sends one request and reads its answer as failure-model §2 says: only a clear
//! no is a no. Nothing here retries. Messages of errors never hold keys or numbers.

use std::sync::Arc;

use jiff::SignedDuration;
use redialer_core::{
    agent::Channel,
    decide::Listed,
    order::{Refusal, Reply},
    time::minutes,
};
use reqwest::Method;
use serde_json::json;

use super::{order, webhook::time};
use crate::{
    http::{Answer, Broken, Request, SharedWire, Wire},
    json::Object,
};

/// Retell's API under one base URL. The key is an argument: one `Api` serves every workspace.
#[derive(Clone)]
pub struct Api {
    wire: SharedWire,
    base: String,
}

/// Why a read failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// 401 or 403.
    #[error(
        "Retell refused the API key (HTTP {0}); it needs Agent: Read, History: Read, Call: Edit and Phone: Read"
    )]
    Key(u16),
    /// 402.
    #[error("Retell wants to be paid first (HTTP 402)")]
    Payment,
    /// 404 or 422.
    #[error("Retell does not know what was asked for (HTTP {0})")]
    Unknown(u16),
    /// 429.
    #[error("Retell asked us to slow down")]
    Throttled {
        /// Seconds to wait, where it said.
        after_secs: Option<u64>,
    },
    /// Anything else: try later.
    #[error("Retell could not be asked: {0}")]
    Unavailable(String),
}

/// One agent of the roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterAgent {
    /// Retell's id.
    pub id: String,
    /// Its name there.
    pub name: String,
    /// Voice or chat.
    pub channel: Channel,
    /// Its time zone, where it has one.
    pub timezone: Option<String>,
}

/// How many calls the account may have at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concurrency {
    /// Calls going on.
    pub current: u32,
    /// Calls that may go on, those kept for inbound left out.
    pub outbound_limit: u32,
}

/// One of the account's numbers.
#[derive(Clone)]
pub struct OwnNumber {
    /// E.164.
    pub number: String,
    /// Agents that dial from it.
    pub outbound_agents: Vec<String>,
    /// Agents that answer on it.
    pub inbound_agents: Vec<String>,
}

const MAX_PAGES: usize = 100;
/// Calls on one page of a sweep.
const SWEEP_PAGE: u32 = 200;

/// For how long after the first request the same bytes may be repeated under the idempotency key: the provider
/// keeps a key for an hour, and a repeat stays well inside. Chats have none.
pub const fn key_lives(channel: Channel) -> Option<SignedDuration> {
    match channel {
        Channel::Voice => Some(minutes(50)),
        Channel::Chat => None,
    }
}

impl Api {
    /// An API under `base`, as `https://api.retellai.com`, reached over that wire.
    pub fn new(wire: impl Wire + 'static, base: &str) -> Self {
        Self { wire: Arc::new(wire), base: base.trim_end_matches('/').to_owned() }
    }

    /// Sends an order once. `body` are the bytes that were recorded with the intent.
    pub async fn place(&self, key: &str, channel: Channel, body: Vec<u8>) -> Reply {
        let request = Request {
            method: Method::POST,
            url: format!("{}{}", self.base, order::path(channel)),
            key: key.to_owned(),
            body: Some(body),
            places: true,
        };
        match self.wire.send(request).await {
            Ok(answer) => placed_or_not(&answer, channel),
            Err(Broken::Unsent(why)) => Reply::Unsent { why },
            Err(Broken::Lost(why)) => Reply::Uncertain { why },
        }
    }

    /// The record of one call or chat, as JSON text.
    pub async fn record(&self, key: &str, channel: Channel, id: &str) -> Result<String, ReadError> {
        let path = match channel {
            Channel::Voice => "/v2/get-call/",
            Channel::Chat => "/get-chat/",
        };
        self.read(key, Method::GET, &format!("{path}{}", escaped(id)), None).await
    }

    /// The id of the call or chat that carries this dispatch in its metadata; `Ok(None)` when a complete list
    /// has none. An answer in pages is read to its end; a failing page proves nothing.
    ///
    /// Calls are asked for by metadata. Chats cannot be: they are asked for by number and compared here.
    pub async fn find(
        &self,
        key: &str,
        channel: Channel,
        dispatch: &str,
        to: &str,
    ) -> Result<Option<String>, ReadError> {
        let number = json!({"type": "string", "op": "eq", "value": to});
        let (path, id, criteria) = match channel {
            Channel::Voice => {
                let metadata =
                    json!([{"type": "string", "op": "eq", "key": "redialer_dispatch", "value": dispatch}]);
                ("/v3/list-calls", "call_id", json!({"metadata": metadata, "to_number": number}))
            }
            Channel::Chat => ("/v3/list-chats", "chat_id", json!({"user_number": number})),
        };
        let mut page = None;
        for _ in 0..MAX_PAGES {
            let body = json!({"filter_criteria": criteria, "limit": 1000, "pagination_key": page});
            let text = self.read(key, Method::POST, path, Some(without_null(body))).await?;
            let (items, next) = page_of(&text)?;
            if let Some(found) = items.iter().find(|i| tagged(i, dispatch)).and_then(|i| i.text(id)) {
                return Ok(Some(found));
            }
            match next {
                Some(next) => page = Some(next),
                None => return Ok(None),
            }
        }
        Err(ReadError::Unavailable("the list has no end".to_owned()))
    }

    /// One page of the account's calls or chats, newest first, and the key of the next page.
    pub async fn listed(
        &self,
        key: &str,
        channel: Channel,
        page: Option<&str>,
    ) -> Result<(Vec<Listed>, Option<String>), ReadError> {
        let (path, id) = match channel {
            Channel::Voice => ("/v3/list-calls", "call_id"),
            Channel::Chat => ("/v3/list-chats", "chat_id"),
        };
        let body = json!({"sort_order": "descending", "limit": SWEEP_PAGE, "pagination_key": page});
        let text = self.read(key, Method::POST, path, Some(without_null(body))).await?;
        let (items, next) = page_of(&text)?;
        let listed = |item: &Object<'_>| {
            Some(Listed {
                id: item.text(id)?,
                agent: item.text("agent_id"),
                started_at: time(item, "start_timestamp"),
                ended_at: time(item, "end_timestamp"),
            })
        };
        Ok((items.iter().filter_map(listed).collect(), next))
    }

    /// The roster, voice and chat.
    pub async fn agents(&self, key: &str) -> Result<Vec<RosterAgent>, ReadError> {
        let mut found: Vec<RosterAgent> = Vec::new();
        for (channel, word) in [(Channel::Voice, "voice"), (Channel::Chat, "chat")] {
            let filter =
                json!({"filter_criteria": {"channel": {"type": "string", "op": "eq", "value": word}}});
            let mut query = String::from("?limit=1000");
            for _ in 0..MAX_PAGES {
                let text = self
                    .read(key, Method::POST, &format!("/v2/list-agents{query}"), Some(filter.clone()))
                    .await?;
                let (items, next) = page_of(&text)?;
                found.extend(items.iter().filter_map(|item| roster_agent(item, channel)));
                let Some(next) = next else { break };
                query = format!("?limit=1000&pagination_key={}", escaped(&next));
            }
        }
        found.sort_by(|a, b| a.id.cmp(&b.id));
        found.dedup_by(|a, b| a.id == b.id);
        Ok(found)
    }

    /// The time zone set on one agent, where it has one.
    pub async fn agent_timezone(&self, key: &str, agent: &RosterAgent) -> Result<Option<String>, ReadError> {
        let path = match agent.channel {
            Channel::Voice => "/get-agent/",
            Channel::Chat => "/get-chat-agent/",
        };
        let text = self.read(key, Method::GET, &format!("{path}{}", escaped(&agent.id)), None).await?;
        Ok(Object::parse(&text).and_then(|o| o.text("timezone")))
    }

    /// How many calls may still be started; `Ok(None)` when the key may not ask.
    pub async fn concurrency(&self, key: &str) -> Result<Option<Concurrency>, ReadError> {
        let text = match self.read(key, Method::GET, "/get-concurrency", None).await {
            Err(ReadError::Key(403) | ReadError::Unknown(_)) => return Ok(None),
            other => other?,
        };
        let object = Object::parse(&text).ok_or_else(unreadable)?;
        let of = |name| object.get::<u32>(name);
        let Some(limit) = of("concurrency_limit") else { return Ok(None) };
        let reserve = of("reserved_inbound_concurrency").unwrap_or(0);
        Ok(Some(Concurrency {
            current: of("current_concurrency").unwrap_or(0),
            outbound_limit: limit.saturating_sub(reserve),
        }))
    }

    /// The account's own numbers; empty when the key may not ask.
    pub async fn numbers(&self, key: &str) -> Result<Vec<OwnNumber>, ReadError> {
        let mut found = Vec::new();
        let mut query = String::from("?limit=1000");
        for _ in 0..MAX_PAGES {
            let text =
                match self.read(key, Method::GET, &format!("/v2/list-phone-numbers{query}"), None).await {
                    Err(ReadError::Key(403)) => return Ok(Vec::new()),
                    other => other?,
                };
            let (items, next) = page_of(&text)?;
            found.extend(items.iter().filter_map(own_number));
            let Some(next) = next else { break };
            query = format!("?limit=1000&pagination_key={}", escaped(&next));
        }
        Ok(found)
    }

    /// Whether the key is accepted at all: a read that changes nothing.
    pub async fn probe(&self, key: &str) -> Result<(), ReadError> {
        match self.read(key, Method::GET, "/get-api-key-info", None).await {
            // Keys may be denied this one page and still be good for the rest.
            Ok(_) | Err(ReadError::Key(403) | ReadError::Unknown(_)) => Ok(()),
            Err(e) => Err(e),
        }
    }

    async fn read(
        &self,
        key: &str,
        method: Method,
        path: &str,
        body: Option<serde_json::Value>,
    ) -> Result<String, ReadError> {
        let body = body.map(|body| body.to_string().into_bytes());
        let url = format!("{}{path}", self.base);
        let request = Request { method, url, key: key.to_owned(), body, places: false };
        let answer = self.wire.send(request).await.map_err(|broken| {
            let (Broken::Unsent(why) | Broken::Lost(why)) = broken;
            ReadError::Unavailable(why)
        })?;
        match answer.status {
            200 | 201 => answer.text.map_err(ReadError::Unavailable),
            code @ (401 | 403) => Err(ReadError::Key(code)),
            402 => Err(ReadError::Payment),
            code @ (404 | 422) => Err(ReadError::Unknown(code)),
            429 => Err(ReadError::Throttled { after_secs: answer.after_secs }),
            code => Err(ReadError::Unavailable(format!("HTTP {code}"))),
        }
    }
}

/// Reads the answer to a request that places a call.
fn placed_or_not(answer: &Answer, channel: Channel) -> Reply {
    let object = || answer.text.as_deref().ok().and_then(Object::parse);
    let message = || {
        let said = object().and_then(|o| o.text("message"));
        said.unwrap_or_default().chars().take(300).collect::<String>()
    };
    match answer.status {
        status @ 200..=299 => {
            let id = match channel {
                Channel::Voice => "call_id",
                Channel::Chat => "chat_id",
            };
            match object().and_then(|o| o.text(id)) {
                Some(call_id) => Reply::Placed { call_id },
                None => Reply::Uncertain { why: format!("HTTP {status} without a {id}") },
            }
        }
        400 if is_do_not_call(&message()) => Reply::Refused(Refusal::DoNotCall),
        status @ (400 | 404 | 422) => Reply::Refused(Refusal::Permanent { status, message: message() }),
        401 | 403 => Reply::Refused(Refusal::Key),
        402 => Reply::Refused(Refusal::Payment),
        429 => Reply::Refused(Refusal::Throttled { after_secs: answer.after_secs }),
        other => Reply::Uncertain { why: format!("HTTP {other}") },
    }
}

/// The text of that 400 is not documented.
fn is_do_not_call(message: &str) -> bool {
    let message = message.to_lowercase();
    ["do not call", "do_not_call", "do-not-call", "dnc"].iter().any(|words| message.contains(words))
}

fn unreadable() -> ReadError {
    ReadError::Unavailable("the answer is not the JSON that was expected".to_owned())
}

/// The items of a page and the key of the next one; the bare array of older versions is one page.
fn page_of(text: &str) -> Result<(Vec<Object<'_>>, Option<String>), ReadError> {
    if let Some(page) = Object::parse(text) {
        let items = page.raw("items").ok_or_else(unreadable)?;
        let items = array_of(items).ok_or_else(unreadable)?;
        let more = page.get::<bool>("has_more").unwrap_or(false);
        let next = page.text("pagination_key").filter(|_| more);
        if more && next.is_none() {
            return Err(unreadable());
        }
        return Ok((items, next));
    }
    Ok((array_of(text).ok_or_else(unreadable)?, None))
}

fn array_of(text: &str) -> Option<Vec<Object<'_>>> {
    let list: Vec<&serde_json::value::RawValue> = serde_json::from_str(text).ok()?;
    Some(list.into_iter().filter_map(|raw| Object::parse(raw.get())).collect())
}

fn tagged(item: &Object<'_>, dispatch: &str) -> bool {
    item.object("metadata").and_then(|m| m.text("redialer_dispatch")).as_deref() == Some(dispatch)
}

fn roster_agent(item: &Object<'_>, asked: Channel) -> Option<RosterAgent> {
    let id = item.text("agent_id")?;
    let channel = item.text("channel").map_or(asked, |c| Channel::from_word(&c));
    Some(RosterAgent {
        name: item.text("agent_name").unwrap_or_else(|| id.clone()),
        id,
        channel,
        timezone: None,
    })
}

fn own_number(item: &Object<'_>) -> Option<OwnNumber> {
    let agents = |keys: [&str; 2]| {
        let of = |key| item.objects(key).iter().filter_map(|a| a.text("agent_id")).collect::<Vec<_>>();
        keys.into_iter().flat_map(of).collect()
    };
    Some(OwnNumber {
        number: item.text("phone_number")?,
        outbound_agents: agents(["outbound_agents", "outbound_sms_agents"]),
        inbound_agents: agents(["inbound_agents", "inbound_sms_agents"]),
    })
}

/// Percent-encodes all but unreserved characters.
fn escaped(text: &str) -> String {
    let keep = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    text.bytes().map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

fn without_null(mut value: serde_json::Value) -> serde_json::Value {
    if let Some(map) = value.as_object_mut() {
        map.retain(|_, v| !v.is_null());
    }
    value
}
