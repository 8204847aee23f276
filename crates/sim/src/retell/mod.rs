//! A simulated Retell: its REST API, its signed webhooks, and scripted people who answer or do not.
//!
//! [`script`]: the scripted world. [`routes`]: the API. [`calls`]: the steps of a call. [`webhooks`]: the webhooks that
//! report them. [`stateless`]: calls without stored state. [`filter`]: the filters of the lists. [`keys`]: the permissions
//! of keys. Besides Retell's own paths, `/sim/…` is a control API for the world.

mod calls;
mod filter;
mod keys;
mod routes;
pub mod script;
pub mod stateless;
mod webhooks;
mod world;

use std::sync::Arc;

use axum::Router;
use redialer_core::permission::Permission;
use serde_json::Value;

use crate::SimTime;
pub use keys::{Key, KeyState};
pub use script::{Fault, Script, ScriptedCall};
pub use webhooks::Webhook;
pub use world::PlacedCall;

/// The display name of the simulated provider.
pub const PROVIDER_TITLE: &str = "Retell";

/// A simulated Retell.
#[derive(Clone)]
pub struct Retell(Arc<world::World>);

impl Retell {
    /// Creates a world from a script, on the given clock; `http` sends its webhooks. [`Retell::play`] starts the scripted
    /// calls.
    pub fn new(script: Script, time: SimTime, http: reqwest::Client) -> Self {
        Self(Arc::new(world::World::new(script, time, http, false)))
    }

    /// Creates a manually stepped world: [`Retell::step`] takes the due steps, and its caller sends the webhooks.
    pub fn manually_stepped(script: Script, time: SimTime, http: reqwest::Client) -> Self {
        Self(Arc::new(world::World::new(script, time, http, true)))
    }

    /// When the next step of a manually stepped world is due.
    pub fn next_at(&self) -> Option<redialer_core::Timestamp> {
        self.0.next_at()
    }

    /// Takes every due step; returns the webhooks to send.
    pub fn step(&self) -> Vec<Webhook> {
        calls::due_steps(&self.0)
    }

    /// The HTTP routes.
    pub fn router(&self) -> Router {
        routes::all(Arc::clone(&self.0))
    }

    /// Starts the scripted calls, each after its delay.
    pub fn play(&self) {
        for scripted in self.0.script().calls.clone() {
            let world = Arc::clone(&self.0);
            tokio::spawn(async move {
                world.time.sleep(scripted.after_seconds).await;
                calls::start_call(&world, &scripted);
            });
        }
    }

    /// Starts one call now; returns its id.
    pub fn start_call(&self, scripted: &ScriptedCall) -> String {
        calls::start_call(&self.0, scripted)
    }

    /// Replaces the scripted behavior of a person on the next calls.
    pub fn set_person(&self, number: &str, behaviors: Vec<script::Behavior>) {
        self.0.script().people.insert(number.to_owned(), behaviors.into());
    }

    /// Adds a fault to the queue for the next requests to place a call; each request takes one.
    pub fn fail_next(&self, fault: Fault) {
        self.0.script().faults.push_back(fault);
    }

    /// Restricts a key to these permissions; creates the key if the account does not have it.
    pub fn set_key_permissions(&self, key: &str, permissions: &[Permission]) {
        let mut script = self.0.script();
        script.keys.entry(key.to_owned()).or_default().permissions = Some(permissions.to_vec());
    }

    /// Sets the state of a key: revoked, unpaid or good again.
    pub fn set_key_state(&self, key: &str, state: KeyState) {
        self.0.script().keys.entry(key.to_owned()).or_default().state = state;
    }

    /// Changes the script while the world runs.
    pub fn edit_script(&self, edit: impl FnOnce(&mut Script)) {
        edit(&mut self.0.script());
    }

    /// Sets the webhook URL for agents without their own.
    pub fn set_webhook_url(&self, url: &str) {
        self.0.script().webhook_url = Some(url.to_owned());
    }

    /// Sets the webhook URL of one agent.
    pub fn set_agent_webhook_url(&self, agent_id: &str, url: &str) {
        if let Some(agent) = self.0.script().agents.iter_mut().find(|a| a.agent_id == agent_id) {
            agent.webhook_url = Some(url.to_owned());
        }
    }

    /// Every call and chat that was placed through the API, in order.
    pub fn placed_calls(&self) -> Vec<PlacedCall> {
        self.0.state().placed_calls.clone()
    }

    /// The number of requests to place a call that were received.
    pub fn requests_to_place(&self) -> usize {
        self.0.state().requests
    }

    /// A call or chat object as Retell would show it.
    pub fn record(&self, id: &str) -> Option<Value> {
        self.0.state().record(id).cloned()
    }
}
