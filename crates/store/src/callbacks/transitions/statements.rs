//! The statements that change callbacks, each with the states it may start from and lead to.

use redialer_core::callback::State;

use crate::log::outbox::RESCHEDULED;

/// A change of state.
pub(super) struct Transition {
    pub(super) from: &'static [State],
    pub(super) to: &'static [State],
    /// The name of the event for a change to `scheduled`; `None` if there is no event.
    pub(super) scheduled: Option<&'static str>,
    pub(super) sql: &'static str,
}

impl Transition {
    /// Whether core's table allows each of its changes.
    pub(super) fn is_allowed(&self) -> bool {
        let allows = |from: &State| self.to.iter().all(|to| to == from || from.may_become(*to));
        self.from.iter().all(allows)
    }
}

// The columns that every statement returns: enough to build a claim and an outbox row.
macro_rules! returning {
    ($($sql:expr),+ $(; $more:expr)?) => {
        concat!($($sql),+, " returning callbacks.bucket, callbacks.id, callbacks.fence, callbacks.tenant_id,
             callbacks.workspace_id, callbacks.agent_id, callbacks.chain_id, callbacks.channel, callbacks.state,
             callbacks.reason, callbacks.scheduled_for, callbacks.requested_for, callbacks.forced, callbacks.phone_hash,
             callbacks.timezone, callbacks.timezone_source, callbacks.due_at, callbacks.unplaced_tries, callbacks.failures,
             callbacks.sealed, callbacks.is_test" $(, $more)?)
    };
}

use State::{
    Canceled, Completed, Dialing, Dispatching, Exhausted, Expired, Failed, Held, Scheduled, Superseded,
    Suppressed, Unconfirmed,
};

/// Claims a due callback. `is true` keeps SQLite from starting with all scheduled callbacks.
pub(super) const CLAIM: Transition = Transition {
    from: &[Scheduled],
    to: &[Dispatching],
    scheduled: None,
    sql: returning!(
        "with v (bucket, id, now, lease_until, owner) as (values {rows})
         update callbacks set state = 'dispatching', fence = fence + 1, lease_owner = v.owner,
             lease_until = v.lease_until, updated_at = v.now
         from v
         where callbacks.bucket = v.bucket and callbacks.id = v.id
           and (callbacks.state = 'scheduled') is true and callbacks.due_at <= v.now";
        ", coalesce((select attempts_used from chains
                 where chains.bucket = callbacks.bucket and chains.id = callbacks.chain_id), 0) as attempts_used,
             exists (select 1 from suppressions where suppressions.bucket = callbacks.bucket
                 and suppressions.tenant_id = callbacks.tenant_id
                 and suppressions.phone_hash = callbacks.phone_hash) as suppressed"
    ),
};

/// Writes the intent of a claim. `is true` keeps SQLite from starting with all callbacks that are being dispatched.
pub(super) const INTEND: Transition = Transition {
    from: &[Dispatching],
    to: &[Dispatching],
    scheduled: None,
    sql: returning!(
        "with v (bucket, id, fence, attempts_used, dispatch_id, attempt, max_attempts, is_final, lease_until, now, sealed)
             as (values {rows})
         update callbacks set dispatch_id = v.dispatch_id, attempt = v.attempt, max_attempts = v.max_attempts,
             is_final = v.is_final, lease_until = v.lease_until, updated_at = v.now,
             sealed = coalesce(v.sealed, callbacks.sealed)
         from v
         where callbacks.bucket = v.bucket and callbacks.id = v.id and callbacks.fence = v.fence
           and (callbacks.state = 'dispatching') is true and callbacks.dispatch_id is null
           and exists (select 1 from agents where agents.id = callbacks.agent_id and agents.enabled)
           and exists (select 1 from workspaces where workspaces.id = callbacks.workspace_id
               and workspaces.paused is null and workspaces.deleted_at is null
               and workspaces.restore_generation = (select coalesce(max(generation), 0) from restore_generations))
           and v.attempts_used = (select attempts_used from chains
               where chains.bucket = callbacks.bucket and chains.id = callbacks.chain_id)
           and not exists (select 1 from suppressions where suppressions.bucket = callbacks.bucket
               and suppressions.tenant_id = callbacks.tenant_id
               and suppressions.phone_hash = callbacks.phone_hash)
           and not exists (select 1 from callbacks other cross join dispatches d
               where other.bucket = callbacks.bucket and other.chain_id = callbacks.chain_id
                 and other.chain_id <> other.id and other.id <> callbacks.id
                 and d.bucket = other.bucket and d.callback_id = other.id
                 and d.state in ('intent', 'unknown', 'placed') and d.state <> 'placed')
           and not exists (select 1 from dispatches d
               where callbacks.chain_id <> callbacks.id
                 and d.bucket = callbacks.bucket and d.callback_id = callbacks.chain_id
                 and d.state in ('intent', 'unknown', 'placed') and d.state <> 'placed')"
    ),
};

