//! The interface to a provider: one trait, in the nouns of core.
//!
//! Invariants: [`receive`] is the only way from a request to an [`Event`], and parses nothing before the webhook's
//! authentication succeeds (I8). `place` sends one request and retries nothing.

use std::pin::Pin;

use http::HeaderMap;
use jiff::{SignedDuration, Timestamp};
use redialer_core::{
    agent::{Channel, OwnNumber},
    call::{CallFacts, Turn},
    decide::{Finding, Listed},
    inbound_event::InboundEvent,
    order::{CallOrder, Reply},
};

use crate::{auth::WebhookAuth, http::ReadyCheck, read_error::ReadError};

/// A request in progress.
pub type ProviderFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
/// A read in progress.
pub type ReadFuture<'a, T> = ProviderFuture<'a, Result<T, ReadError>>;

/// One provider of voice or chat agents. The API key is an argument: one value serves every workspace.
pub trait Provider: Send + Sync {
    /// Its display name.
    fn title(&self) -> &'static str;

    /// Its channels and optional features.
    fn capabilities(&self) -> Capabilities;

    /// Authenticates a webhook over the bytes as received.
    fn verify(&self, auth: &WebhookAuth, webhook: &Webhook<'_>, at: &CheckedAt) -> Result<(), BadSignature>;

    /// The header that carries a webhook's signature, which is stored with the webhook; `None` if webhooks carry a
    /// secret instead.
    fn signature_header(&self) -> Option<&'static str> {
        None
    }

    /// Parses a webhook, or a record that [`Self::record`] returned, from the stored bytes.
    fn read<'b>(&self, body: &'b [u8]) -> Result<Event<'b>, NotJson>;

    /// The response body for an accepted event of that name; `None` for an empty response.
    fn acknowledgment(&self, _event: &str) -> Option<serde_json::Value> {
        None
    }

    /// The exact bytes of the request that places a call or opens a chat: a function only of the order.
    fn order(&self, order: &CallOrder) -> Vec<u8>;

    /// Sends an order, once.
    fn place<'a>(&'a self, key: &'a str, placement: Placement<'a>) -> ProviderFuture<'a, Reply>;

    /// The record of one call or chat, as an event.
    fn record<'a>(&'a self, key: &'a str, call: CallQuery<'a>) -> ReadFuture<'a, Option<Record>>;

    /// The call or chat that a dispatch became. [`Finding::Absent`] only if a complete list has nothing that may be it.
    fn find<'a>(&'a self, key: &'a str, dispatch: DispatchQuery<'a>) -> ReadFuture<'a, Finding>;

    /// One page of the account's calls or chats, newest first.
    fn calls<'a>(&'a self, key: &'a str, channel: Channel, page: Option<&'a str>) -> ReadFuture<'a, Page>;

    /// The roster, with time zones where they can be read.
    fn agents<'a>(&'a self, key: &'a str) -> ReadFuture<'a, Vec<RosterAgent>>;

    /// The account's own numbers.
    fn numbers<'a>(&'a self, key: &'a str) -> ReadFuture<'a, Vec<OwnNumber>>;

    /// Free outbound lines; `None` if the provider does not report them.
    fn free_lines<'a>(&'a self, _key: &'a str) -> ReadFuture<'a, Option<u32>> {
        Box::pin(async { Ok(None) })
    }

    /// The provider's id of the account that the key belongs to; `None` if the provider does not report it.
    fn account<'a>(&'a self, _key: &'a str) -> ReadFuture<'a, Option<String>> {
        Box::pin(async { Ok(None) })
    }

    /// Whether the key is accepted: a read that changes nothing.
    fn probe<'a>(&'a self, key: &'a str) -> ReadFuture<'a, ()> {
        Box::pin(async move { self.agents(key).await.map(|_| ()) })
    }
}

/// The channels and optional features of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// For how long after the first request the same bytes may be repeated and place at most one call; `None` if a
    /// repeat may place a second one.
    pub repeats_calls_for: Option<SignedDuration>,
    /// The same for chats.
    pub repeats_chats_for: Option<SignedDuration>,
    /// The channels that it supports and lists.
    pub channels: &'static [Channel],
    /// Whether orders identify the number to dial from by the provider's id.
    pub dials_by_number_id: bool,
}

impl Capabilities {
    /// Capabilities with those channels and without any optional ones.
    pub const fn new(channels: &'static [Channel]) -> Self {
        Self { repeats_calls_for: None, repeats_chats_for: None, channels, dials_by_number_id: false }
    }

