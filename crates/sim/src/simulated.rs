//! The simulator as a provider, for test callbacks: it accepts every call, stores nothing and dials no phone.
//!
//! Invariant: nothing here opens a connection. The outcome of a call is a function of the request that placed it.

use redialer_core::{
    agent::{Channel, OwnNumber},
    decide::Finding,
    order::{CallOrder, Reply},
};
use redialer_providers::{
    BadSignature, CallQuery, Capabilities, CheckedAt, DispatchQuery, Event, NotJson, Page, Placement,
    Provider, ProviderFuture, ReadFuture, Record, RosterAgent, Webhook, WebhookAuth,
    retell::{order, webhook},
};

use crate::retell::stateless;

/// The simulator. It writes and reads Retell's format.
pub struct Simulated;

/// A reply that is ready at once.
fn ready<'a, T: Send + 'a>(value: T) -> ProviderFuture<'a, T> {
    Box::pin(std::future::ready(value))
}

impl Provider for Simulated {
    fn title(&self) -> &'static str {
        "The simulator"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new(&[Channel::Voice, Channel::Chat])
    }

    /// Always fails: the simulator sends no webhooks.
    fn verify(&self, _: &WebhookAuth, _: &Webhook<'_>, _: &CheckedAt) -> Result<(), BadSignature> {
        Err(BadSignature("the simulator sends no webhooks"))
    }

    fn read<'b>(&self, body: &'b [u8]) -> Result<Event<'b>, NotJson> {
        webhook::read(body)
    }

    fn order(&self, order: &CallOrder) -> Vec<u8> {
        order::body(order)
    }

    fn place<'a>(&'a self, _: &'a str, placement: Placement<'a>) -> ProviderFuture<'a, Reply> {
        ready(Reply::Placed { call_id: stateless::call_id(placement.dispatch) })
    }

    fn record<'a>(&'a self, _: &'a str, call: CallQuery<'a>) -> ReadFuture<'a, Option<Record>> {
        let record = call.placed_by.and_then(|(request, sent_at)| {
            let text = stateless::record(request, call.channel, call.id, sent_at)?;
            webhook::fetched(&text, call.channel)
        });
        ready(Ok(record))
    }

    fn find<'a>(&'a self, _: &'a str, dispatch: DispatchQuery<'a>) -> ReadFuture<'a, Finding> {
        ready(Ok(Finding::Call(stateless::call_id(dispatch.dispatch))))
    }

    fn calls<'a>(&'a self, _: &'a str, _: Channel, _: Option<&'a str>) -> ReadFuture<'a, Page> {
        ready(Ok(Page::default()))
    }

    fn agents<'a>(&'a self, _: &'a str) -> ReadFuture<'a, Vec<RosterAgent>> {
        ready(Ok(Vec::new()))
    }

    fn numbers<'a>(&'a self, _: &'a str) -> ReadFuture<'a, Vec<OwnNumber>> {
        ready(Ok(Vec::new()))
    }
}
