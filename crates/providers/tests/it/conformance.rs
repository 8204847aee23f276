//! One suite for every provider: the behavior that the flows rely on.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use http::{HeaderMap, HeaderName, HeaderValue};
use redialer_core::{
    Id, Phone, Timestamp,
    agent::{Channel, Version},
    call::Direction,
    callback::RedialReason,
    decide::Finding,
    order::{CallOrder, Refusal, Reply},
};
use redialer_providers::{
    CallQuery, CheckedAt, DispatchQuery, Placement, Provider, ReadError, ReadFailure, Rejected, Webhook,
    WebhookAuth,
    http::{Answer, Request, SendFuture, SharedTransport, Transport, TransportError},
    receive, retell,
};
use serde_json::{Value, json};

use crate::example::Example;

const KEY: &str = "key_conformance_0001";
const PERSON: &str = "+13125550142";
const LINE: &str = "+12025550100";

/// A transport that returns these answers, one per request, and records the requests.
#[derive(Default)]
struct Scripted {
    answers: Mutex<VecDeque<Result<(u16, String), TransportError>>>,
    requests: Mutex<Vec<(String, Vec<u8>)>>,
}

impl Transport for Scripted {
    fn send<'a>(&'a self, request: Request<'a>) -> SendFuture<'a> {
        if request.ready.is_some_and(|is_ready| !is_ready()) {
            return Box::pin(async { Err(TransportError::NotSent("not ready".to_owned())) });
        }
        assert_eq!(request.key, KEY, "the key of the workspace");
        self.requests.lock().expect("free").push((request.url, request.body.unwrap_or_default()));
        let answer = self.answers.lock().expect("free").pop_front().expect("one request a question");
        let answer = answer.map(|(status, text)| Answer { status, after_secs: Some(7), text: Ok(text) });
        Box::pin(async { answer })
    }
}

impl Scripted {
    fn answer(&self, answers: impl IntoIterator<Item = Result<(u16, String), TransportError>>) {
        *self.answers.lock().expect("free") = answers.into_iter().collect();
        self.requests.lock().expect("free").clear();
    }
}

/// A provider, and what the suite must know of its format.
struct Subject {
    provider: Box<dyn Provider>,
    wire: Arc<Scripted>,
    /// The headers of an authentic webhook.
    sign: fn(&str, &[u8], Timestamp) -> HeaderMap,
    /// The webhook of an ended call, with our dispatch or inbound.
    ended: fn(&str, Option<&str>) -> Value,
    /// The answer to the request that placed a call.
    placed: fn(&str) -> Value,
    /// A complete list with a call of a dispatch, or without.
    listed: fn(Option<(&str, &str)>) -> Value,
    /// The record of a call.
    record: fn(&str) -> Value,
}

fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().expect("a time")
}

fn header(name: &'static str, value: &str) -> HeaderMap {
    let value = HeaderValue::from_str(value).expect("a value");
    HeaderMap::from_iter([(HeaderName::from_static(name), value)])
}

fn subjects() -> Vec<Subject> {
    let wires = [Arc::new(Scripted::default()), Arc::new(Scripted::default())];
    let [for_retell, for_example] = wires.clone().map(|wire| -> SharedTransport { wire });
    let [wire_of_retell, wire_of_example] = wires;
    vec![
        Subject {
            provider: Box::new(retell::api::Api::new(for_retell, "https://api.example.com")),
            wire: wire_of_retell,
            sign: |key, body, at| {
                let stamp = at.as_millisecond().unsigned_abs();
                header("x-retell-signature", &retell::signature::sign(key.as_bytes(), body, stamp))
            },
            ended: |id, dispatch| {
                let (kind, from, to) = match dispatch {
                    Some(_) => ("outbound", LINE, PERSON),
                    None => ("inbound", PERSON, LINE),
                };
                json!({"event": "call_ended", "call": {
                    "call_id": id, "call_type": "phone_call", "agent_id": "agent_1", "direction": kind,
                    "from_number": from, "to_number": to, "start_timestamp": 1_763_899_200_000_i64,
                    "end_timestamp": 1_763_899_260_000_i64, "disconnection_reason": "dial_no_answer",
                    "metadata": dispatch.map_or_else(|| json!({}), |d| json!({"redialer_dispatch": d})),
                }})
            },
            placed: |id| json!({"call_id": id}),
            listed: |call| {
                let item =
                    |(id, dispatch)| json!({"call_id": id, "metadata": {"redialer_dispatch": dispatch}});
                json!({"items": call.map(item).into_iter().collect::<Vec<_>>(), "has_more": false})
            },
            record: |id| json!({"call_id": id, "agent_id": "agent_1", "disconnection_reason": "user_hangup"}),
        },
        Subject {
            provider: Box::new(Example(for_example)),
            wire: wire_of_example,
            sign: |key, _, _| header("authorization", &format!("Bearer {key}")),
            ended: |id, dispatch| {
                json!({
                    "id": id, "agent": "agent_1", "inbound": dispatch.is_none(), "person": PERSON, "line": LINE,
                    "started": 1_763_899_200, "ended": 1_763_899_260, "reason": "no_answer", "dispatch": dispatch,
                })
            },
            placed: |id| json!({"id": id}),
            listed: |call| {
                let item = |(id, dispatch)| json!({"id": id, "dispatch": dispatch});
                json!(call.map(item).into_iter().collect::<Vec<_>>())
            },
            record: |id| json!({"id": id, "agent": "agent_1", "reason": "talked", "ended": 1_763_899_260}),
        },
    ]
}

