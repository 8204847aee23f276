//! The transport between a replica and the Retell simulator: no sockets, but every way in which they fail.

use std::sync::Arc;

use axum::{Router, body::Body};
use http_body_util::BodyExt as _;
use redialer_providers::http::{Answer, Request, SendFuture, Transport, TransportError};
use redialer_sim::retell::{Fault, Retell};
use serde_json::Value;
use tower::ServiceExt as _;

use super::{
    bugs::Bug,
    laws::Laws,
    shared::{Fate, Gate, Shared},
};
use crate::harness::KEY;

/// The page after the filler: the provider's first one.
const FIRST_PAGE: &str = "filler-none";

/// A list without the entries that hide their metadata.
fn without_hidden(text: &str) -> String {
    let Ok(mut page) = serde_json::from_str::<Value>(text) else { return text.to_owned() };
    if let Some(items) = page["items"].as_array_mut() {
        items.retain(|item| item["metadata"].is_object());
    }
    page.to_string()
}

/// The deadline of a request to place a call, in milliseconds.
pub(super) const PLACE_DEADLINE_MS: i64 = 120_000;

pub(super) struct SimWire {
    pub(super) shared: Arc<Shared>,
    pub(super) laws: Arc<Laws>,
    pub(super) sim: Retell,
    pub(super) router: Router,
}

impl Transport for SimWire {
    fn send<'a>(&'a self, request: Request<'a>) -> SendFuture<'a> {
        Box::pin(async move {
            if !request.places {
                return self.read(request).await;
            }
            let again = Request {
                method: request.method.clone(),
                url: request.url.clone(),
                key: request.key.clone(),
                body: request.body.clone(),
                places: true,
                ready: request.ready,
            };
            let first = self.place(again).await;
            match first {
                Err(TransportError::Unknown(_)) if self.shared.has(Bug::RetryOnTimeout) => {
                    self.place(request).await
                }
                first => first,
            }
        })
    }
}

impl SimWire {
    async fn place(&self, mut request: Request<'_>) -> Result<Answer, TransportError> {
        let shared = &self.shared;
        let begun_ms = shared.now_ms();
        let is_late = || shared.now_ms() - begun_ms >= PLACE_DEADLINE_MS;
        let timed_out = || Err(TransportError::Unknown("timed out".to_owned()));
        match shared.park(Gate::Sending).await {
            Fate::Unsent => return Err(TransportError::NotSent("could not connect".to_owned())),
            Fate::Lost => return Err(TransportError::Unknown("the connection broke".to_owned())),
            Fate::Go | Fate::BadGateway if is_late() => return timed_out(),
            Fate::Go | Fate::BadGateway => {}
        }
        if request.ready.is_some_and(|is_ready| !is_ready()) {
            return Err(TransportError::NotSent("the right to send it was lost while connecting".to_owned()));
        }
        if shared.has(Bug::ForgetTheFinalFlag)
            && let Some(body) = &mut request.body
        {
            let text = String::from_utf8_lossy(body)
                .replace("is_final_attempt\":\"true\"", "is_final_attempt\":\"false\"");
            *body = text.into_bytes();
        }
        let order: Value = serde_json::from_slice(request.body.as_deref().unwrap_or_default()).expect("JSON");
        self.laws.at_arrival(&order).await;
        if shared.faults_on() && shared.sometimes(12.0) {
            let faults = [
                Fault::ErrorBefore,
                Fault::ErrorAfter,
                Fault::Throttled,
                Fault::Html,
                Fault::HtmlOk,
                Fault::Payment,
            ];
            let fault = faults[shared.below(faults.len())];
            shared.note(&format!("the provider: {fault:?}"));
            self.sim.fail_next(fault);
        } else {
            self.sim.fail_next(Fault::None);
        }
        let answer = self.exchange(request).await;
        shared.note(&format!("the provider answers {}", answer.status));
        match shared.park(Gate::Answering).await {
            Fate::Lost | Fate::Unsent => Err(TransportError::Unknown("the connection broke".to_owned())),
            _ if is_late() => timed_out(),
            Fate::BadGateway => Ok(Answer { status: 502, after_secs: None, text: Ok(String::new()) }),
            Fate::Go => Ok(self.received(answer)),
        }
    }

