//! The client of Retell's API: reads, calls and chats.
//!
//! Invariants: `place` sends one request and classifies its answer by failure-model §2: only an explicit refusal counts
//! as refused. Nothing here retries. Error messages never contain keys or numbers.

use jiff::SignedDuration;
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
    TITLE,
    error_message::description,
    facts::{MAX_ID_BYTES, time},
    find::Search,
    order,
    pages::{LISTED, page_of},
};
use crate::{
    http::{Request, SharedTransport},
    json::{Object, each_element},
    provider::{DispatchQuery, Page, Placement, RosterAgent},
    read_error::{ReadError, ReadFailure},
    status,
};

/// Retell's API under one base URL. The key is an argument: one `Api` serves every workspace.
#[derive(Clone)]
pub struct Api {
    wire: SharedTransport,
    base: String,
}

const MAX_PAGES: usize = 100;
/// Calls per page of a backfill.
const SWEEP_PAGE: u32 = 200;

/// For how long after the first request the same bytes may be repeated under the idempotency key: the provider keeps a
/// key for an hour, and twenty minutes are left for a clock that is set back in between. Chats have no idempotency key.
pub const fn key_lives(channel: Channel) -> Option<SignedDuration> {
    match channel {
        Channel::Voice => Some(minutes(40)),
        Channel::Chat => None,
    }
}

impl Api {
    /// An API under `base`, such as `https://api.retellai.com`, reached through `wire`.
    pub fn new(wire: SharedTransport, base: &str) -> Self {
        Self { wire, base: base.trim_end_matches('/').to_owned() }
    }

    /// Sends an order, once.
    pub(super) async fn place(&self, key: &str, placement: Placement<'_>) -> Reply {
        let Placement { channel, body, ready, .. } = placement;
        let request = Request {
            method: Method::POST,
            url: format!("{}{}", self.base, order::path(channel)),
            key: key.to_owned(),
            body: Some(body),
            places: true,
            ready,
        };
        let answered = self.wire.send(request).await;
        let is_bad_request = answered.as_ref().is_ok_and(|answer| answer.status == 400);
        let reply = status::reply(answered, |text| placed_id(text, channel), |text| description(text, key));
        match reply {
            Reply::Refused(Refusal::Permanent { message, .. })
                if is_bad_request && is_do_not_call(&message) =>
            {
                Reply::Refused(Refusal::DoNotCall)
            }
            reply => reply,
        }
    }

    /// The record of one call or chat, as JSON text.
    pub(super) async fn record(&self, key: &str, channel: Channel, id: &str) -> Result<String, ReadError> {
        let path = match channel {
            Channel::Voice => "/v2/get-call/",
            Channel::Chat => "/get-chat/",
        };
        self.read(key, Permission::History, Method::GET, &format!("{path}{}", escaped(id)), None).await
    }

    /// The call or chat that carries this dispatch in its metadata; it was sent at `sent_at` to the number `to`.
    /// [`Finding::Absent`] only if a complete list has nothing that may be it: neither a failed page nor a possible
    /// match with hidden metadata proves absence.
    ///
    /// Calls are filtered by metadata. Chats have no such filter: they are filtered by number and compared here.
    pub(super) async fn find(&self, key: &str, query: DispatchQuery<'_>) -> Result<Finding, ReadError> {
        let DispatchQuery { channel, dispatch, to, sent_at } = query;
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
        Err(failed(ReadFailure::Unavailable("the list has no end".to_owned())))
    }

    /// One page of the account's calls or chats, newest first.
    pub(super) async fn listed(
        &self,
        key: &str,
        channel: Channel,
        page: Option<&str>,
    ) -> Result<Page, ReadError> {
        let body = json!({"sort_order": "descending", "limit": SWEEP_PAGE, "pagination_key": page});
        let text = self.list(key, channel, body).await?;
        let mut calls = Vec::new();
        let next = page_of(&text, |item| {
            let item = Object::parse(item, LISTED).unwrap_or_default();
            calls.extend(item.text(id_key(channel)).map(|id| Listed {
                id,
                agent: item.text("agent_id"),
                started_at: time(&item, "start_timestamp"),
                ended_at: time(&item, "end_timestamp"),
            }));
        })?;
        Ok(Page { calls, next })
    }

    async fn list(&self, key: &str, channel: Channel, body: serde_json::Value) -> Result<String, ReadError> {
        let path = match channel {
            Channel::Voice => "/v3/list-calls",
            Channel::Chat => "/v3/list-chats",
        };
        self.read(key, Permission::History, Method::POST, path, Some(without_null(body))).await
    }

