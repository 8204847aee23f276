//! The calling rules: which countries are called, and at which moments.
//!
//! They are asked twice: when a callback is scheduled, so that the time shown is honest, and before it is dialed,
//! because settings may have changed since.

use jiff::Timestamp;

use crate::{policy::Policy, time::Zone};

/// The rules for one callee: the settings, and the callee's clock.
#[derive(Debug, Clone, Copy)]
pub struct CallingRules<'a> {
    /// The settings.
    pub policy: &'a Policy,
    /// The callee's clock.
    pub zone: &'a Zone,
}

impl CallingRules<'_> {
    /// The first moment from `at` on at which a callback without a named moment may be dialed.
    pub fn first_moment(&self, at: Timestamp) -> Timestamp {
        self.policy.quiet.next_open(at, &self.zone.rules())
    }

    /// Whether numbers of that number's country are called, E.164. Test callbacks go to the simulator, whose numbers
    /// are of every country.
    pub fn calls_country_of(&self, number: &str, is_test: bool) -> bool {
        is_test || self.policy.calls_country_of(number)
    }
}
