//! A provider for tests only, which exercises the `Provider` interface: its webhooks carry a bearer token, it has no
//! idempotency key and no chats, and orders identify the number to dial from by id.

use redialer_core::{
    Timestamp,
    agent::{Channel, OwnNumber},
    call::{CallFacts, CallPhase, CallbackRequest, Direction, Tags},
    decide::{Finding, Listed},
    inbound_event::{DedupKey, InboundEvent},
    order::{CallOrder, Reply},
    outcome::{Outcome, OutcomeClass, Repeat},
    permission::Permission,
    policy::Trigger,
};
use redialer_providers::{
    BadSignature, CallQuery, Capabilities, CheckedAt, Content, DispatchQuery, Event, NotJson, Page,
    Placement, Provider, ProviderFuture, ReadError, ReadFailure, ReadFuture, Record, RosterAgent, Webhook,
    WebhookAuth,
    http::{Request, SharedTransport},
    only_header, status,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub(crate) struct Example(pub(crate) SharedTransport);

struct Call(Value);

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn time(value: &Value) -> Option<Timestamp> {
    Timestamp::from_second(value.as_i64()?).ok()
}

fn description(body: Option<&str>) -> String {
    body.and_then(|body| text(&serde_json::from_str::<Value>(body).ok()?["error"])).unwrap_or_default()
}

fn delivery(call: &Value, body: Vec<u8>, is_fetched: bool) -> InboundEvent<'static> {
    let (event, call_id) = ("call".to_owned(), text(&call["id"]));
    let dedup_key = DedupKey::of_phase(CallPhase::Analyzed, is_fetched).filter(|_| call_id.is_some());
    let dedup_key = dedup_key.unwrap_or_else(|| DedupKey::Content(call.to_string()));
    InboundEvent { event, call_id, dedup_key, body: body.into(), signature: String::new() }
}

impl Content for Call {
    fn facts(&self, _: &str) -> Option<CallFacts> {
        let call = &self.0;
        let reason = call["reason"].as_str()?;
        let unreached = OutcomeClass::Unreached(Trigger::NoAnswer, Repeat::Freely);
        let class = if reason == "no_answer" { unreached } else { OutcomeClass::Conversation };
        let when = text(&call["call_again"]);
        let direction = if call["inbound"] == true { Direction::Inbound } else { Direction::Outbound };
        Some(CallFacts {
            direction: Some(direction),
            person_number: text(&call["person"]),
            agent_number: text(&call["line"]),
            agent: text(&call["agent"]),
            started_at: time(&call["started"]),
            ended_at: time(&call["ended"]),
            outcome: Some(Outcome { reason: reason.to_owned(), class }),
            request: CallbackRequest { callback: when.is_some(), time: when, ..CallbackRequest::default() },
            tags: text(&call["dispatch"]).map(|dispatch| Tags { dispatch, callback: None }),
            ..CallFacts::new(text(&call["id"])?, CallPhase::Analyzed, Channel::Voice)
        })
    }
}

impl Example {
    fn request<'a>(key: &str, path: &str, placement: Option<Placement<'a>>) -> Request<'a> {
        let (url, key, places) = (format!("https://example.test{path}"), key.to_owned(), placement.is_some());
        let method = if places { reqwest::Method::POST } else { reqwest::Method::GET };
        let (body, ready) = placement.map_or((None, None), |p| (Some(p.body), p.ready));
        Request { method, url, key, body, places, ready }
    }

    async fn get<T: DeserializeOwned>(
        &self,
        key: &str,
        path: &str,
        needs: Permission,
    ) -> Result<T, ReadError> {
        let answered = self.0.send(Self::request(key, path, None)).await;
        let body = status::read(answered, (needs, &[Permission::Calls]), description);
        let odd = |_| ReadFailure::Unavailable("the answer is not the JSON that was expected".to_owned());
        let read = body.and_then(|body| serde_json::from_str(&body).map_err(odd));
        read.map_err(|failure| ReadError { provider: self.title(), failure })
    }
}