    /// Tracks refusals of the key in an answer that reaches the process.
    fn received(&self, answer: Answer) -> Answer {
        match answer.status {
            401 => self.shared.set_refused(true),
            200..=299 => self.shared.set_refused(false),
            _ => {}
        }
        answer
    }

    async fn read(&self, request: Request<'_>) -> Result<Answer, TransportError> {
        let shared = &self.shared;
        let is_list = request.url.contains("/v3/list-");
        let often = match is_list {
            // Where a failed list counts as empty, it must fail twice for the same dial.
            true if shared.has(Bug::FailingListIsEmpty) => 80.0,
            true => 30.0,
            false => 8.0,
        };
        if shared.faults_on() && shared.sometimes(often) {
            if is_list && shared.has(Bug::FailingListIsEmpty) {
                let text = Ok(r#"{"items":[],"has_more":false}"#.to_owned());
                return Ok(Answer { status: 200, after_secs: None, text });
            }
            let status = if shared.sometimes(50.0) { 500 } else { 429 };
            return Ok(Answer { status, after_secs: Some(2), text: Ok(String::new()) });
        }
        if let Some(answer) = self.filler(&request) {
            return Ok(answer);
        }
        if request.url.rsplit('/').next().is_some_and(|id| shared.has_lost(id)) {
            return Ok(Answer { status: 404, after_secs: None, text: Ok("{}".to_owned()) });
        }
        // Another tenant's key belongs to another account.
        let is_ours = request.key == KEY;
        let mut answer = self.exchange(request).await;
        if is_ours {
            answer = self.received(answer);
        }
        if is_list && shared.has(Bug::HiddenMetadataIsAbsent) {
            answer.text = answer.text.map(|text| without_hidden(&text));
        }
        Ok(answer)
    }

    /// A page of other agents' calls; a large account has thousands of them before ours.
    fn filler(&self, request: &Request<'_>) -> Option<Answer> {
        const PREFIX: &str = "filler-";
        let pages = self.shared.filler_pages();
        let query: Value = serde_json::from_slice(request.body.as_deref()?).ok()?;
        if pages == 0 || !request.url.ends_with("/v3/list-calls") || !query["filter_criteria"].is_null() {
            return None;
        }
        let key = query["pagination_key"].as_str();
        let page: usize = match key {
            None => 0,
            Some(key) => key.strip_prefix(PREFIX)?.parse().ok()?,
        };
        let more = !(page >= 49 && self.shared.has(Bug::HalfAListIsAll));
        // After the last one, the provider's own list starts.
        let next = if page + 1 < pages { format!("{PREFIX}{}", page + 1) } else { FIRST_PAGE.to_owned() };
        let call = serde_json::json!({
            "call_id": format!("call_filler_{page}"), "agent_id": "agent_of_another_team",
            "start_timestamp": self.shared.now_ms(), "end_timestamp": self.shared.now_ms(),
        });
        let text = serde_json::json!({"items": [call], "has_more": more, "pagination_key": next});
        Some(Answer { status: 200, after_secs: None, text: Ok(text.to_string()) })
    }

    async fn exchange(&self, mut request: Request<'_>) -> Answer {
        if let Some(body) = &mut request.body {
            let text = String::from_utf8_lossy(body);
            if text.contains(FIRST_PAGE) {
                let mut query: Value = serde_json::from_str(&text).expect("JSON");
                query.as_object_mut().expect("an object").remove("pagination_key");
                *body = query.to_string().into_bytes();
            }
        }
        let path = request
            .url
            .split_once("//")
            .and_then(|(_, rest)| rest.split_once('/'))
            .map_or("", |(_, path)| path);
        let request = axum::http::Request::builder()
            .method(request.method)
            .uri(format!("/{path}"))
            .header("authorization", format!("Bearer {}", request.key))
            .header("content-type", "application/json")
            .body(Body::from(request.body.unwrap_or_default()))
            .expect("a request");
        let answer = self.router.clone().oneshot(request).await.expect("never fails");
        let status = answer.status().as_u16();
        let after_secs = answer.headers().get("ratelimit-reset").and_then(|v| v.to_str().ok()?.parse().ok());
        let text = match answer.into_body().collect().await {
            Ok(body) => Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned()),
            Err(_) => Err("the connection broke".to_owned()),
        };
        Answer { status, after_secs, text }
    }
}
