//! Time zones: "Eastern", "3 pm Pacific", "your time", "I'm in Phoenix".

use super::places::PLACES;
use crate::{
    lang::{At, Named},
    part::{Part, ZoneRef},
    words::{Kind, Token},
};

pub(super) fn read(s: At<'_>) -> Option<Named> {
    let (zone, len) = whose(s).or_else(|| named(s)).or_else(|| city(s))?;
    Some(Named::one(Part::Zone(zone), len))
}

fn whose(s: At<'_>) -> Option<(ZoneRef, usize)> {
    // "Thanks for your time" names no zone.
    if matches!(
        s.back(1),
        "for" | "of" | "take" | "taking" | "waste" | "value" | "appreciate" | "much" | "all" | "with"
    ) {
        return None;
    }
    match (s.word(0), s.word(1), s.word(2)) {
        ("my", "time", _) | ("our", "time", _) => Some((ZoneRef::Caller, 2)),
        ("for", "me", _) if after_an_hour(s) => Some((ZoneRef::Caller, 2)),
        ("for", "you", _) if after_an_hour(s) => Some((ZoneRef::Agent, 2)),
        ("for", "us", _) if after_an_hour(s) => Some((ZoneRef::Caller, 2)),
        ("for", "y'all" | "yall", _) if after_an_hour(s) => Some((ZoneRef::Agent, 2)),
        ("over", "here", _) if after_an_hour(s) => Some((ZoneRef::Caller, 2)),
        ("where", "i", "am") | ("where", "i'm", "at") if after_an_hour(s) => Some((ZoneRef::Caller, 3)),
        ("my" | "our", "side" | "end", _) if after_an_hour(s) => Some((ZoneRef::Caller, 2)),
        ("your", "side" | "end", _) if after_an_hour(s) => Some((ZoneRef::Agent, 2)),
        ("mine" | "ours", ..) if after_an_hour(s) => Some((ZoneRef::Caller, 1)),
        ("yours", ..) if after_an_hour(s) => Some((ZoneRef::Agent, 1)),
        ("here", ..) if after_an_hour(s) => Some((ZoneRef::Caller, 1)),
        ("there", ..) if after_an_hour(s) => Some((ZoneRef::Agent, 1)),
        ("my", "local", "time") => Some((ZoneRef::Caller, 3)),
        ("your", "time", _) => Some((ZoneRef::Agent, 2)),
        ("your", "local", "time") => Some((ZoneRef::Agent, 3)),
        _ => None,
    }
}

/// Zones by name; ordinary words ("mountain") only after a clock time or before "time".
fn named(s: At<'_>) -> Option<(ZoneRef, usize)> {
    let (zone, plain) = match s.word(0) {
        "eastern" | "est" | "edt" => ("America/New_York", false),
        "central" => ("America/Chicago", true),
        "cst" | "cdt" => ("America/Chicago", false),
        "mountain" => ("America/Denver", true),
        "mst" | "mdt" => ("America/Denver", false),
        "pacific" | "pst" | "pdt" => ("America/Los_Angeles", false),
        "alaska" | "akst" | "akdt" => ("America/Anchorage", true),
        "hawaii" | "hst" => ("Pacific/Honolulu", true),
        "atlantic" => ("America/Halifax", true),
        "gmt" | "utc" => ("Etc/UTC", false),
        "bst" | "uk" | "british" => ("Europe/London", s.word(0) != "bst"),
        "cet" | "cest" => ("Europe/Paris", false),
        "et" | "ct" | "mt" | "pt" => {
            let zone = match s.word(0) {
                "et" => "America/New_York",
                "ct" => "America/Chicago",
                "mt" => "America/Denver",
                _ => "America/Los_Angeles",
            };
            (zone, true)
        }
        "arizona" => ("America/Phoenix", true),
        "east" if s.word(1) == "coast" => ("America/New_York", true),
        "west" if s.word(1) == "coast" => ("America/Los_Angeles", true),
        _ => return None,
    };
    let coast = usize::from(s.word(1) == "coast");
    let kind = usize::from(matches!(s.word(1 + coast), "standard" | "daylight"));
    let time = usize::from(s.word(1 + coast + kind) == "time");
    let after_hour = after_an_hour(s);
    (!plain || time == 1 || after_hour).then_some((ZoneRef::Named(zone), 1 + coast + kind + time))
}

/// Whether a clock time comes directly before.
fn after_an_hour(s: At<'_>) -> bool {
    // "Ten a.m. Central".
    if s.token_back(1).is_some_and(Token::is_stop) {
        return matches!(s.back(2), "am" | "pm");
    }
    matches!(s.token_back(1).map(|t| &t.kind), Some(Kind::Number(..) | Kind::Pair(..)))
        || matches!(s.back(1), "am" | "pm" | "m" | "o'clock" | "noon" | "thirty" | "fifteen" | "midnight")
        || super::numbers::cardinal(At { at: s.at.saturating_sub(1), ..s }).is_some()
}

/// A place by name, if "time" follows or the speaker is there.
fn city(s: At<'_>) -> Option<(ZoneRef, usize)> {
    let here = s.word(0) == "in" && is_here(s);
    let at = s.on(usize::from(here));
    let (zone, len) = at.lookup(PLACES)?;
    let time = usize::from(at.word(len) == "time");
    (here || time == 1).then_some((ZoneRef::Named(zone), usize::from(here) + len + time))
}

/// Whether a place is named here.
pub(super) fn is_place(s: At<'_>) -> bool {
    s.lookup(PLACES).is_some()
}

/// Whether "in" says where the speaker is: "I'm in", "I'm actually out in", "we're based in", "here in".
fn is_here(s: At<'_>) -> bool {
    #[rustfmt::skip]
    const BETWEEN: &[&str] = &[
        "actually", "out", "over", "down", "up", "currently", "still", "now", "here", "right", "based",
        "also", "just",
    ];
    #[rustfmt::skip]
    const BEFORE: &[&str] = &[
        "i'm", "im", "we're", "live", "am", "are", "staying", "travelling", "traveling", "i'll", "be",
    ];
    let mut n = 1;
    while BETWEEN.contains(&s.back(n)) {
        if matches!(s.back(n), "here" | "based") {
            return true;
        }
        n += 1;
    }
    BEFORE.contains(&s.back(n))
}