impl Provider for Example {
    fn title(&self) -> &'static str {
        "Example"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { dials_by_number_id: true, ..Capabilities::new(&[Channel::Voice]) }
    }

    fn verify(&self, auth: &WebhookAuth, webhook: &Webhook<'_>, _: &CheckedAt) -> Result<(), BadSignature> {
        let token = only_header(webhook.headers, "authorization").and_then(|h| h.strip_prefix(b"Bearer "));
        // Test keys are not secret: a real provider compares in constant time.
        let is_known = token.is_some_and(|token| auth.key_bytes().any(|key| !key.is_empty() && key == token));
        if is_known { Ok(()) } else { Err(BadSignature("the bearer token is missing or another")) }
    }

    fn read<'b>(&self, body: &'b [u8]) -> Result<Event<'b>, NotJson> {
        let call: Value = serde_json::from_slice(body).map_err(|_| NotJson)?;
        Ok(Event { delivery: delivery(&call, body.to_vec(), false), content: Box::new(Call(call)) })
    }

    fn order(&self, order: &CallOrder) -> Vec<u8> {
        let (to, dispatch) = (order.to.e164(), order.dispatch.to_string());
        json!({"agent": order.agent, "from": order.from_id, "to": to, "dispatch": dispatch})
            .to_string()
            .into()
    }

    fn place<'a>(&'a self, key: &'a str, placement: Placement<'a>) -> ProviderFuture<'a, Reply> {
        Box::pin(async move {
            let answered = self.0.send(Self::request(key, "/calls", Some(placement))).await;
            status::reply(
                answered,
                |body| text(&serde_json::from_str::<Value>(body).ok()?["id"]),
                description,
            )
        })
    }

    fn record<'a>(&'a self, key: &'a str, call: CallQuery<'a>) -> ReadFuture<'a, Option<Record>> {
        Box::pin(async move {
            let call: Value = self.get(key, &format!("/calls/{}", call.id), Permission::History).await?;
            let delivery = delivery(&call, call.to_string().into_bytes(), true);
            Ok(Some(Record { delivery, agent: text(&call["agent"]), is_over: call["ended"].is_i64() }))
        })
    }

    fn find<'a>(&'a self, key: &'a str, query: DispatchQuery<'a>) -> ReadFuture<'a, Finding> {
        Box::pin(async move {
            let calls: Vec<Value> = self.get(key, "/calls", Permission::History).await?;
            let found = calls.iter().find(|call| call["dispatch"] == query.dispatch);
            Ok(found.and_then(|call| text(&call["id"])).map_or(Finding::Absent, Finding::Call))
        })
    }

    fn calls<'a>(&'a self, key: &'a str, _: Channel, _: Option<&'a str>) -> ReadFuture<'a, Page> {
        Box::pin(async move {
            let calls: Vec<Value> = self.get(key, "/calls", Permission::History).await?;
            let listed = |call: &Value| {
                let (started_at, ended_at) = (time(&call["started"]), time(&call["ended"]));
                Some(Listed { id: text(&call["id"])?, agent: text(&call["agent"]), started_at, ended_at })
            };
            Ok(Page { calls: calls.iter().filter_map(listed).collect(), next: None })
        })
    }

    fn agents<'a>(&'a self, key: &'a str) -> ReadFuture<'a, Vec<RosterAgent>> {
        Box::pin(async move {
            let agents: Vec<String> = self.get(key, "/agents", Permission::Agents).await?;
            let agent =
                |id: String| RosterAgent { name: id.clone(), id, channel: Channel::Voice, timezone: None };
            Ok(agents.into_iter().map(agent).collect())
        })
    }

    fn numbers<'a>(&'a self, key: &'a str) -> ReadFuture<'a, Vec<OwnNumber>> {
        Box::pin(async move {
            let numbers: Vec<Value> = self.get(key, "/numbers", Permission::Numbers).await?;
            let number = |own: &Value| {
                let agents: Vec<String> = text(&own["agent"]).into_iter().collect();
                let (id, number) = (text(&own["id"]), text(&own["number"])?);
                Some(OwnNumber { id, number, inbound_agents: agents.clone(), outbound_agents: agents })
            };
            Ok(numbers.iter().filter_map(number).collect())
        })
    }
}
