//! When the person asked to be called: from the extraction if it is a timestamp, else from its words, else from the
//! whole conversation.
//!
//! Invariant: the time is at most a minute before the call's end and at most 366 days after it; anything else counts as
//! not understood.

use std::{cell::LazyCell, iter};

use jiff::{Timestamp, civil, tz::TimeZone};
use redialer_when as when;

use crate::{
    call::{CallFacts, Turn},
    outcome::OutcomeClass,
    policy::{Policy, Trigger, UnclearAction},
    time::{Zone, ZoneSource, minutes, plus},
};

/// The requested time, or why there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestedTime {
    /// The time; `None` if it was not understood with enough confidence.
    pub at: Option<Timestamp>,
    /// The callee's zone, or the zone that the callee named.
    pub zone: Zone,
    /// From 0 to 1.
    pub confidence: f64,
    /// The words on which it is based.
    pub evidence: String,
    /// The parser: `iso8601`, or `words` or `transcript` with a colon and the rule of `when`; `unclear` without a
    /// time.
    pub rule: String,
    /// The earliest and the latest time that fit as well, if the words leave room.
    pub window: Option<(Timestamp, Timestamp)>,
    /// The doubts about it, as [`when::Doubt::as_str`] writes them, or [`ZONE_UNSURE`].
    pub doubts: Vec<&'static str>,
    /// The analysis contains a request, but no person was reached in the call, so it does not count.
    pub by_machine: bool,
}

/// The doubt about a zone that is only one of several in which a number's prefix is used.
pub const ZONE_UNSURE: &str = "zone_unsure";

const FURTHEST: i64 = 366 * 24 * 60;

/// Parses the requested time; `end` is the call's end. `conversation` is called only if it is needed.
pub fn requested_time(
    facts: &CallFacts,
    conversation: impl FnOnce() -> Vec<Turn>,
    zone: &Zone,
    agent_zone: Option<&str>,
    policy: &Policy,
    end: Timestamp,
) -> RequestedTime {
    // Most calls contain no request, so the conversation is not parsed.
    if !is_request(facts, policy) {
        return not_understood(zone, 0.0);
    }
    let conversation = LazyCell::new(conversation);
    if !person_was_reached(facts, &conversation) {
        return RequestedTime { by_machine: true, ..not_understood(zone, 0.0) };
    }
    let least = match policy.unclear.action {
        UnclearAction::Schedule => 0.0,
        UnclearAction::Delay | UnclearAction::Hold => policy.unclear.min_confidence,
    };
    let usable = |at: Timestamp| at >= plus(end, minutes(-1)) && at <= plus(end, minutes(FURTHEST));
    let text = facts.request.time.as_deref().map(str::trim).filter(|s| !s.is_empty());
    if let Some(text) = text
        && let Some((at, confidence)) = iso8601(text, &zone.rules()).filter(|(at, _)| usable(*at))
        && confidence >= least
    {
        return RequestedTime {
            at: Some(at),
            evidence: text.to_owned(),
            rule: "iso8601".to_owned(),
            doubts: doubts_about(zone).collect(),
            ..not_understood(zone, confidence)
        };
    }
    // Text that looks like a date but is unusable contains no words either.
    let text = text.filter(|text| !is_written_date(text));
    let words = text.map(|text| [Turn { role: when::Role::User, content: text.to_owned() }]);
    let words = words.as_ref().map(|words| ("words", &words[..])).into_iter();
    let mut doubt = 0.0;
    for (source, turns) in words.chain(iter::once_with(|| ("transcript", conversation.as_slice()))) {
        let reading = parse_turns(turns, source == "words", (zone, agent_zone), policy, end);
        if let Some(at) = reading.at.filter(|at| usable(*at)) {
            if reading.confidence >= least {
                return clear(at, &reading, source, zone);
            }
            doubt = reading.confidence;
        }
    }
    not_understood(zone, doubt)
}

/// Whether the analysis, or the provider's own reason if that counts, contains a request for a callback.
pub(super) fn is_request(facts: &CallFacts, policy: &Policy) -> bool {
    let by_provider = facts.outcome.as_ref().is_some_and(|o| o.class == OutcomeClass::CallbackRequested);
    facts.request.callback || by_provider && policy.provider_requests
}