impl Subject {
    fn judged(&self, keys: &WebhookAuth, headers: &HeaderMap, body: &[u8]) -> Result<(), Rejected> {
        let at = CheckedAt { now: now(), tolerance_ms: 300_000 };
        receive(&*self.provider, keys, Webhook { headers, body }, &at).map(|_| ())
    }

    async fn place(&self, answer: Result<(u16, String), TransportError>) -> Reply {
        self.wire.answer([answer]);
        let body = self.provider.order(&order(Channel::Voice));
        let placement = Placement { channel: Channel::Voice, dispatch: "dp_1", body, ready: None };
        self.provider.place(KEY, placement).await
    }
}

fn order(channel: Channel) -> CallOrder {
    let id = |n| uuid::Uuid::from_u128(n);
    CallOrder {
        channel,
        from: Phone::parse(LINE).expect("a number"),
        from_id: Some("number_7".to_owned()),
        to: Phone::parse(PERSON).expect("a number"),
        agent: "agent_1".to_owned(),
        version: Version::LatestPublished,
        variables: [].into(),
        metadata: None,
        reason: RedialReason::CallbackRequested,
        attempt: 1,
        is_final: false,
        callback: Id::from_uuid(id(1)),
        chain: Id::from_uuid(id(1)),
        dispatch: Id::from_uuid(id(2)),
    }
}

#[test]
fn only_an_authentic_webhook_is_read() {
    for subject in subjects() {
        let title = subject.provider.title();
        let body = (subject.ended)("call_1", None).to_string();
        let auth = WebhookAuth::of_key(KEY);
        let good = (subject.sign)(KEY, body.as_bytes(), now());
        assert_eq!(subject.judged(&auth, &good, body.as_bytes()), Ok(()), "{title}");
        let mut twice = good.clone();
        for (name, value) in &good {
            twice.append(name, value.clone());
        }
        let other = (subject.sign)("key_of_somebody_else", body.as_bytes(), now());
        let empty = (subject.sign)("", body.as_bytes(), now());
        for (headers, keys) in [
            (&HeaderMap::new(), &auth),
            (&twice, &auth),
            (&other, &auth),
            (&empty, &WebhookAuth::of_key("")),
            (&good, &WebhookAuth::default()),
        ] {
            let judged = subject.judged(keys, headers, body.as_bytes());
            assert!(matches!(judged, Err(Rejected::Signature(_))), "{title} {headers:?}");
        }
        let mut replaced = auth;
        replaced.replace("key_new", now(), now());
        assert_eq!(subject.judged(&replaced, &good, body.as_bytes()), Ok(()), "{title}: any key will do");
        let past = replaced.valid_at(now());
        assert!(subject.judged(&past, &good, body.as_bytes()).is_err(), "{title}: its time is over");
        let odd = (subject.sign)(KEY, b"<html>", now());
        let not_json = subject.judged(&WebhookAuth::of_key(KEY), &odd, b"<html>");
        assert!(matches!(not_json, Err(Rejected::NotJson(_))), "{title}");
    }
}

