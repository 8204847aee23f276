//! Claims that may become intents, with the values of their statements.

use redialer_core::{
    Id, Timestamp,
    decide::{Attempt, GateRecord},
    dispatch,
    fuse::FuseLimits,
    id,
    rng::Rng,
};

use crate::{
    Claim, TenantKey,
    callbacks::columns::gates_text,
    db::{Value, row},
};

/// The contents of an intent.
pub struct NewDispatch {
    /// Its id, which the body contains too.
    pub id: Id<id::Dispatch>,
    /// Which dial of its chain it is.
    pub attempt: Attempt,
    /// The gates that it passed.
    pub gates: Vec<GateRecord>,
    /// The exact bytes of the request.
    pub body: Vec<u8>,
    /// The latest time at which the request may be in flight, in milliseconds on the real clock.
    pub lease_until_ms: i64,
    /// Calls per month that the tenant's plan allows; `None` for no limit.
    pub calls_a_month: Option<u64>,
    /// The limits on calls to one number.
    pub fuse: FuseLimits,
    /// The provider's account that the request is sent to.
    pub account: Option<String>,
    /// The callback's sealed secrets with the number that is dialed from, if they changed.
    pub secrets: Option<Vec<u8>>,
}

pub(crate) const BODY: &str = "dispatches.sealed";

/// A claim that may become an intent.
pub(crate) struct Prepared {
    pub(crate) claim: Claim,
    pub(crate) new: NewDispatch,
    sealed: Vec<u8>,
    pub(crate) now: Timestamp,
}

impl Prepared {
    pub(crate) fn new(claim: Claim, new: NewDispatch, key: &TenantKey, rng: &Rng, now: Timestamp) -> Self {
        let sealed = key.seal(BODY, new.id.uuid(), &new.body, rng);
        Self { claim, new, sealed, now }
    }

    pub(crate) fn guard(&self) -> Vec<Value> {
        let (c, n) = (&self.claim, &self.new);
        row![
            c.bucket,
            c.id,
            c.fence,
            c.attempts_used,
            n.id,
            n.attempt.number,
            n.attempt.max,
            n.attempt.is_final,
            n.lease_until_ms,
            self.now,
            n.secrets.clone()
        ]
    }

    pub(crate) fn put(&self) -> Vec<Value> {
        let (c, n) = (&self.claim, &self.new);
        row![
            c.bucket,
            n.id,
            c.tenant,
            c.workspace,
            c.id,
            c.channel.as_str(),
            dispatch::State::Intent.as_str(),
            n.attempt.number,
            self.sealed.as_slice(),
            self.now,
            0_i64,
            self.now,
            c.phone_hash,
            n.account.clone(),
            gates_text(&n.gates)
        ]
    }
}