/// The provider has placed the call.
pub(super) const PLACE: Transition = Transition {
    from: &[Dispatching, Unconfirmed],
    to: &[Dialing],
    scheduled: None,
    sql: returning!(
        "with v (bucket, id, call_id, now) as (values {rows})
         update callbacks set state = 'dialing', provider_call_id = v.call_id, lease_until = null, updated_at = v.now,
             dialed_at = v.now
         from v
         where callbacks.bucket = v.bucket and callbacks.id = v.id and callbacks.state in ('dispatching', 'unconfirmed')"
    ),
};

/// It is unknown whether the request was placed. A fence names the claim of a dead process.
pub(super) const DOUBT: Transition = Transition {
    from: &[Dispatching],
    to: &[Unconfirmed],
    scheduled: None,
    sql: returning!(
        "with v (bucket, id, fence, now) as (values {rows})
         update callbacks set state = 'unconfirmed', lease_until = null, updated_at = v.now,
             fence = callbacks.fence + case when v.fence is null then 0 else 1 end
         from v
         where callbacks.bucket = v.bucket and callbacks.id = v.id and callbacks.state = 'dispatching'
           and (v.fence is null or (callbacks.fence = v.fence and callbacks.dispatch_id is not null))"
    ),
};

macro_rules! give_back {
    ($from:literal) => {
        returning!(
            "with v (bucket, id, state, held_for, due_at, scheduled_for, outcome, unplaced, newer, now) as (values {rows})
             update callbacks set state = v.state, held_for = v.held_for, due_at = v.due_at, lease_until = null,
                 dispatch_id = null, provider_call_id = null, updated_at = v.now, superseded_by = v.newer,
                 scheduled_for = coalesce(v.scheduled_for, callbacks.scheduled_for),
                 forced = case when v.outcome is null then callbacks.forced else false end,
                 outcome = coalesce(v.outcome, callbacks.outcome), unplaced_tries = callbacks.unplaced_tries + v.unplaced
             from v where callbacks.bucket = v.bucket and callbacks.id = v.id and ",
            $from
        )
    };
}

/// A callback returns to waiting, or is superseded if a newer one already waits for that person.
pub(super) const WAIT: Transition = Transition {
    from: &[Dispatching, Dialing, Unconfirmed],
    to: &[Scheduled, Superseded],
    scheduled: Some(RESCHEDULED),
    sql: give_back!("callbacks.state in ('dispatching', 'dialing', 'unconfirmed')"),
};

/// Same for a claim that is held until someone acts.
pub(super) const HOLD: Transition = Transition {
    from: &[Dispatching],
    to: &[Held, Superseded],
    scheduled: None,
    sql: give_back!("callbacks.state = 'dispatching'"),
};

/// A dial has ended.
pub(super) const CLOSE: Transition = Transition {
    from: &[Dispatching, Dialing, Unconfirmed],
    to: &[Completed, Failed, Exhausted, Suppressed],
    scheduled: None,
    sql: returning!(
        "with v (bucket, id, state, outcome, message, now) as (values {rows})
         update callbacks set state = v.state, outcome = v.outcome, lease_until = null, updated_at = v.now,
             outcome_message = coalesce(v.message, callbacks.outcome_message)
         from v
         where callbacks.bucket = v.bucket and callbacks.id = v.id
           and callbacks.state in ('dispatching', 'dialing', 'unconfirmed')"
    ),
};

/// A claim ends without a dial.
pub(super) const CLOSE_CLAIM: Transition = Transition {
    from: &[Dispatching],
    to: &[Failed, Exhausted, Expired, Suppressed, Canceled],
    scheduled: None,
    sql: returning!(
        "with v (bucket, id, fence, state, outcome, gates, now) as (values {rows})
         update callbacks set state = v.state, outcome = v.outcome, gates = v.gates, lease_until = null,
             updated_at = v.now
         from v
         where callbacks.bucket = v.bucket and callbacks.id = v.id and callbacks.fence = v.fence
           and callbacks.state = 'dispatching' and callbacks.dispatch_id is null"
    ),
};