/// No time was understood with enough confidence.
pub(super) fn not_understood(zone: &Zone, confidence: f64) -> RequestedTime {
    RequestedTime {
        at: None,
        zone: zone.clone(),
        confidence,
        evidence: String::new(),
        rule: "unclear".to_owned(),
        window: None,
        doubts: Vec::new(),
        by_machine: false,
    }
}

/// Parses a time written in words, relative to `now`, in the clock time of a zone.
pub fn time_in_words(words: &str, zone: &Zone, policy: &Policy, now: Timestamp) -> Option<Timestamp> {
    let turn = Turn { role: when::Role::User, content: words.to_owned() };
    parse_turns(&[turn], true, (zone, None), policy, now).at
}

/// Parses a time in the workspace's language, or, if none is set, in the language that fits best.
fn parse_turns(
    turns: &[Turn],
    only_the_time: bool,
    (zone, agent_zone): (&Zone, Option<&str>),
    policy: &Policy,
    end: Timestamp,
) -> when::CallbackTime {
    let call = when::Call {
        turns,
        end,
        zone: &zone.name,
        agent_zone,
        only_the_time,
        lang: policy.language.unwrap_or_default(),
        hours: Some(&policy.hours),
    };
    match policy.language {
        Some(_) => when::read(&call),
        None => when::read_in_any_language(&call),
    }
}

/// Whether a decision may need the conversation. Most calls contain no request, and the conversation is most of a
/// payload.
pub fn may_contain_request(facts: &CallFacts) -> bool {
    facts.request.callback
        || facts.outcome.as_ref().is_some_and(|o| o.class == OutcomeClass::CallbackRequested)
}

/// Whether a person was at the other end. Always true for inbound calls and chats. For an outbound call the analysis
/// and the outcome decide, or, if they are inconclusive, whether the other side spoke.
fn person_was_reached<F: FnOnce() -> Vec<Turn>>(
    facts: &CallFacts,
    conversation: &LazyCell<Vec<Turn>, F>,
) -> bool {
    if !facts.is_outbound_call() {
        return true;
    }
    if facts.in_voicemail {
        return false;
    }
    let spoke =
        || conversation.iter().any(|turn| turn.role == when::Role::User && !turn.content.trim().is_empty());
    match facts.outcome.as_ref().map(|o| o.class) {
        Some(OutcomeClass::Conversation | OutcomeClass::OptOut | OutcomeClass::CallbackRequested) => true,
        Some(
            OutcomeClass::Unreached(Trigger::TechnicalError | Trigger::ConversationSilent, _)
            | OutcomeClass::Unknown,
        )
        | None => spoke(),
        Some(
            OutcomeClass::Unreached(..)
            | OutcomeClass::Unreachable
            | OutcomeClass::NoCapacity
            | OutcomeClass::NoPayment,
        ) => false,
    }
}

fn doubts_about(zone: &Zone) -> impl Iterator<Item = &'static str> {
    (!zone.is_sure).then_some(ZONE_UNSURE).into_iter()
}

fn clear(at: Timestamp, reading: &when::CallbackTime, source: &str, zone: &Zone) -> RequestedTime {
    let zone = if reading.zone == zone.name {
        zone.clone()
    } else {
        Zone { name: reading.zone.clone(), source: ZoneSource::Request, is_sure: true }
    };
    let doubts = reading.doubts.iter().map(|doubt| doubt.as_str()).chain(doubts_about(&zone)).collect();
    RequestedTime {
        at: Some(at),
        zone,
        confidence: reading.confidence,
        evidence: reading.evidence.clone(),
        rule: format!("{source}:{}", reading.rule),
        window: reading.earliest.zip(reading.latest),
        doubts,
        by_machine: false,
    }
}

