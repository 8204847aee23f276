//! Notices for the activity feed: why a webhook was rejected, or a dial was delayed or dropped.

use std::str::FromStr;

use crate::UnknownName;

use crate::callback::{HeldFor, State};

/// An exception to normal processing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ActivityNotice {
    /// A webhook without a valid signature.
    BadSignature,
    /// A webhook for an agent that is disabled.
    DisabledAgentWebhook,
    /// A webhook for an agent past the plan's limit of agents.
    PlanLimit,
    /// A signed webhook that is not JSON.
    NotJson,
    /// Due in quiet time: delayed.
    Quiet,
    /// Too late: rescheduled.
    Replanned,
    /// Too late: ended.
    Expired,
    /// On the do-not-call list: ended.
    DoNotCall,
    /// No attempt left: ended.
    NoAttemptLeft,
    /// The agent is disabled: held.
    AgentDisabled,
    /// The agent has no number to dial from: held.
    NoNumber,
    /// The plan's quota of calls for this month is used up: held.
    Quota,
    /// Five internal failures: held.
    Failing,
    /// The stored number may not be dialed: ended.
    BadNumber,
    /// The workspace does not call the number's country: held.
    Country,
    /// The number was called too often: held (I38).
    Fuse,
    /// The agent only observes: ended.
    Observed,
    /// The number to dial from could not be read: delayed.
    FromNumberUnavailable,
    /// The provider refused the dial permanently.
    Refused,
    /// The outcome of the call was never reported.
    OutcomeUnknown,
    /// The workspace was paused.
    Paused,
    /// The workspace dials again.
    Resumed,
}

impl ActivityNotice {
    /// Every notice.
    pub const ALL: [Self; 22] = [
        Self::BadSignature,
        Self::DisabledAgentWebhook,
        Self::PlanLimit,
        Self::NotJson,
        Self::Quiet,
        Self::Replanned,
        Self::Expired,
        Self::DoNotCall,
        Self::NoAttemptLeft,
        Self::AgentDisabled,
        Self::NoNumber,
        Self::Quota,
        Self::Failing,
        Self::BadNumber,
        Self::Country,
        Self::Fuse,
        Self::Observed,
        Self::FromNumberUnavailable,
        Self::Refused,
        Self::OutcomeUnknown,
        Self::Paused,
        Self::Resumed,
    ];

