//! A fresh event: read by whoever received it, decided by the inbox's writer, in the commit that records it.
//!
//! Invariant: what is worked out here depends on nothing that may change meanwhile but the settings, which are a
//! second old at most; what is known of the call and the person comes from the writer's own reading.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use redialer_core::{
    Id, Phone,
    call::{CallFacts, Turn},
    chance::Chance,
    id,
};
use redialer_providers::retell::webhook::Received;
use redialer_store::{Decided, Decider, Desk, Fresh, KnownCase, TenantKey};
use tokio::runtime::{Handle, RuntimeFlavor};

use super::{Reading, after_call, following};
use crate::app::App;

/// Reads an event, as far as it can be decided when it is recorded.
///
/// `agent` is whose slug it came with.
pub fn read(
    app: &Arc<App>,
    desk: &Desk,
    agent: Id<id::Agent>,
    received: &Received<'_>,
    key: TenantKey,
) -> redialer_store::Reading {
    // A panic is this event's own: the inbox's loop will meet it again, count it and set the event aside.
    let event = off_the_worker(|| {
        catch_unwind(AssertUnwindSafe(|| {
            let facts = received.facts(&desk.workspace.defaults.callback_field)?;
            // A tag that is no dispatch id of ours is the user's own business.
            let is_ours =
                facts.tags.as_ref().is_some_and(|tags| tags.dispatch.parse::<Id<id::Dispatch>>().is_ok());
            let conversation = || received.conversation();
            Some((!is_ours).then(|| Event::of(app, desk, agent, facts, conversation, key)))
        }))
    });
    match event {
        Ok(Some(Some(event))) => redialer_store::Reading::Fresh(Fresh {
            call_id: event.reading.facts.call_id.clone(),
            person_ix: event.reading.person_ix,
            channel: event.reading.facts.channel,
            decider: Box::new(event),
        }),
        // Events of other kinds are kept for whoever forwards them; nothing follows from them here.
        Ok(None) => redialer_store::Reading::Nothing,
        Ok(Some(None)) | Err(_) => redialer_store::Reading::Later,
    }
}

/// Runs what may take milliseconds of CPU where it holds up no other request.
fn off_the_worker<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|here| here.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

struct Event {
    app: Arc<App>,
    key: TenantKey,
    reading: Reading,
    /// Of the callback that may follow.
    id: Id<id::Callback>,
    sealed: Option<Vec<u8>>,
}

impl Event {
    fn of(
        app: &Arc<App>,
        desk: &Desk,
        agent: Id<id::Agent>,
        facts: CallFacts,
        conversation: impl FnOnce() -> Vec<Turn>,
        key: TenantKey,
    ) -> Self {
        let seat = match &facts.agent {
            Some(id) => desk.by_provider_id(id),
            None => desk.agent(agent),
        };
        let now = app.clock.now();
        let reading = Reading::of(now, desk, &key, facts, conversation, seat.cloned(), None);
        let id = Id::new(now, &app.chance);
        // Sealed here, where others seal beside us, and not by the one writer.
        let may_follow = reading.facts.asked.callback && reading.whom.person.is_some();
        let sealed = may_follow.then(|| reading.secrets.seal(id, &key, &app.chance));
        Self { app: Arc::clone(app), key, reading, id, sealed }
    }
}

impl Decider for Event {
    fn decide(&self, known: &KnownCase) -> Decided<'_> {
        Decided {
            after: after_call(&self.app, &self.reading, &known.seen, None, known.person.as_ref()),
            following: following(self.id, &self.reading),
            sealed: self.sealed.as_deref(),
            number: self.reading.whom.person.as_ref().map(Phone::e164),
            now: self.app.clock.now(),
        }
    }

    fn key(&self) -> &TenantKey {
        &self.key
    }

    fn chance(&self) -> &Chance {
        &self.app.chance
    }
}