/// ISO 8601 with an offset is an instant, without one the callee's wall time; a bare date means 10:00. Returns the
/// time and its confidence.
fn iso8601(text: &str, zone: &TimeZone) -> Option<(Timestamp, f64)> {
    if let Some(at) = text.parse::<Timestamp>().ok().or_else(|| epoch(text)) {
        return Some((at, 1.0));
    }
    // jiff accepts more formats than ISO 8601.
    if !is_written_date(text) {
        return None;
    }
    let at = |local: civil::DateTime| local.to_zoned(zone.clone()).ok().map(|z| z.timestamp());
    // ISO 8601 allows 24:00 for the end of a day.
    if let Some((date, "T24:00" | "T24:00:00" | " 24:00" | " 24:00:00")) = text.split_at_checked(10) {
        let next = date.parse::<civil::Date>().ok()?.tomorrow().ok()?;
        return at(next.at(0, 0, 0, 0)).map(|at| (at, 0.9));
    }
    if text.len() > 10 {
        return text.parse::<civil::DateTime>().ok().and_then(at).map(|at| (at, 0.9));
    }
    let date = text.parse::<civil::Date>().ok()?;
    at(date.at(10, 0, 0, 0)).map(|at| (at, 0.6))
}

/// Seconds or milliseconds since 1970: ten or thirteen digits.
fn epoch(text: &str) -> Option<Timestamp> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    match text.len() {
        10 => Timestamp::from_second(text.parse().ok()?).ok(),
        13 => Timestamp::from_millisecond(text.parse().ok()?).ok(),
        _ => None,
    }
}

