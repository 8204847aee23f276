//! Asking Retell, and placing calls and chats.
//!
//! Invariants: [`Api::place`] sends one request and reads its answer as failure-model §2 says: only a clear
//! no is a no. Nothing here retries. Messages of errors never hold keys or numbers.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use redialer_core::{
    agent::{Channel, OwnNumber},
    decide::{Finding, Listed},
    order::{Refusal, Reply},
    permission::Permission,
    time::minutes,
};
use reqwest::Method;
use serde_json::json;

use super::{
    facts::{MAX_ID_BYTES, time},
    find::Search,
    order,
    pages::{LISTED, page_of},
    said::sentence,
};
use crate::{
    http::{Answer, Broken, Ready, Request, SharedWire, Wire},
    json::{Object, each_element},
};

/// Retell's API under one base URL. The key is an argument: one `Api` serves every workspace.
#[derive(Clone)]
pub struct Api {
    wire: SharedWire,
    base: String,
}

/// Why a read failed. Each `message` is the provider's own sentence, keys and numbers in it masked; empty where it said
/// nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// 401: the key is wrong or was revoked. Nothing works until it is replaced.
    #[error(
        "Retell refused the API key (HTTP 401){}. Set a key that has the permissions \"Agent: Read\" and \"Call: Edit\".",
        quoted(.message)
    )]
    KeyRefused {
        /// The provider's sentence.
        message: String,
    },
    /// 403: the key is valid but lacks a permission. The caller continues without the data.
    #[error("The Retell API key lacks the permission \"{what}\" (HTTP 403){}.", quoted(.message))]
    Forbidden {
        /// The permission.
        what: Permission,
        /// The provider's sentence.
        message: String,
    },
    /// 402: the account must pay first.
    #[error("Retell must be paid first (HTTP 402){}.", quoted(.message))]
    Payment {
        /// The provider's sentence.
        message: String,
    },
    /// 404 or 422.
    #[error("Retell does not know what was asked for (HTTP {0}).")]
    Unknown(u16),
    /// 429.
    #[error("Retell asked us to slow down (HTTP 429).")]
    Throttled {
        /// Seconds to wait, where it said.
        after_secs: Option<u64>,
    },
    /// Anything else: try later.
    #[error("Retell could not be reached: {0}.")]
    Unavailable(String),
}

/// The provider's message, to end one of our sentences.
fn quoted(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!("; it said: {}", message.trim_end_matches('.')) }
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

const MAX_PAGES: usize = 100;
/// Calls on one page of a sweep.
const SWEEP_PAGE: u32 = 200;

/// For how long after the first request the same bytes may be repeated under the idempotency key: the provider
/// keeps a key for an hour, and twenty minutes are left for a clock that is set back meanwhile. Chats have none.
pub const fn key_lives(channel: Channel) -> Option<SignedDuration> {
    match channel {
        Channel::Voice => Some(minutes(40)),
        Channel::Chat => None,
    }
}

impl Api {
    /// An API under `base`, as `https://api.retellai.com`, reached over that wire.
    pub fn new(wire: impl Wire + 'static, base: &str) -> Self {
        Self { wire: Arc::new(wire), base: base.trim_end_matches('/').to_owned() }
    }

