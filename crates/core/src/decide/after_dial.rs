//! Decides what a provider's response means for the callback.
//!
//! Invariant: only a definite "no" makes a callback due again. An unclear response is resolved by a lookup, never by a
//! new dispatch.

use jiff::{SignedDuration, Timestamp};

use crate::{
    callback::State,
    order::{Refusal, Reply},
    time::plus,
    workspace::Pause,
};

/// The meaning of the response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AfterDial {
    /// The call was placed; its outcome arrives by webhook.
    Dialing {
        /// The provider's id of the call or chat.
        call_id: String,
    },
    /// Definitely not placed: the same attempt again later.
    Retry {
        /// The earliest time.
        at: Timestamp,
        /// Pause the whole workspace until the reason is resolved.
        pause: Option<Pause>,
        /// Pause the whole workspace until `at`.
        slow: bool,
        /// The reason, in words.
        why: String,
    },
    /// Definitely not placed, and not to be retried.
    Close {
        /// The final state.
        state: State,
        /// Its code, such as `refused_422`.
        outcome: String,
        /// The provider's message. It may contain a number: seal it, never log it.
        why: String,
    },
    /// The call may have been placed.
    Unconfirmed {
        /// The reason, in words.
        why: String,
    },
}

/// The facts about the attempt that affect its retry.
pub struct RetryContext {
    /// Earlier attempts of this callback that were definitely not placed.
    pub earlier: u32,
    /// A fraction in `[0, 1)` that spreads retries.
    pub jitter: f64,
    /// Virtual seconds per real second. Waits, including those that a provider requests, are in real time.
    pub speed: u32,
}

const FIRST_WAIT_SECS: f64 = 5.0;
const LONGEST_WAIT_SECS: f64 = 600.0;
/// A pause ends when a probe or a new key succeeds; the callback only has to be due again by then.
const PAUSED_WAIT_SECS: i64 = 1;

/// Decides what happens to a callback from the provider's reply, or from the lack of one.
pub fn after_dial(tried: &RetryContext, reply: Reply, now: Timestamp) -> AfterDial {
    let retry = |secs: f64, pause, slow, why: &str| AfterDial::Retry {
        at: plus(now, SignedDuration::from_millis((secs * 1_000.0 * f64::from(tried.speed)) as i64)),
        pause,
        slow,
        why: why.to_owned(),
    };
    match reply {
        Reply::Placed { call_id } => AfterDial::Dialing { call_id },
        Reply::Uncertain { why } => AfterDial::Unconfirmed { why },
        Reply::NotSent { why } => retry(backoff(tried), None, false, &why),
        Reply::Refused(Refusal::Throttled { after_secs }) => {
            let secs = after_secs.map_or_else(|| backoff(tried), |s| s as f64 + tried.jitter);
            retry(secs.min(3_600.0), None, true, "the provider asked us to slow down")
        }
        Reply::Refused(Refusal::Key { status, message }) => {
            let what = match status {
                403 => "The provider does not allow this API key to place calls (HTTP 403).".to_owned(),
                _ => format!("The provider refused the API key (HTTP {status})."),
            };
            retry(PAUSED_WAIT_SECS as f64, Some(Pause::Key), false, &with_its_words(&what, &message))
        }
        Reply::Refused(Refusal::Payment { message }) => {
            let why = with_its_words("The provider requires payment (HTTP 402).", &message);
            retry(PAUSED_WAIT_SECS as f64, Some(Pause::Payment), false, &why)
        }
        Reply::Refused(Refusal::DoNotCall) => AfterDial::Close {
            state: State::Suppressed,
            outcome: "provider_do_not_call".to_owned(),
            why: "the provider's own list says this person must not be called".to_owned(),
        },
        Reply::Refused(Refusal::Permanent { status, message }) => {
            AfterDial::Close { state: State::Failed, outcome: format!("refused_{status}"), why: message }
        }
    }
}