#[test]
fn an_ended_call_is_read_and_its_copies_are_known() {
    for subject in subjects() {
        let title = subject.provider.title();
        let read = |id: &str, dispatch: Option<&str>| {
            let body = (subject.ended)(id, dispatch).to_string();
            let event = subject.provider.read(body.as_bytes()).expect("JSON");
            assert_eq!(&*event.delivery.body, body.as_bytes(), "{title}: byte for byte");
            (
                event.content.facts("callback").expect("a call"),
                event.delivery.call_id,
                event.delivery.dedup_key,
            )
        };
        let (facts, call_id, dedup_key) = read("call_1", Some("dp_1"));
        assert_eq!((facts.call_id.as_str(), call_id.as_deref()), ("call_1", Some("call_1")), "{title}");
        assert_eq!(facts.direction, Some(Direction::Outbound), "{title}");
        assert_eq!(facts.person_number.as_deref(), Some(PERSON), "{title}");
        assert_eq!(facts.agent_number.as_deref(), Some(LINE), "{title}");
        assert_eq!(facts.agent.as_deref(), Some("agent_1"), "{title}");
        assert_eq!(facts.tags.map(|tags| tags.dispatch).as_deref(), Some("dp_1"), "{title}");
        assert!(facts.ended_at > facts.started_at && facts.outcome.is_some(), "{title}");
        assert_eq!(dedup_key, read("call_1", Some("dp_1")).2, "{title}");
        let (inbound, ..) = read("call_2", None);
        assert_eq!(inbound.direction, Some(Direction::Inbound), "{title}");
        assert_eq!(inbound.person_number.as_deref(), Some(PERSON), "{title}");
        assert_eq!(inbound.tags, None, "{title}");
        for odd in ["{}", "[]", "7", "null", r#"{"event":7,"call":[],"id":{}}"#] {
            let event = subject.provider.read(odd.as_bytes()).expect("JSON");
            assert!(event.content.facts("callback").is_none(), "{title}: nothing follows from {odd}");
        }
    }
}

#[test]
fn an_order_says_whom_and_carries_its_dispatch() {
    for subject in subjects() {
        let (title, can) = (subject.provider.title(), subject.provider.capabilities());
        for channel in can.channels {
            let order = order(*channel);
            let bytes = subject.provider.order(&order);
            assert_eq!(bytes, subject.provider.order(&order), "{title}: the same bytes every time");
            let text = String::from_utf8(bytes).expect("text");
            let dispatch = order.dispatch.to_string();
            let from = if can.dials_by_number_id { "number_7" } else { LINE };
            for text_part in [PERSON, "agent_1", &dispatch, from] {
                assert!(text.contains(text_part), "{title}: {text_part} is not in {text}");
            }
            // A repeat places at most one call only if the provider recognizes it as a repeat.
            let keyed = text.matches(&dispatch).count() > 1;
            assert_eq!(keyed, can.repeats_for(*channel).is_some(), "{title} {channel:?}");
        }
    }
}

#[tokio::test]
async fn only_a_clear_no_is_a_no_and_a_dial_leaves_once() {
    for subject in subjects() {
        let title = subject.provider.title();
        let body = (subject.placed)("call_1").to_string();
        let call_id = "call_1".to_owned();
        assert_eq!(subject.place(Ok((201, body))).await, Reply::Placed { call_id }, "{title}");
        assert_eq!(subject.wire.requests.lock().expect("free").len(), 1, "{title}");
        let lost = Err(TransportError::Unknown("gone".to_owned()));
        for answer in [Ok((200, "{}".to_owned())), Ok((200, "<html>".to_owned())), lost] {
            assert!(matches!(subject.place(answer).await, Reply::Uncertain { .. }), "{title}");
        }
        for status in [302, 408, 409, 500, 502, 503, 504] {
            let reply = subject.place(Ok((status, "{}".to_owned()))).await;
            assert!(matches!(reply, Reply::Uncertain { .. }), "{title} {status}: {reply:?}");
        }
        for (status, want) in [
            (401, "Key"),
            (403, "Key"),
            (402, "Payment"),
            (404, "Permanent"),
            (422, "Permanent"),
            (429, "Throttled"),
        ] {
            let reply = subject.place(Ok((status, "{}".to_owned()))).await;
            let Reply::Refused(refusal) = &reply else { panic!("{title} {status}: {reply:?}") };
            assert!(format!("{refusal:?}").starts_with(want), "{title} {status}: {refusal:?}");
        }
        let slow = subject.place(Ok((429, "{}".to_owned()))).await;
        assert_eq!(slow, Reply::Refused(Refusal::Throttled { after_secs: Some(7) }), "{title}");
        let unsent = subject.place(Err(TransportError::NotSent("no route".to_owned()))).await;
        assert!(matches!(unsent, Reply::NotSent { .. }), "{title}");
        subject.wire.answer([]);
        let lost = || false;
        let body = subject.provider.order(&order(Channel::Voice));
        let placement = Placement { channel: Channel::Voice, dispatch: "dp_1", body, ready: Some(&lost) };
        let reply = subject.provider.place(KEY, placement).await;
        assert!(matches!(reply, Reply::NotSent { .. }), "{title}: the right to send it was lost");
        assert!(subject.wire.requests.lock().expect("free").is_empty(), "{title}");
    }
}

