//! A simulated Retell on a local port.

use std::sync::Arc;

use redialer_core::{Timestamp, agent::Channel};
use redialer_providers::{
    Provider,
    http::{Clients, PLACE_DEADLINE},
    retell::api::Api,
};
use redialer_sim::{
    SimTime,
    retell::{Retell, Script},
};

/// The default API key of a script.
pub(crate) const KEY: &str = "key_sim_0001";
/// The number that the tests dial.
pub(crate) const PERSON: &str = "+14155550117";

/// Serves a world whose clock stands still; returns the simulator, a client for it, and its base URL.
pub(crate) async fn serve(script: Script) -> (Retell, Arc<dyn Provider>, String) {
    let clients = Clients::new(PLACE_DEADLINE).expect("clients");
    let time = SimTime::new(now, |_| std::future::pending::<()>());
    let sim = Retell::manually_stepped(script, time, clients.reading.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let router = sim.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (sim, Arc::new(Api::new(Arc::new(clients), &base)), base)
}

pub(crate) fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().expect("a time")
}

/// A request to place a call or chat that carries this dispatch.
pub(crate) fn order(channel: Channel, dispatch: &str) -> Vec<u8> {
    let agent = match channel {
        Channel::Voice => "agent_sim_front_desk",
        Channel::Chat => "agent_sim_sms_desk",
    };
    let body = serde_json::json!({
        "from_number": "+12025550100", "to_number": PERSON, "override_agent_id": agent,
        "metadata": {"redialer_dispatch": dispatch}, "retell_llm_dynamic_variables": {},
    });
    body.to_string().into_bytes()
}