    /// The stable code of the notice.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadSignature => "bad_signature",
            Self::DisabledAgentWebhook => "agent_off",
            Self::PlanLimit => "plan_limit",
            Self::NotJson => "not_json",
            Self::Quiet => "quiet_time",
            Self::Replanned => "replanned",
            Self::Expired => "expired",
            Self::DoNotCall => "do_not_call",
            Self::NoAttemptLeft => "no_attempt_left",
            Self::AgentDisabled => "agent_disabled",
            Self::NoNumber => "no_from_number",
            Self::Quota => "quota",
            Self::Failing => "failing",
            Self::BadNumber => "bad_number",
            Self::Country => "country",
            Self::Fuse => "fuse",
            Self::Observed => "observed",
            Self::FromNumberUnavailable => "from_number_unread",
            Self::Refused => "refused",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
        }
    }

    /// Why a due callback was delayed: it was too late and was rescheduled, or it was due in quiet time; `None` if its
    /// time is unchanged.
    pub const fn of_snooze(was_missed: bool, is_later: bool) -> Option<Self> {
        match (is_later, was_missed) {
            (false, _) => None,
            (true, true) => Some(Self::Replanned),
            (true, false) => Some(Self::Quiet),
        }
    }

    /// Why a callback was held.
    pub const fn of_hold(why: HeldFor) -> Option<Self> {
        match why {
            HeldFor::Agent => Some(Self::AgentDisabled),
            HeldFor::FromNumber => Some(Self::NoNumber),
            HeldFor::Quota => Some(Self::Quota),
            HeldFor::Failing => Some(Self::Failing),
            HeldFor::Country => Some(Self::Country),
            HeldFor::Fuse => Some(Self::Fuse),
            // The webhook that requested the callback has a note about it.
            HeldFor::UnclearTime => None,
        }
    }

    /// Why a callback ended without a dial.
    pub const fn of_end(state: State) -> Option<Self> {
        match state {
            State::Suppressed => Some(Self::DoNotCall),
            State::Exhausted => Some(Self::NoAttemptLeft),
            State::Expired => Some(Self::Expired),
            State::Failed => Some(Self::BadNumber),
            State::Canceled => Some(Self::Observed),
            _ => None,
        }
    }

    /// The notice as a sentence that names the fix, where there is one.
    pub const fn description(self) -> &'static str {
        match self {
            Self::BadSignature => {
                "A webhook without a valid signature was rejected. Check that `webhook_key` is the key that the provider signs with."
            }
            Self::DisabledAgentWebhook => {
                "A webhook for a disabled agent was rejected. Enable the agent to accept its webhooks."
            }
            Self::PlanLimit => {
                "A webhook was rejected because the plan allows fewer enabled agents. Disable other agents, or change the plan."
            }
            Self::NotJson => "A webhook with a valid signature was rejected because its body is not JSON.",
            Self::Quiet => "The callback was due in quiet hours and waits until they end.",
            Self::Replanned => "The callback missed its time by too much and was rescheduled.",
            Self::Expired => "The callback missed its time by more than `missed_after_minutes` and expired.",
            Self::DoNotCall => "The number is on the do-not-call list.",
            Self::NoAttemptLeft => "The chain has no attempt left.",
            Self::AgentDisabled => "The agent is disabled. Enable it to dial the callback.",
            Self::NoNumber => {
                "The agent has no number to dial from. Assign one at the provider, then force the callback."
            }
            Self::Quota => {
                "The plan's calls for this month are used up. Dialing resumes next month, or after a change of plan."
            }
            Self::Failing => {
                "The callback failed five times because of internal errors and needs attention; the log has the errors."
            }
            Self::BadNumber => "The stored number cannot be dialed.",
            Self::Country => {
                "The number's country is not in `allowed_countries`. Reschedule or force the callback, or allow the country."
            }
            Self::Fuse => {
                "The number was called more often than the fuse allows. Check the callback's chain, then reschedule or cancel the callback."
            }
            Self::Observed => "The agent only observes, so the callback was not dialed.",
            Self::FromNumberUnavailable => {
                "The provider did not return the number to dial from; the callback is retried in a minute."
            }
            Self::Refused => "The provider refused the dial. `outcome_message` has the provider's message.",
            Self::OutcomeUnknown => {
                "The provider reported no outcome for the call within the time limit, so the callback was closed as failed."
            }
            Self::Paused => {
                "The workspace was paused: the provider refused its key or requires payment; see `paused` on the workspace."
            }
            Self::Resumed => "The workspace is no longer paused and dials again.",
        }
    }
}

impl FromStr for ActivityNotice {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|n| n.as_str() == name).ok_or(UnknownName)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn every_notice_is_found_by_its_code() {
        for notice in ActivityNotice::ALL {
            assert_eq!(notice.as_str().parse(), Ok(notice));
            assert!(notice.description().ends_with(['.', '?']));
        }
    }

    #[test]
    fn every_hold_snooze_and_end_has_a_notice() {
        let line =
            |what: &str, notice: Option<ActivityNotice>| Some(format!("{what}: {}\n", notice?.as_str()));
        let held =
            HeldFor::ALL.into_iter().filter_map(|why| line(why.as_str(), ActivityNotice::of_hold(why)));
        let ended =
            State::ALL.into_iter().filter_map(|state| line(state.as_str(), ActivityNotice::of_end(state)));
        let snoozed = [
            line("in time", ActivityNotice::of_snooze(false, false)),
            line("missed, at once", ActivityNotice::of_snooze(true, false)),
            line("later", ActivityNotice::of_snooze(false, true)),
            line("missed, later", ActivityNotice::of_snooze(true, true)),
        ];
        let all: String = held.chain(ended).chain(snoozed.into_iter().flatten()).collect();
        expect![[r#"
            agent_disabled: agent_disabled
            no_from_number: no_from_number
            failing: failing
            quota: quota
            country: country
            fuse: fuse
            failed: bad_number
            exhausted: no_attempt_left
            canceled: observed
            expired: expired
            suppressed: do_not_call
            later: quiet_time
            missed, later: replanned
        "#]]
        .assert_eq(&all);
    }
}