/// Whether a text begins with a year and a month, such as `2026-11`.
fn is_written_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 8
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && (bytes[4] == b'-' || bytes[4].is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        agent::Channel,
        call::{CallPhase, CallbackRequest, Role},
        outcome::Outcome,
        policy::Unclear,
    };

    /// Parses a conversation that ended on Tuesday, 24 November 2026, at ten in New York.
    fn parse(text: &str, policy: &Policy) -> RequestedTime {
        let conversation = || vec![Turn { role: Role::User, content: text.to_owned() }];
        parse_request(CallbackRequest { callback: true, ..CallbackRequest::default() }, conversation, policy)
    }

    /// As `parse`, with an analysis.
    fn parse_request(
        request: CallbackRequest,
        conversation: impl FnOnce() -> Vec<Turn>,
        policy: &Policy,
    ) -> RequestedTime {
        let facts = facts(request);
        let zone = Zone { name: "America/New_York".to_owned(), source: ZoneSource::Number, is_sure: true };
        let end = "2026-11-24T15:00:00Z".parse().expect("a time");
        requested_time(&facts, conversation, &zone, None, policy, end)
    }

    fn facts(request: CallbackRequest) -> CallFacts {
        CallFacts { request, ..CallFacts::new("call_1".to_owned(), CallPhase::Analyzed, Channel::Voice) }
    }

    #[test]
    fn a_conversation_is_parsed_only_if_a_callback_may_be_requested() {
        let may = |callback, class: Option<OutcomeClass>| {
            let outcome = class.map(|class| Outcome { reason: String::new(), class });
            may_contain_request(&CallFacts {
                outcome,
                ..facts(CallbackRequest { callback, ..CallbackRequest::default() })
            })
        };
        assert!(may(true, None) && may(true, Some(OutcomeClass::Conversation)));
        assert!(may(false, Some(OutcomeClass::CallbackRequested)));
        assert!(!may(false, None) && !may(false, Some(OutcomeClass::Conversation)));
    }

    fn parse_by(text: &str, policy: Policy) -> String {
        let requested = parse(text, &policy);
        let at = requested.at.map_or_else(
            || "unclear".to_owned(),
            |at| at.to_zoned(requested.zone.rules()).strftime("%a %H:%M").to_string(),
        );
        format!("{at} ({})", requested.rule)
    }

    fn parse_with(text: &str, action: UnclearAction, min_confidence: f64) -> String {
        let policy = Policy::default();
        parse_by(text, Policy { unclear: Unclear { action, min_confidence, ..policy.unclear }, ..policy })
    }

    #[test]
    fn a_doubtful_time_is_used_only_if_the_workspace_allows_it() {
        let text = "Could you call me back on Thursday?";
        assert_eq!(parse_with(text, UnclearAction::Delay, 0.5), "Thu 10:00 (transcript:day)");
        assert_eq!(parse_with(text, UnclearAction::Delay, 0.9), "unclear (unclear)");
        assert_eq!(parse_with(text, UnclearAction::Hold, 0.9), "unclear (unclear)");
        assert_eq!(parse_with(text, UnclearAction::Schedule, 0.9), "Thu 10:00 (transcript:day)");
        assert_eq!(parse_with("Call me back.", UnclearAction::Schedule, 0.9), "unclear (unclear)");
    }

    #[test]
    fn spanish_is_detected() {
        let text = "Llámeme mañana a las cinco menos cuarto de la tarde, por favor.";
        assert_eq!(parse_with(text, UnclearAction::Delay, 0.5), "Wed 16:45 (transcript:day_time)");
    }

    #[test]
    fn a_workspace_names_its_language_and_its_hours() {
        let text = "Could you call me back tomorrow after lunch?";
        let late = when::Span { from: 14 * 60, to: 17 * 60, nominal: 15 * 60 };
        let hours = when::Hours { after_lunch: late, ..when::Hours::default() };
        let policy = Policy { hours, ..Policy::default() };
        assert_eq!(parse_by(text, policy.clone()), "Wed 15:00 (transcript:part_of_day)");
        let policy = Policy { language: Some(when::Lang::Es), ..policy };
        assert_eq!(parse_by(text, policy), "unclear (unclear)");
    }

    #[test]
    fn the_window_and_the_doubts_are_returned() {
        let requested = parse("Could you call me back on Thursday afternoon?", &Policy::default());
        let window = requested.window.expect("room");
        let wall = |at: Timestamp| at.to_zoned(requested.zone.rules()).strftime("%a %H:%M").to_string();
        assert_eq!((wall(window.0), wall(window.1)), ("Thu 12:00".to_owned(), "Thu 17:00".to_owned()));
        let requested = parse("Could you call me back on Thursday?", &Policy::default());
        assert_eq!(requested.doubts, ["no_hour"]);
    }

    #[test]
    fn nobody_reads_a_conversation_that_asks_for_nothing_or_whose_time_is_known() {
        let unread = || panic!("it was read");
        let nothing = parse_request(CallbackRequest::default(), unread, &Policy::default());
        assert_eq!(nothing.at, None);
        let time = Some("2026-11-25T10:00:00-05:00".to_owned());
        let known = parse_request(
            CallbackRequest { callback: true, time, ..CallbackRequest::default() },
            unread,
            &Policy::default(),
        );
        assert_eq!(known.rule, "iso8601");
    }

    #[test]
    fn only_a_person_can_ask() {
        use crate::{
            call::Direction,
            outcome::{Outcome, Repeat},
        };
        let check = |class: OutcomeClass, in_voicemail: bool, text: &str, by_machine: bool| {
            let request = CallbackRequest { callback: true, ..CallbackRequest::default() };
            let mut facts = facts(request);
            facts.direction = Some(Direction::Outbound);
            facts.outcome = Some(Outcome { reason: "reason".to_owned(), class });
            facts.in_voicemail = in_voicemail;
            let zone =
                Zone { name: "America/New_York".to_owned(), source: ZoneSource::Number, is_sure: true };
            let turns = || vec![Turn { role: Role::User, content: text.to_owned() }];
            let end = "2026-11-24T15:00:00Z".parse().expect("a time");
            let requested = requested_time(&facts, turns, &zone, None, &Policy::default(), end);
            assert_eq!(requested.by_machine, by_machine, "{class:?} {in_voicemail} {text:?}");
        };
        let unreached = |trigger| OutcomeClass::Unreached(trigger, Repeat::Freely);
        check(OutcomeClass::Conversation, false, "", false);
        check(OutcomeClass::Conversation, true, "Please call back tomorrow.", true);
        check(OutcomeClass::CallbackRequested, false, "", false);
        for trigger in [Trigger::Voicemail, Trigger::NoAnswer, Trigger::Busy] {
            check(unreached(trigger), false, "Please call back tomorrow.", true);
        }
        for class in [OutcomeClass::Unreachable, OutcomeClass::NoCapacity, OutcomeClass::NoPayment] {
            check(class, false, "Please call back tomorrow.", true);
        }
        // If the reason is inconclusive, a person was reached if the other side spoke.
        for class in [
            unreached(Trigger::TechnicalError),
            unreached(Trigger::ConversationSilent),
            OutcomeClass::Unknown,
        ] {
            check(class, false, "Call me tomorrow.", false);
            check(class, false, " ", true);
        }
    }

    /// In this zone the call ends at five to nine on Sunday, 29 November 2026.
    fn chicago() -> Zone {
        Zone { name: "America/Chicago".to_owned(), source: ZoneSource::Number, is_sure: true }
    }

    #[test]
    fn an_extracted_time_is_read_in_spanish_and_in_seconds() {
        let end = "2026-11-29T14:55:00Z".parse().expect("a time");
        let turns = || vec![Turn { role: Role::User, content: "yes please call me back then".to_owned() }];
        for (time, want) in [
            ("1796072400", "Mon 30 Nov 15:00"),
            ("2026-11-30T24:00:00", "Tue 01 Dec 00:00"),
            ("mañana a las 3 de la tarde", "Mon 30 Nov 15:00"),
            ("mañana a las 10", "Mon 30 Nov 10:00"),
            ("pasado mañana a las 5 de la tarde", "Tue 01 Dec 17:00"),
            ("el jueves a las 4 de la tarde", "Thu 03 Dec 16:00"),
        ] {
            let facts = facts(CallbackRequest {
                callback: true,
                time: Some(time.to_owned()),
                ..CallbackRequest::default()
            });
            let requested = requested_time(&facts, turns, &chicago(), None, &Policy::default(), end);
            let at = requested.at.expect("understood").to_zoned(requested.zone.rules());
            assert_eq!(at.strftime("%a %d %b %H:%M").to_string(), want, "{time}");
        }
    }

    #[test]
    fn words_of_a_program_are_read_in_spanish() {
        let zone = TimeZone::get("Europe/Madrid").expect("a zone");
        // Sunday, 15:59 in Madrid.
        let end = "2026-11-29T14:59:00Z".parse().expect("a time");
        let madrid = Zone { name: "Europe/Madrid".to_owned(), source: ZoneSource::Request, is_sure: true };
        let policy = Policy { language: None, ..Policy::default() };
        let at = time_in_words("el martes a las 4 de la tarde", &madrid, &policy, end);
        let at = at.expect("understood").to_zoned(zone);
        assert_eq!(at.strftime("%a %d %b %H:%M").to_string(), "Tue 01 Dec 16:00");
    }

    fn check(text: &str, want: Option<&str>) {
        let zone = TimeZone::get("America/New_York").expect("a zone");
        let got = iso8601(text, &zone).map(|(at, _)| at.to_string());
        assert_eq!(got.as_deref(), want, "{text}");
    }

    #[test]
    fn iso_times_are_instants_or_the_callees_wall_time() {
        check("2026-11-24T15:00:00Z", Some("2026-11-24T15:00:00Z"));
        check("2026-11-24T15:00:00-08:00", Some("2026-11-24T23:00:00Z"));
        check("2026-11-24T15:00", Some("2026-11-24T20:00:00Z"));
        check("2026-11-24 15:00:00", Some("2026-11-24T20:00:00Z"));
        check("2026-11-24", Some("2026-11-24T15:00:00Z"));
        check("1796072400", Some("2026-11-30T21:00:00Z"));
        check("1796072400000", Some("2026-11-30T21:00:00Z"));
        check("2026-11-30T24:00:00", Some("2026-12-01T05:00:00Z"));
        check("2026-11-30 24:00", Some("2026-12-01T05:00:00Z"));
        for words in ["tomorrow at 3", "", "15:00", "9999", "2026-13-45", "in two hours"] {
            check(words, None);
        }
    }
}