    /// Sends an order once. `body` are the bytes that were recorded with the intent; `ready` is asked once the connection
    /// is up, right before their first byte leaves, and on `false` nothing leaves.
    pub async fn place(&self, key: &str, channel: Channel, body: Vec<u8>, ready: Option<Ready<'_>>) -> Reply {
        let request = Request {
            method: Method::POST,
            url: format!("{}{}", self.base, order::path(channel)),
            key: key.to_owned(),
            body: Some(body),
            places: true,
            ready,
        };
        match self.wire.send(request).await {
            Ok(answer) => placed_or_not(&answer, channel, key),
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
        self.read(key, Permission::History, Method::GET, &format!("{path}{}", escaped(id)), None).await
    }

    /// The call or chat that carries this dispatch in its metadata; it was sent at `sent_at` to the number `to`.
    /// [`Finding::Absent`] only when a complete list has nothing that may be it: a failing page proves nothing, nor does
    /// an entry that may be it and does not show its metadata.
    ///
    /// Calls are asked for by metadata. Chats cannot be: they are asked for by number and compared here.
    pub async fn find(
        &self,
        key: &str,
        channel: Channel,
        dispatch: &str,
        to: &str,
        sent_at: Timestamp,
    ) -> Result<Finding, ReadError> {
        let number = json!({"type": "string", "op": "eq", "value": to});
        let criteria = match channel {
            Channel::Voice => {
                let metadata =
                    json!([{"type": "string", "op": "eq", "key": "redialer_dispatch", "value": dispatch}]);
                json!({"metadata": metadata, "to_number": number})
            }
            Channel::Chat => json!({"user_number": number}),
        };
        let mut search = Search::new(channel, dispatch, to, sent_at);
        let mut page = None;
        for _ in 0..MAX_PAGES {
            let body = json!({"filter_criteria": criteria, "limit": 1000, "pagination_key": page});
            let text = self.list(key, channel, body).await?;
            let next = page_of(&text, |item| search.look_at(item))?;
            if search.is_found() || next.is_none() {
                return Ok(search.finding());
            }
            page = next;
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
        let body = json!({"sort_order": "descending", "limit": SWEEP_PAGE, "pagination_key": page});
        let text = self.list(key, channel, body).await?;
        let mut listed = Vec::new();
        let next = page_of(&text, |item| {
            let item = Object::parse(item, LISTED).unwrap_or_default();
            listed.extend(item.text(id_key(channel)).map(|id| Listed {
                id,
                agent: item.text("agent_id"),
                started_at: time(&item, "start_timestamp"),
                ended_at: time(&item, "end_timestamp"),
            }));
        })?;
        Ok((listed, next))
    }

    async fn list(&self, key: &str, channel: Channel, body: serde_json::Value) -> Result<String, ReadError> {
        let path = match channel {
            Channel::Voice => "/v3/list-calls",
            Channel::Chat => "/v3/list-chats",
        };
        self.read(key, Permission::History, Method::POST, path, Some(without_null(body))).await
    }

    /// The roster, voice and chat.
    pub async fn agents(&self, key: &str) -> Result<Vec<RosterAgent>, ReadError> {
        let mut found: Vec<RosterAgent> = Vec::new();
        for (channel, word) in [(Channel::Voice, "voice"), (Channel::Chat, "chat")] {
            let filter =
                json!({"filter_criteria": {"channel": {"type": "string", "op": "eq", "value": word}}});
            let mut query = String::from("?limit=1000");
            for _ in 0..MAX_PAGES {
                let path = format!("/v2/list-agents{query}");
                let text =
                    self.read(key, Permission::Agents, Method::POST, &path, Some(filter.clone())).await?;
                let next = page_of(&text, |item| found.extend(roster_agent(item, channel)))?;
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
        let path = format!("{path}{}", escaped(&agent.id));
        let text = self.read(key, Permission::Agents, Method::GET, &path, None).await?;
        Ok(Object::parse(&text, &["timezone"]).and_then(|o| o.text("timezone")))
    }

    /// How many calls may still be started; `Ok(None)` when the provider does not say.
    pub async fn concurrency(&self, key: &str) -> Result<Option<Concurrency>, ReadError> {
        let text = match self.read(key, Permission::Concurrency, Method::GET, "/get-concurrency", None).await
        {
            Err(ReadError::Unknown(_)) => return Ok(None),
            other => other?,
        };
        let names = &["current_concurrency", "concurrency_limit", "reserved_inbound_concurrency"];
        let object = Object::parse(&text, names).ok_or_else(unreadable)?;
        let of = |name| object.get::<u32>(name);
        let Some(limit) = of("concurrency_limit") else { return Ok(None) };
        let reserve = of("reserved_inbound_concurrency").unwrap_or(0);
        Ok(Some(Concurrency {
            current: of("current_concurrency").unwrap_or(0),
            outbound_limit: limit.saturating_sub(reserve),
        }))
    }

    /// The account's own numbers.
    pub async fn numbers(&self, key: &str) -> Result<Vec<OwnNumber>, ReadError> {
        let mut found = Vec::new();
        let mut query = String::from("?limit=1000");
        for _ in 0..MAX_PAGES {
            let path = format!("/v2/list-phone-numbers{query}");
            let text = self.read(key, Permission::Numbers, Method::GET, &path, None).await?;
            let next = page_of(&text, |item| found.extend(own_number(item)))?;
            let Some(next) = next else { break };
            query = format!("?limit=1000&pagination_key={}", escaped(&next));
        }
        Ok(found)
    }

    /// The provider's id of the account (`org_id`) that the key belongs to; `Ok(None)` when the provider does not say.
    pub async fn account(&self, key: &str) -> Result<Option<String>, ReadError> {
        match self.read(key, Permission::KeyInfo, Method::GET, "/get-api-key-info", None).await {
            Ok(text) => {
                Ok(Object::parse(&text, &["org_id"]).and_then(|o| o.short_text("org_id", MAX_ID_BYTES)))
            }
            Err(ReadError::Unknown(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the key is accepted at all: a read that changes nothing. A key that may not read what it is itself is
    /// still a good key.
    pub async fn probe(&self, key: &str) -> Result<(), ReadError> {
        match self.account(key).await {
            Ok(_) | Err(ReadError::Forbidden { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Sends a read; `needs` is the permission that the key must have for it.
    async fn read(
        &self,
        key: &str,
        needs: Permission,
        method: Method,
        path: &str,
        body: Option<serde_json::Value>,
    ) -> Result<String, ReadError> {
        let body = body.map(|body| body.to_string().into_bytes());
        let url = format!("{}{path}", self.base);
        let request = Request { method, url, key: key.to_owned(), body, places: false, ready: None };
        let answer = self.wire.send(request).await.map_err(|broken| {
            let (Broken::Unsent(why) | Broken::Lost(why)) = broken;
            ReadError::Unavailable(why)
        })?;
        match answer.status {
            200 | 201 => answer.text.map_err(ReadError::Unavailable),
            401 => Err(ReadError::KeyRefused { message: said_in(&answer, key) }),
            402 => Err(ReadError::Payment { message: said_in(&answer, key) }),
            403 => Err(ReadError::Forbidden { what: needs, message: said_in(&answer, key) }),
            code @ (404 | 422) => Err(ReadError::Unknown(code)),
            429 => Err(ReadError::Throttled { after_secs: answer.after_secs }),
            code => Err(ReadError::Unavailable(format!("HTTP {code}"))),
        }
    }
}

/// The provider's own sentence in an answer to a request with that key.
fn said_in(answer: &Answer, key: &str) -> String {
    sentence(answer.text.as_deref().ok(), key)
}

const fn id_key(channel: Channel) -> &'static str {
    match channel {
        Channel::Voice => "call_id",
        Channel::Chat => "chat_id",
    }
}

/// Reads the answer to a request that places a call.
fn placed_or_not(answer: &Answer, channel: Channel, key: &str) -> Reply {
    let message = || said_in(answer, key);
    match answer.status {
        status @ 200..=299 => {
            let id = id_key(channel);
            let object = answer.text.as_deref().ok().and_then(|text| Object::parse(text, LISTED));
            match object.and_then(|o| o.short_text(id, MAX_ID_BYTES)) {
                Some(call_id) => Reply::Placed { call_id },
                None => Reply::Uncertain { why: format!("HTTP {status} without a {id}") },
            }
        }
        400 if is_do_not_call(&message()) => Reply::Refused(Refusal::DoNotCall),
        status @ (400 | 404 | 422) => Reply::Refused(Refusal::Permanent { status, message: message() }),
        status @ (401 | 403) => Reply::Refused(Refusal::Key { status, message: message() }),
        402 => Reply::Refused(Refusal::Payment { message: message() }),
        429 => Reply::Refused(Refusal::Throttled { after_secs: answer.after_secs }),
        other => Reply::Uncertain { why: format!("HTTP {other}") },
    }
}

/// The text of that 400 is not documented.
fn is_do_not_call(message: &str) -> bool {
    let message = message.to_lowercase();
    ["do not call", "do_not_call", "do-not-call", "dnc"].iter().any(|words| message.contains(words))
}

pub(super) fn unreadable() -> ReadError {
    ReadError::Unavailable("the answer is not the JSON that was expected".to_owned())
}

fn roster_agent(item: &str, asked: Channel) -> Option<RosterAgent> {
    let item = Object::parse(item, &["agent_id", "agent_name", "channel"])?;
    let id = item.text("agent_id")?;
    let channel = item.text("channel").map_or(asked, |c| Channel::from_word(&c));
    Some(RosterAgent {
        name: item.text("agent_name").unwrap_or_else(|| id.clone()),
        id,
        channel,
        timezone: None,
    })
}

fn own_number(item: &str) -> Option<OwnNumber> {
    const OUTBOUND: [&str; 2] = ["outbound_agents", "outbound_sms_agents"];
    const INBOUND: [&str; 2] = ["inbound_agents", "inbound_sms_agents"];
    let names = &["phone_number", OUTBOUND[0], OUTBOUND[1], INBOUND[0], INBOUND[1]];
    let item = Object::parse(item, names)?;
    let agents = |keys: [&str; 2]| {
        let mut ids = Vec::new();
        for list in keys.into_iter().filter_map(|key| item.raw(key)) {
            each_element(list, |agent| {
                ids.extend(Object::parse(agent, &["agent_id"]).and_then(|a| a.text("agent_id")));
            });
        }
        ids
    };
    Some(OwnNumber {
        number: item.text("phone_number")?,
        outbound_agents: agents(OUTBOUND),
        inbound_agents: agents(INBOUND),
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