    /// The roster, voice and chat, with time zones where they can be read.
    pub(super) async fn agents(&self, key: &str) -> Result<Vec<RosterAgent>, ReadError> {
        let mut agents = self.roster(key).await?;
        for agent in &mut agents {
            // Only the time zone is missing then: the roster is useful without it.
            agent.timezone = match self.agent_timezone(key, agent).await {
                Ok(timezone) => timezone,
                Err(error) if error.is_of_account() => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "an agent's time zone could not be read");
                    None
                }
            };
        }
        Ok(agents)
    }

    async fn roster(&self, key: &str) -> Result<Vec<RosterAgent>, ReadError> {
        let mut agents: Vec<RosterAgent> = Vec::new();
        for (channel, word) in [(Channel::Voice, "voice"), (Channel::Chat, "chat")] {
            let filter =
                json!({"filter_criteria": {"channel": {"type": "string", "op": "eq", "value": word}}});
            let mut query = String::from("?limit=1000");
            for _ in 0..MAX_PAGES {
                let path = format!("/v2/list-agents{query}");
                let text =
                    self.read(key, Permission::Agents, Method::POST, &path, Some(filter.clone())).await?;
                let next = page_of(&text, |item| agents.extend(roster_agent(item, channel)))?;
                let Some(next) = next else { break };
                query = format!("?limit=1000&pagination_key={}", escaped(&next));
            }
        }
        agents.sort_by(|a, b| a.id.cmp(&b.id));
        agents.dedup_by(|a, b| a.id == b.id);
        Ok(agents)
    }

    /// The time zone of one agent, if it has one.
    async fn agent_timezone(&self, key: &str, agent: &RosterAgent) -> Result<Option<String>, ReadError> {
        let path = match agent.channel {
            Channel::Voice => "/get-agent/",
            Channel::Chat => "/get-chat-agent/",
        };
        let path = format!("{path}{}", escaped(&agent.id));
        let text = self.read(key, Permission::Agents, Method::GET, &path, None).await?;
        Ok(Object::parse(&text, &["timezone"]).and_then(|o| o.text("timezone")))
    }

    /// Calls that may still be started, without the lines reserved for inbound; `Ok(None)` if the provider does not
    /// report them.
    pub(super) async fn free_lines(&self, key: &str) -> Result<Option<u32>, ReadError> {
        let text = match self.read(key, Permission::Concurrency, Method::GET, "/get-concurrency", None).await
        {
            Err(ReadError { failure: ReadFailure::Unknown(_), .. }) => return Ok(None),
            other => other?,
        };
        let names = &["current_concurrency", "concurrency_limit", "reserved_inbound_concurrency"];
        let object = Object::parse(&text, names).ok_or_else(unreadable)?;
        let of = |name| object.get::<u32>(name);
        let Some(limit) = of("concurrency_limit") else { return Ok(None) };
        let taken = of("reserved_inbound_concurrency")
            .unwrap_or(0)
            .saturating_add(of("current_concurrency").unwrap_or(0));
        Ok(Some(limit.saturating_sub(taken)))
    }

    /// The account's own numbers.
    pub(super) async fn numbers(&self, key: &str) -> Result<Vec<OwnNumber>, ReadError> {
        let mut numbers = Vec::new();
        let mut query = String::from("?limit=1000");
        for _ in 0..MAX_PAGES {
            let path = format!("/v2/list-phone-numbers{query}");
            let text = self.read(key, Permission::Numbers, Method::GET, &path, None).await?;
            let next = page_of(&text, |item| numbers.extend(own_number(item)))?;
            let Some(next) = next else { break };
            query = format!("?limit=1000&pagination_key={}", escaped(&next));
        }
        Ok(numbers)
    }

    /// The provider's id of the account (`org_id`) that the key belongs to; `Ok(None)` if the provider does not report
    /// it.
    pub(super) async fn account(&self, key: &str) -> Result<Option<String>, ReadError> {
        match self.read(key, Permission::KeyInfo, Method::GET, "/get-api-key-info", None).await {
            Ok(text) => {
                Ok(Object::parse(&text, &["org_id"]).and_then(|o| o.short_text("org_id", MAX_ID_BYTES)))
            }
            Err(ReadError { failure: ReadFailure::Unknown(_), .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the key is accepted at all: a read that changes nothing. A key without the permission to read its own
    /// details is still valid.
    pub(super) async fn probe(&self, key: &str) -> Result<(), ReadError> {
        match self.account(key).await {
            Ok(_) | Err(ReadError { failure: ReadFailure::Forbidden { .. }, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Sends a read; `needs` is the permission that it requires.
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
        let answered = self.wire.send(request).await;
        status::read(answered, (needs, NEEDED), |text| description(text, key)).map_err(failed)
    }
}

/// The permissions without which nothing works.
const NEEDED: &[Permission] = &[Permission::Agents, Permission::Calls];

const fn failed(failure: ReadFailure) -> ReadError {
    ReadError { provider: TITLE, failure }
}

const fn id_key(channel: Channel) -> &'static str {
    match channel {
        Channel::Voice => "call_id",
        Channel::Chat => "chat_id",
    }
}

/// The id of the call that a request placed.
fn placed_id(text: &str, channel: Channel) -> Option<String> {
    Object::parse(text, LISTED)?.short_text(id_key(channel), MAX_ID_BYTES)
}

/// Retell does not document the message of this 400.
fn is_do_not_call(message: &str) -> bool {
    let message = message.to_lowercase();
    ["do not call", "do_not_call", "do-not-call", "dnc"].iter().any(|words| message.contains(words))
}

pub(super) fn unreadable() -> ReadError {
    failed(ReadFailure::Unavailable("the answer is not the JSON that was expected".to_owned()))
}

fn roster_agent(item: &str, requested_channel: Channel) -> Option<RosterAgent> {
    let item = Object::parse(item, &["agent_id", "agent_name", "channel"])?;
    let id = item.text("agent_id")?;
    let channel = item.text("channel").map_or(requested_channel, |c| Channel::from_stored(&c));
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
        id: None,
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