/// A newer callback replaces a waiting one.
pub(super) const SUPERSEDE: Transition = Transition {
    from: &[Scheduled, Held],
    to: &[Superseded],
    scheduled: None,
    sql: returning!(
        "with v (bucket, id, superseded_by, outcome, now) as (values {rows})
         update callbacks set state = 'superseded', held_for = null, fence = fence + 1, updated_at = v.now,
             superseded_by = v.superseded_by, outcome = coalesce(v.outcome, callbacks.outcome)
         from v
         where callbacks.bucket = v.bucket and callbacks.id = v.id and callbacks.state in ('scheduled', 'held')"
    ),
};

/// The retry that a call led to becomes the request that its analysis contains.
pub(super) const REWRITE: Transition = Transition {
    from: &[Scheduled, Held],
    to: &[Scheduled, Held],
    scheduled: Some(RESCHEDULED),
    sql: returning!(
        "with v (bucket, id, state, held_for, reason, source_outcome, requested_for, scheduled_for, timezone, timezone_source,
             source_ended_at, sealed, now) as (values {rows})
         update callbacks set state = v.state, held_for = v.held_for, reason = v.reason, source_outcome = v.source_outcome,
             requested_for = v.requested_for, scheduled_for = v.scheduled_for, due_at = v.scheduled_for,
             timezone = v.timezone, timezone_source = v.timezone_source, source_ended_at = v.source_ended_at,
             source_kind = 'request', sealed = v.sealed, updated_at = v.now
         from v
         where callbacks.bucket = v.bucket and callbacks.id = v.id and callbacks.state in ('scheduled', 'held')"
    ),
};

/// Canceled by a person.
pub(super) const CANCEL: Transition = Transition {
    from: &[Scheduled, Held, Dispatching],
    to: &[Canceled],
    scheduled: None,
    sql: returning!(
        "update callbacks set state = 'canceled', held_for = null, fence = fence + 1, updated_at = $4
         where bucket = $1 and tenant_id = $2 and id = $3 and callbacks.state in ('scheduled', 'held', 'dispatching')
           and (state <> 'dispatching' or dispatch_id is null)"
    ),
};

/// Made due now by a person.
pub(super) const FORCE: Transition = Transition {
    from: &[Scheduled, Held],
    to: &[Scheduled],
    scheduled: Some(RESCHEDULED),
    sql: returning!(
        "update callbacks set state = 'scheduled', held_for = null, forced = true, failures = 0, due_at = $4,
             scheduled_for = $4, updated_at = $4
         where bucket = $1 and tenant_id = $2 and id = $3 and callbacks.state in ('scheduled', 'held')"
    ),
};

/// Moved by a person to exactly that time.
pub(super) const RESCHEDULE: Transition = Transition {
    from: &[Scheduled, Held],
    to: &[Scheduled],
    scheduled: Some(RESCHEDULED),
    sql: returning!(
        "update callbacks set state = 'scheduled', held_for = null, forced = true, failures = 0, due_at = $4,
             scheduled_for = $4, requested_for = $4,
             updated_at = case when updated_at < $5 then $5 else updated_at + 1 end
         where bucket = $1 and tenant_id = $2 and id = $3 and callbacks.state in ('scheduled', 'held')
           and (cast($6 as bigint) is null or updated_at = $6)"
    ),
};

/// An agent is disabled. Only one callback per person may wait, so a newer one supersedes a claimed one.
pub(super) const YIELD: Transition = Transition {
    from: &[Dispatching],
    to: &[Superseded],
    scheduled: None,
    sql: returning!(
        "update callbacks set state = 'superseded', fence = fence + 1, updated_at = $3,
             superseded_by = (select other.id from callbacks other where other.bucket = callbacks.bucket
                 and other.workspace_id = callbacks.workspace_id and other.phone_hash = callbacks.phone_hash
                 and other.id <> callbacks.id and other.promise_scope = callbacks.promise_scope
                 and other.state in ('scheduled', 'held', 'dispatching', 'dialing', 'unconfirmed')
                 and other.state in ('scheduled', 'held'))
         where bucket = $1 and workspace_id = $4 and agent_id = $2
           and state in ('scheduled', 'held', 'dispatching', 'dialing', 'unconfirmed')
           and callbacks.state = 'dispatching' and dispatch_id is null
           and exists (select 1 from callbacks other where other.bucket = callbacks.bucket
               and other.workspace_id = callbacks.workspace_id and other.phone_hash = callbacks.phone_hash
               and other.id <> callbacks.id and other.promise_scope = callbacks.promise_scope
               and other.state in ('scheduled', 'held', 'dispatching', 'dialing', 'unconfirmed')
               and other.state in ('scheduled', 'held'))"
    ),
};

