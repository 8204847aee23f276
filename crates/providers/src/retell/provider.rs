//! The [`Provider`] implementation for Retell.

use redialer_core::{
    agent::{Channel, OwnNumber},
    decide::Finding,
    order::{CallOrder, Reply},
};
use serde_json::{Value, json};

use super::{
    SIGNATURE_HEADER, TITLE,
    api::{Api, key_lives},
    order, signature, webhook,
};
use crate::{
    auth::WebhookAuth,
    provider::{
        BadSignature, CallQuery, Capabilities, CheckedAt, DispatchQuery, Event, NotJson, Page, Placement,
        Provider, ProviderFuture, ReadFuture, Record, RosterAgent, Webhook, only_header,
    },
};

impl Provider for Api {
    fn title(&self) -> &'static str {
        TITLE
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            repeats_calls_for: key_lives(Channel::Voice),
            repeats_chats_for: key_lives(Channel::Chat),
            ..Capabilities::new(&[Channel::Voice, Channel::Chat])
        }
    }

    fn verify(&self, auth: &WebhookAuth, webhook: &Webhook<'_>, at: &CheckedAt) -> Result<(), BadSignature> {
        let header = only_header(webhook.headers, SIGNATURE_HEADER);
        let now_ms = at.now.as_millisecond();
        signature::verify(header, webhook.body, auth.key_bytes(), now_ms, at.tolerance_ms)
    }

    fn signature_header(&self) -> Option<&'static str> {
        Some(SIGNATURE_HEADER)
    }

    fn read<'b>(&self, body: &'b [u8]) -> Result<Event<'b>, NotJson> {
        webhook::read(body)
    }

    /// Inbound hooks that were pointed here by mistake need a response: the caller hears ringing until then.
    fn acknowledgment(&self, event: &str) -> Option<Value> {
        match event {
            "call_inbound" => Some(json!({"call_inbound": {}})),
            "chat_inbound" => Some(json!({"chat_inbound": {}})),
            _ => None,
        }
    }

    fn order(&self, order: &CallOrder) -> Vec<u8> {
        order::body(order)
    }

    fn place<'a>(&'a self, key: &'a str, placement: Placement<'a>) -> ProviderFuture<'a, Reply> {
        Box::pin(self.place(key, placement))
    }

    fn record<'a>(&'a self, key: &'a str, call: CallQuery<'a>) -> ReadFuture<'a, Option<Record>> {
        Box::pin(async move {
            let text = self.record(key, call.channel, call.id).await?;
            Ok(webhook::fetched(&text, call.channel))
        })
    }

    fn find<'a>(&'a self, key: &'a str, dispatch: DispatchQuery<'a>) -> ReadFuture<'a, Finding> {
        Box::pin(self.find(key, dispatch))
    }

    fn calls<'a>(&'a self, key: &'a str, channel: Channel, page: Option<&'a str>) -> ReadFuture<'a, Page> {
        Box::pin(self.listed(key, channel, page))
    }

    fn agents<'a>(&'a self, key: &'a str) -> ReadFuture<'a, Vec<RosterAgent>> {
        Box::pin(self.agents(key))
    }

    fn numbers<'a>(&'a self, key: &'a str) -> ReadFuture<'a, Vec<OwnNumber>> {
        Box::pin(self.numbers(key))
    }

    fn free_lines<'a>(&'a self, key: &'a str) -> ReadFuture<'a, Option<u32>> {
        Box::pin(self.free_lines(key))
    }

    fn account<'a>(&'a self, key: &'a str) -> ReadFuture<'a, Option<String>> {
        Box::pin(self.account(key))
    }

    fn probe<'a>(&'a self, key: &'a str) -> ReadFuture<'a, ()> {
        Box::pin(self.probe(key))
    }
}