#[tokio::test]
async fn a_dispatch_is_absent_only_from_a_complete_list() {
    for subject in subjects() {
        let title = subject.provider.title();
        let find = async |answer: Result<(u16, String), TransportError>| {
            subject.wire.answer([answer]);
            let query =
                DispatchQuery { channel: Channel::Voice, dispatch: "dp_1", to: PERSON, sent_at: now() };
            subject.provider.find(KEY, query).await
        };
        let listed = |call| Ok((200, (subject.listed)(call).to_string()));
        assert_eq!(find(listed(Some(("c1", "dp_1")))).await, Ok(Finding::Call("c1".to_owned())), "{title}");
        assert_eq!(find(listed(Some(("c2", "dp_2")))).await, Ok(Finding::Absent), "{title}");
        assert_eq!(find(listed(None)).await, Ok(Finding::Absent), "{title}");
        let broken = || Err(TransportError::Unknown("gone".to_owned()));
        for answer in
            [Ok((500, String::new())), Ok((200, "<html>".to_owned())), Ok((200, "7".to_owned())), broken()]
        {
            assert!(find(answer).await.is_err(), "{title}: that proves nothing");
        }
    }
}

#[tokio::test]
async fn a_record_enters_as_an_event_of_its_own() {
    for subject in subjects() {
        let title = subject.provider.title();
        subject.wire.answer([Ok((200, (subject.record)("call_1").to_string()))]);
        let query = CallQuery { channel: Channel::Voice, id: "call_1", placed_by: None };
        let record = subject.provider.record(KEY, query).await.expect("read").expect("a record");
        assert!(record.is_over, "{title}");
        assert_eq!(record.agent.as_deref(), Some("agent_1"), "{title}");
        assert_eq!(record.delivery.call_id.as_deref(), Some("call_1"), "{title}");
        let event = subject.provider.read(&record.delivery.body).expect("JSON");
        assert_eq!(event.content.facts("callback").expect("a call").call_id, "call_1", "{title}");
        let webhook = event.delivery.dedup_key;
        assert_ne!(record.delivery.dedup_key, webhook, "{title}: the webhook itself is still taken");
    }
}

#[tokio::test]
async fn a_failed_read_is_reported_in_the_providers_name_and_without_the_key() {
    for subject in subjects() {
        let (title, provider) = (subject.provider.title(), &subject.provider);
        for status in [401, 402, 403, 404, 429, 500] {
            let message = format!(r#"{{"message":"No, {KEY}","error":"No"}}"#);
            let answer = || subject.wire.answer([Ok((status, message.clone()))]);
            let query = CallQuery { channel: Channel::Voice, id: "call_1", placed_by: None };
            answer();
            let mut failures: Vec<ReadError> = vec![provider.agents(KEY).await.expect_err("refused")];
            answer();
            failures.push(provider.numbers(KEY).await.expect_err("refused"));
            answer();
            failures.push(provider.record(KEY, query).await.map(|_| ()).expect_err("refused"));
            answer();
            failures.push(provider.calls(KEY, Channel::Voice, None).await.map(|_| ()).expect_err("refused"));
            for error in failures {
                let sentence = error.to_string();
                assert!(sentence.contains(title) && !sentence.contains(KEY), "{sentence}");
                let is_right = match status {
                    401 => matches!(error.failure, ReadFailure::KeyRefused { .. }),
                    402 => matches!(error.failure, ReadFailure::Payment { .. }),
                    403 => matches!(error.failure, ReadFailure::Forbidden { .. }),
                    404 => matches!(error.failure, ReadFailure::Unknown(404)),
                    429 => error.failure == ReadFailure::Throttled { after_secs: Some(7) },
                    _ => matches!(error.failure, ReadFailure::Unavailable(_)),
                };
                assert!(is_right, "{title} {status}: {error:?}");
            }
        }
    }
}