/// An agent is disabled. A callback with an intent is not held: the request may be in flight.
pub(super) const HOLD_AGENT: Transition = Transition {
    from: &[Scheduled, Dispatching],
    to: &[Held],
    scheduled: None,
    sql: returning!(
        "update callbacks set state = 'held', held_for = 'agent_disabled', fence = fence + 1, updated_at = $3
         where bucket = $1 and workspace_id = $4 and agent_id = $2
           and state in ('scheduled', 'held', 'dispatching', 'dialing', 'unconfirmed')
           and callbacks.state in ('scheduled', 'dispatching') and (state = 'scheduled' or dispatch_id is null)"
    ),
};

// Time spent held is not lateness: an overdue callback is rescheduled to now, and quiet hours apply to it.
/// An agent is enabled again.
pub(super) const RELEASE_AGENT: Transition = Transition {
    from: &[Held],
    to: &[Scheduled],
    scheduled: Some(RESCHEDULED),
    sql: returning!(
        "update callbacks set state = 'scheduled', held_for = null, updated_at = $3,
             forced = case when scheduled_for < $3 then false else forced end,
             scheduled_for = case when scheduled_for < $3 then $3 else scheduled_for end,
             due_at = case when scheduled_for < $3 then $3 else scheduled_for end
         where bucket = $1 and workspace_id = $4 and agent_id = $2
           and state in ('scheduled', 'held', 'dispatching', 'dialing', 'unconfirmed')
           and callbacks.state = 'held' and held_for = 'agent_disabled'"
    ),
};

/// The plan has room again for `$3` callbacks; the longest due come first.
pub(super) const RELEASE_QUOTA: Transition = Transition {
    from: &[Held],
    to: &[Scheduled],
    scheduled: Some(RESCHEDULED),
    sql: returning!(
        "update callbacks set state = 'scheduled', held_for = null, updated_at = $4,
             forced = case when scheduled_for < $4 then false else forced end,
             scheduled_for = case when scheduled_for < $4 then $4 else scheduled_for end,
             due_at = case when scheduled_for < $4 then $4 else scheduled_for end
         where bucket = $1 and callbacks.state = 'held' and held_for = 'quota' and id in
             (select id from callbacks where due_at <= $4 and bucket = $1 and tenant_id = $2 and state = 'held'
                and held_for = 'quota' order by due_at limit $3)"
    ),
};

/// A number is suppressed. A dial whose intent is written is not stopped.
pub(super) const SUPPRESS: Transition = Transition {
    from: &[Scheduled, Held, Dispatching],
    to: &[Suppressed],
    scheduled: None,
    sql: returning!(
        "update callbacks set state = 'suppressed', outcome = 'do_not_call', held_for = null, fence = fence + 1,
             updated_at = $4
         where bucket = $1 and workspace_id in (select id from workspaces where tenant_id = $2) and phone_hash = $3
           and state in ('scheduled', 'held', 'dispatching', 'dialing', 'unconfirmed')
           and callbacks.state in ('scheduled', 'held', 'dispatching')
           and (state <> 'dispatching' or dispatch_id is null)"
    ),
};

/// After a restore, a dial that is missing from the backup is attached to its callback.
pub(super) const ADOPT: Transition = Transition {
    from: &[Scheduled, Held, Dispatching, Dialing, Unconfirmed],
    to: &[Dialing],
    scheduled: None,
    sql: returning!(
        "update callbacks set state = 'dialing', held_for = null, dispatch_id = $3, provider_call_id = $4,
             fence = fence + 1, lease_until = null, updated_at = $5
         where bucket = $1 and id = $2
           and callbacks.state in ('scheduled', 'held', 'dispatching', 'dialing', 'unconfirmed')"
    ),
};

/// A sealed value is replaced by the same one under another key.
pub(crate) const RESEAL: &str =
    "update callbacks set sealed = $2 where bucket = $4 and id = $1 and sealed = $3";
