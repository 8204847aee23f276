//! A pretend Retell: its REST API, its signed webhooks, and people who answer, or do not.
//!
//! [`script`]: who lives in this world. [`routes`]: the API. [`calls`]: what becomes of a call. [`webhooks`]:
//! how it is told. [`stateless`]: calls without a world. [`filter`]: the lists' filters. [`keys`]: what a key may do. Besides Retell's own paths there are `/sim/…` for the
//! scene-shifter.

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
pub use world::Ring;

/// The provider that it plays, for people.
pub const PLAYS: &str = "Retell";

/// A pretend Retell.
#[derive(Clone)]
pub struct Retell(Arc<world::World>);

impl Retell {
    /// A world as scripted, on somebody's clock; webhooks leave through `http`. The scripted calls begin with
    /// [`Retell::play`].
    pub fn new(script: Script, time: SimTime, http: reqwest::Client) -> Self {
        Self(Arc::new(world::World::new(script, time, http, false)))
    }

    /// A world in which nothing happens by itself: [`Retell::step`] moves it, and whoever does delivers its webhooks.
    pub fn by_hand(script: Script, time: SimTime, http: reqwest::Client) -> Self {
        Self(Arc::new(world::World::new(script, time, http, true)))
    }

    /// When something happens next in a world moved by hand.
    pub fn next_at(&self) -> Option<redialer_core::Timestamp> {
        self.0.next_at()
    }

    /// Lets everything happen that is due; what is told of it.
    pub fn step(&self) -> Vec<Webhook> {
        calls::due_steps(&self.0)
    }

    /// The HTTP surface.
    pub fn router(&self) -> Router {
        routes::all(Arc::clone(&self.0))
    }

    /// Lets the scripted calls happen.
    pub fn play(&self) {
        for scene in self.0.script().calls.clone() {
            let world = Arc::clone(&self.0);
            tokio::spawn(async move {
                world.time.pass(scene.after_seconds).await;
                calls::happen(&world, &scene);
            });
        }
    }

    /// Lets one call happen now; its id.
    pub fn happen(&self, scene: &ScriptedCall) -> String {
        calls::happen(&self.0, scene)
    }

    /// What that person does next, before whatever was scripted.
    pub fn set_person(&self, number: &str, does: Vec<script::Does>) {
        self.0.script().people.insert(number.to_owned(), does.into());
    }

    /// The next requests to place a call go wrong like this.
    pub fn break_next(&self, fault: Fault) {
        self.0.script().faults.push_back(fault);
    }

    /// Restricts a key to these permissions; a key that the account does not have yet is made.
    pub fn set_key_permissions(&self, key: &str, permissions: &[Permission]) {
        let mut script = self.0.script();
        script.keys.entry(key.to_owned()).or_default().permissions = Some(permissions.to_vec());
    }

    /// Revokes a key, lets its account run out of money, or mends it.
    pub fn set_key_state(&self, key: &str, state: KeyState) {
        self.0.script().keys.entry(key.to_owned()).or_default().state = state;
    }

    /// Changes the script while the world runs.
    pub fn rewrite(&self, how: impl FnOnce(&mut Script)) {
        how(&mut self.0.script());
    }

    /// Where webhooks of agents without a URL of their own go.
    pub fn set_webhook_url(&self, url: &str) {
        self.0.script().webhook_url = Some(url.to_owned());
    }

    /// Where one agent's webhooks go.
    pub fn set_agent_webhook_url(&self, agent_id: &str, url: &str) {
        if let Some(agent) = self.0.script().agents.iter_mut().find(|a| a.agent_id == agent_id) {
            agent.webhook_url = Some(url.to_owned());
        }
    }

    /// Every call and chat that was placed through the API, in order: the phones that rang.
    pub fn rings(&self) -> Vec<Ring> {
        self.0.state().rings.clone()
    }

    /// How many requests to place a call were received.
    pub fn requests_to_place(&self) -> usize {
        self.0.state().requests
    }

    /// A call or chat object as Retell would show it.
    pub fn record(&self, id: &str) -> Option<Value> {
        self.0.state().record(id).cloned()
    }
}
