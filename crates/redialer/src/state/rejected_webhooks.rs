//! Counts of rejected webhooks that are not yet written to the activity feed.
//!
//! Invariant (I8): of a request without a valid signature, only its occurrence, its time and the reason are kept. At
//! most one entry per agent, cause and minute is written, regardless of the number of requests.

use std::{collections::HashMap, sync::Mutex};

use redialer_core::{Id, decide::ActivityNotice, id, rng::Rng};
use redialer_store::{RejectionCount, SlugTarget};

use crate::{clock::Clock, state::locked};

/// The shortest time between two entries for the same agent and cause.
const INTERVAL_MS: i64 = 60_000;
/// The maximum number of counted pairs of agent and cause; all others are only in the metrics.
const MAX_COUNTS: usize = 10_000;

/// The counts by agent and cause.
#[derive(Default)]
pub struct RejectedWebhooks(Mutex<HashMap<(Id<id::Agent>, ActivityNotice), Count>>);

struct Count {
    tenant: Id<id::Tenant>,
    workspace: Id<id::Workspace>,
    n: i64,
    written_ms: Option<i64>,
}

impl RejectedWebhooks {
    /// Counts a rejected webhook.
    pub fn count(&self, target: &SlugTarget, why: ActivityNotice) {
        let mut counts = locked(&self.0);
        let key = (target.agent, why);
        if counts.len() >= MAX_COUNTS && !counts.contains_key(&key) {
            return;
        }
        let (tenant, workspace) = (target.tenant, target.workspace);
        let new = Count { tenant, workspace, n: 0, written_ms: None };
        counts.entry(key).or_insert(new).n += 1;
    }

    /// Takes the counts that are due to be written.
    pub(crate) fn due(&self, clock: &Clock, rng: &Rng) -> Vec<RejectionCount> {
        let now = clock.real_ms();
        let mut counts = locked(&self.0);
        counts.retain(|_, c| c.n > 0 || c.written_ms.is_some_and(|written| now - written < INTERVAL_MS));
        let is_due = |c: &Count| c.n > 0 && c.written_ms.is_none_or(|written| now - written >= INTERVAL_MS);
        counts
            .iter_mut()
            .filter(|(_, c)| is_due(c))
            .map(|((agent, why), c)| {
                c.written_ms = Some(now);
                RejectionCount {
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

    fn target(n: usize) -> SlugTarget {
        let agent = Id::from_uuid(uuid::Uuid::from_u128(n as u128));
        let (tenant, workspace) = (Id::from_uuid(uuid::Uuid::nil()), Id::from_uuid(uuid::Uuid::nil()));
        SlugTarget { tenant, workspace, agent, valid_until: None }
    }

    #[test]
    fn existing_counts_grow_when_no_new_count_fits() {
        let rejections = RejectedWebhooks::default();
        for n in 0..=MAX_COUNTS {
            rejections.count(&target(n), ActivityNotice::BadSignature);
        }
        rejections.count(&target(7), ActivityNotice::BadSignature);
        let counts = locked(&rejections.0);
        let n = |agent: usize| {
            counts.get(&(target(agent).agent, ActivityNotice::BadSignature)).map(|count| count.n)
        };
        assert_eq!((counts.len(), n(7), n(8), n(MAX_COUNTS)), (MAX_COUNTS, Some(2), Some(1), None));
    }
}