/// Our sentence, followed by the provider's own message.
fn with_its_words(ours: &str, message: &str) -> String {
    if message.is_empty() { ours.to_owned() } else { format!("{ours} It said: {message}") }
}

/// Doubles from five seconds to ten minutes; each wait is drawn from the upper half of its range.
fn backoff(tried: &RetryContext) -> f64 {
    let full = (FIRST_WAIT_SECS * 2_f64.powi(tried.earlier.min(20) as i32)).min(LONGEST_WAIT_SECS);
    full * (0.5 + tried.jitter / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(reply: Reply, earlier: u32, want: &str) {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().expect("a time");
        let got = match after_dial(&RetryContext { earlier, jitter: 0.0, speed: 1 }, reply, now) {
            AfterDial::Dialing { call_id } => format!("dialing {call_id}"),
            AfterDial::Retry { at, pause, slow, .. } => {
                format!("again in {}s {pause:?} slow={slow}", at.duration_since(now).as_secs())
            }
            AfterDial::Close { state, .. } => format!("close {state:?}"),
            AfterDial::Unconfirmed { .. } => "unconfirmed".to_owned(),
        };
        assert_eq!(got, want);
    }

    #[test]
    fn each_answer_has_its_consequence() {
        let why = String::new;
        check(Reply::Placed { call_id: "c1".to_owned() }, 0, "dialing c1");
        check(Reply::Uncertain { why: why() }, 0, "unconfirmed");
        check(Reply::NotSent { why: why() }, 1, "again in 5s None slow=false");
        check(Reply::NotSent { why: why() }, 40, "again in 300s None slow=false");
        check(Reply::Refused(Refusal::Throttled { after_secs: Some(7) }), 0, "again in 7s None slow=true");
        check(
            Reply::Refused(Refusal::Throttled { after_secs: Some(u64::MAX) }),
            0,
            "again in 3600s None slow=true",
        );
        for status in [401, 403] {
            let refusal = Refusal::Key { status, message: why() };
            check(Reply::Refused(refusal), 0, "again in 1s Some(Key) slow=false");
        }
        check(Reply::Refused(Refusal::Payment { message: why() }), 0, "again in 1s Some(Payment) slow=false");
        check(Reply::Refused(Refusal::DoNotCall), 0, "close Suppressed");
        check(Reply::Refused(Refusal::Permanent { status: 422, message: why() }), 0, "close Failed");
    }

    #[test]
    fn waits_double_and_are_drawn_from_their_upper_half() {
        let check = |earlier: u32, jitter: f64, want: f64| {
            let got = backoff(&RetryContext { earlier, jitter, speed: 1 });
            assert!((got - want).abs() < 1e-9, "{earlier} {jitter}: {got}");
        };
        check(0, 0.0, 2.5);
        check(0, 1.0, 5.0);
        check(1, 0.5, 7.5);
        check(3, 1.0, 40.0);
        check(30, 1.0, 600.0);
    }

    #[test]
    fn a_pause_contains_the_provider_s_message() {
        let check = |refusal, want: &str| {
            let tried = RetryContext { earlier: 0, jitter: 0.0, speed: 1 };
            let after = after_dial(&tried, Reply::Refused(refusal), Timestamp::UNIX_EPOCH);
            assert!(matches!(&after, AfterDial::Retry { why, .. } if why == want), "{after:?}");
        };
        check(
            Refusal::Key { status: 401, message: "API key is missing or invalid.".to_owned() },
            "The provider refused the API key (HTTP 401). It said: API key is missing or invalid.",
        );
        check(
            Refusal::Key { status: 403, message: String::new() },
            "The provider does not allow this API key to place calls (HTTP 403).",
        );
        check(
            Refusal::Payment { message: "Trial has ended.".to_owned() },
            "The provider requires payment (HTTP 402). It said: Trial has ended.",
        );
    }
}
