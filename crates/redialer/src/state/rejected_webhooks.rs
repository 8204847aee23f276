//! Webhooks that were turned away, counted until they are told.
//!
//! Invariant (I8): of a request without a good signature nothing is kept but that there was one, when, and why; and of an
//! agent's no more than a line a minute and cause, however many come.

use std::{collections::HashMap, sync::Mutex};

use redialer_core::{Id, decide::Notice, id, rng::Rng};
use redialer_store::{Refused, SlugOwner};

use crate::{clock::Clock, state::locked};

/// The next line of the same kind comes no sooner.
const INTERVAL_MS: i64 = 60_000;
/// Agents and causes that are counted at once; what is beyond is in the metrics alone.
const MAX_COUNTS: usize = 10_000;

/// What was counted.
#[derive(Default)]
pub struct RejectedWebhooks(Mutex<HashMap<(Id<id::Agent>, Notice), Count>>);

struct Count {
    tenant: Id<id::Tenant>,
    workspace: Id<id::Workspace>,
    n: i64,
    told_ms: Option<i64>,
}

impl RejectedWebhooks {
    /// One more.
    pub fn count(&self, owner: &SlugOwner, why: Notice) {
        let mut counts = locked(&self.0);
        let key = (owner.agent, why);
        if counts.len() >= MAX_COUNTS && !counts.contains_key(&key) {
            return;
        }
        let (tenant, workspace) = (owner.tenant, owner.workspace);
        let new = Count { tenant, workspace, n: 0, told_ms: None };
        counts.entry(key).or_insert(new).n += 1;
    }

    /// What is to be written now.
    pub(crate) fn due(&self, clock: &Clock, rng: &Rng) -> Vec<Refused> {
        let now = clock.real_ms();
        let mut counts = locked(&self.0);
        counts.retain(|_, c| c.n > 0 || c.told_ms.is_some_and(|told| now - told < INTERVAL_MS));
        let is_due = |c: &Count| c.n > 0 && c.told_ms.is_none_or(|told| now - told >= INTERVAL_MS);
        counts
            .iter_mut()
            .filter(|(_, c)| is_due(c))
            .map(|((agent, why), c)| {
                c.told_ms = Some(now);
                Refused {
                    id: Id::new(clock.now(), rng),
                    tenant: c.tenant,
                    workspace: c.workspace,
                    agent: *agent,
                    why: *why,
                    n: std::mem::take(&mut c.n),
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(n: usize) -> SlugOwner {
        let agent = Id::from_uuid(uuid::Uuid::from_u128(n as u128));
        let (tenant, workspace) = (Id::from_uuid(uuid::Uuid::nil()), Id::from_uuid(uuid::Uuid::nil()));
        SlugOwner { tenant, workspace, agent, valid_until: None }
    }

    #[test]
    fn what_is_counted_already_is_counted_on_where_there_is_room_for_no_more() {
        let refusals = RejectedWebhooks::default();
        for n in 0..=MAX_COUNTS {
            refusals.count(&owner(n), Notice::BadSignature);
        }
        refusals.count(&owner(7), Notice::BadSignature);
        let counts = locked(&refusals.0);
        let n = |agent: usize| counts.get(&(owner(agent).agent, Notice::BadSignature)).map(|count| count.n);
        assert_eq!((counts.len(), n(7), n(8), n(MAX_COUNTS)), (MAX_COUNTS, Some(2), Some(1), None));
    }
}
