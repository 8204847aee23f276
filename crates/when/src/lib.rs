//! Hears when a caller wants to be called back.
//!
//! Speech in, a moment out: deterministic, offline, explained. What people say is read in two floors:
//! [`expressions`] finds the times that a sentence names, [`dialogue`] finds the one the two sides are left
//! with.
//!
//! Invariants: reading never fails and never panics; an answer is never before the call's end; the same
//! input has the same answer. Absent on purpose: the clock, IO, and any opinion on whether to call.
//!
//! Today's English covers offsets ("in twenty minutes", "in an hour and a half"), clock times with the day
//! they belong to ("tomorrow at 3", "Friday 10:30 a.m.", "tonight at eight") and parts of the day.

mod dialogue;
mod expressions;
mod tokens;

use std::fmt;

use jiff::Timestamp;

/// Who spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The voice agent.
    Agent,
    /// The person.
    User,
}

/// What one side said before the other spoke.
#[derive(Clone, PartialEq, Eq)]
pub struct Turn {
    /// Who.
    pub role: Role,
    /// What, as transcribed.
    pub content: String,
}

impl fmt::Debug for Turn {
    /// What people said does not belong into a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Turn({:?}, …)", self.role)
    }
}

/// One call, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Who said what, in order.
    pub turns: &'a [Turn],
    /// When it ended: "in two hours" counts from here.
    pub end: Timestamp,
    /// The caller's zone, an IANA name.
    pub zone: &'a str,
    /// The agent's zone, an IANA name.
    pub agent_zone: Option<&'a str>,
    /// The turns are nothing but the time ("two hours", "tomorrow 9 am"), not a conversation.
    pub only_the_time: bool,
}

/// What was heard.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// The moment; `None` when no time was named.
    pub at: Option<Timestamp>,
    /// The zone the words were taken in.
    pub zone: String,
    /// 0 to 1.
    pub confidence: f64,
    /// The words it rests on.
    pub evidence: String,
    /// The rule that read them.
    pub rule: &'static str,
}

/// Finds the moment at which the caller wants to be called.
pub fn read(call: &Call<'_>) -> Heard {
    let nothing = Heard {
        at: None,
        zone: call.zone.to_owned(),
        confidence: 0.0,
        evidence: String::new(),
        rule: "none",
    };
    let Ok(zone) = jiff::tz::TimeZone::get(call.zone) else { return nothing };
    let end = call.end.to_zoned(zone);
    match dialogue::choose(call, &end) {
        Some(found) if found.at >= call.end => Heard {
            at: Some(found.at),
            confidence: found.confidence,
            evidence: found.evidence,
            rule: found.rule,
            ..nothing
        },
        _ => nothing,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn heard(text: &str, only_the_time: bool) -> Heard {
        let turns = [Turn { role: Role::User, content: text.to_owned() }];
        let end = "2026-11-01T05:30:00Z".parse().expect("a time");
        read(&Call { turns: &turns, end, zone: "America/New_York", agent_zone: None, only_the_time })
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic_and_never_into_the_past(text in ".{0,200}", bare in any::<bool>()) {
            let heard = heard(&text, bare);
            prop_assert!(heard.at.is_none_or(|at| at >= "2026-11-01T05:30:00Z".parse().expect("a time")));
        }

        #[test]
        fn any_words_of_time_are_read_without_a_panic(
            words in proptest::collection::vec(
                prop_oneof![
                    Just("in"), Just("half"), Just("an"), Just("hour"), Just("and"), Just("a"), Just("99999"), Just("12:99"),
                    Just("next"), Just("friday"), Just("p"), Just("m"), Just("."), Just("at"), Just("26"), Just("weeks"),
                    Just("tonight"), Just("noon"), Just("couple"), Just("of"), Just("call"), Just("12"), Just("minutes"),
                ],
                0..12,
            )
        ) {
            let text = words.join(" ");
            prop_assert_eq!(heard(&text, true), heard(&text, true));
            prop_assert!(heard(&text, false).confidence <= 1.0);
        }
    }

    #[test]
    fn a_zone_nobody_knows_is_no_time() {
        let call = Call {
            turns: &[],
            end: Timestamp::UNIX_EPOCH,
            zone: "Mars/Olympus",
            agent_zone: None,
            only_the_time: true,
        };
        assert_eq!(read(&call).at, None);
    }
}