    /// For how long the same bytes may be repeated, on that channel.
    pub const fn repeats_for(&self, channel: Channel) -> Option<SignedDuration> {
        match channel {
            Channel::Voice => self.repeats_calls_for,
            Channel::Chat => self.repeats_chats_for,
        }
    }
}

/// A webhook as received.
#[derive(Clone, Copy)]
pub struct Webhook<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body.
    pub body: &'a [u8],
}

/// The clock that a webhook is checked against.
#[derive(Debug, Clone, Copy)]
pub struct CheckedAt {
    /// Now.
    pub now: Timestamp,
    /// The largest difference between a signature's timestamp and now, either way, inclusive.
    pub tolerance_ms: u64,
}

/// Why a webhook's authentication failed, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadSignature(pub &'static str);

/// The body is not JSON in UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body is not JSON")]
pub struct NotJson;

/// Why a webhook is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// 401.
    #[error(transparent)]
    Signature(#[from] BadSignature),
    /// 400: authentic, but not JSON in UTF-8.
    #[error(transparent)]
    NotJson(#[from] NotJson),
}

/// Verifies a webhook, then parses it.
pub fn receive<'b>(
    provider: &dyn Provider,
    auth: &WebhookAuth,
    webhook: Webhook<'b>,
    at: &CheckedAt,
) -> Result<Event<'b>, Rejected> {
    provider.verify(auth, &webhook, at)?;
    let mut event = provider.read(webhook.body)?;
    let header = provider.signature_header().and_then(|name| only_header(webhook.headers, name));
    event.delivery.signature =
        header.map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default();
    Ok(event)
}

/// The value of a header; `None` if it is missing or, being ambiguous, repeated.
pub fn only_header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none()).map(|value| value.as_bytes())
}

/// A parsed webhook or record.
pub struct Event<'b> {
    /// The inbound event to record.
    pub delivery: InboundEvent<'b>,
    /// Its content.
    pub content: Box<dyn Content + Send + Sync + 'b>,
}

/// The content of an event, parsed on demand.
pub trait Content {
    /// The facts about its call; `callback_field` is the name of the extraction that requests a callback. `None` if
    /// nothing can follow from the event, because its kind or its shape is unknown.
    fn facts(&self, callback_field: &str) -> Option<CallFacts>;

    /// The turns of the conversation; empty if the provider does not report them.
    fn conversation(&self) -> Vec<Turn> {
        Vec::new()
    }
}

/// A request that places a call or opens a chat.
pub struct Placement<'a> {
    /// The channel.
    pub channel: Channel,
    /// Our id of the dispatch; also in the body.
    pub dispatch: &'a str,
    /// The bytes that were recorded with the intent.
    pub body: Vec<u8>,
    /// Called once the connection is up, right before the first byte is sent: on `false` nothing is sent.
    pub ready: Option<ReadyCheck<'a>>,
}

/// Identifies a call or chat.
#[derive(Clone, Copy)]
pub struct CallQuery<'a> {
    /// The channel.
    pub channel: Channel,
    /// The provider's id of it.
    pub id: &'a str,
    /// The request that placed it and when it was sent, if known. The simulator keeps no state and needs both.
    pub placed_by: Option<(&'a [u8], Timestamp)>,
}

/// Identifies a dispatch.
#[derive(Clone, Copy)]
pub struct DispatchQuery<'a> {
    /// The channel.
    pub channel: Channel,
    /// Our id of it, which its call carries.
    pub dispatch: &'a str,
    /// The number that was dialed, E.164.
    pub to: &'a str,
    /// When its intent was written.
    pub sent_at: Timestamp,
}

/// A fetched record.
pub struct Record {
    /// The inbound event, as if its latest webhook had arrived.
    pub delivery: InboundEvent<'static>,
    /// The provider's id of the agent that spoke.
    pub agent: Option<String>,
    /// Whether the call is over.
    pub is_over: bool,
}

/// A page of calls, and the key of the next page.
#[derive(Debug, Default)]
pub struct Page {
    /// The calls.
    pub calls: Vec<Listed>,
    /// `None` on the last page.
    pub next: Option<String>,
}

/// One agent of the roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterAgent {
    /// The provider's id.
    pub id: String,
    /// Its name at the provider.
    pub name: String,
    /// Voice or chat.
    pub channel: Channel,
    /// Its time zone, if it has one that could be read.
    pub timezone: Option<String>,
}
