//! The calling rules: which countries may be called, and when.
//!
//! They are evaluated twice: when a callback is scheduled, so that the shown time is accurate, and before it is dialed,
//! because settings may have changed since.

use jiff::Timestamp;

use crate::{policy::Policy, time::Zone};

/// The rules for one callee: the settings and the callee's time zone.
#[derive(Debug, Clone, Copy)]
pub struct CallingRules<'a> {
    /// The settings.
    pub policy: &'a Policy,
    /// The callee's time zone.
    pub zone: &'a Zone,
}

impl CallingRules<'_> {
    /// The first time from `at` on at which a callback whose time was not requested may be dialed.
    pub fn first_moment(&self, at: Timestamp) -> Timestamp {
        self.policy.quiet.next_open(at, &self.zone.rules())
    }

    /// Whether the country of this E.164 number may be called. Always true for test callbacks: they go to the
    /// simulator, whose numbers are from every country.
    pub fn calls_country_of(&self, number: &str, is_test: bool) -> bool {
        is_test || self.policy.calls_country_of(number)
    }
}
