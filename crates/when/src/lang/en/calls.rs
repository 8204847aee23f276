//! Verbs of calling, with caller and callee: "have her ring", "should Pete call", "call my brother", "call back at".

use super::day;
use crate::{cue::Cue, lang::At};

/// "Should Pete call", "can the doctor ring": a call by a named person.
pub(super) fn by_a_name(s: At<'_>) -> Option<usize> {
    const MODALS: [&str; 10] =
        ["should", "could", "can", "will", "would", "shall", "have", "let", "get", "may"];
    if !matches!(s.word(0), "call" | "ring" | "phone") {
        return None;
    }
    #[rustfmt::skip]
    let named = !matches!(
        s.back(1),
        "" | "to" | "a" | "the" | "i" | "we" | "you" | "this" | "that" | "my" | "your" | "not" | "please"
        | "just" | "then" | "me" | "us" | "and" | "or" | "phone" | "another" | "an" | "missed" | "quick"
    );
    let has_modal =
        (2..=3).any(|n| MODALS.contains(&s.back(n)) && !matches!(s.back(n - 1), "i" | "we" | "you"));
    #[rustfmt::skip]
    let of_another = matches!(
        s.word(1),
        "the" | "my" | "his" | "her" | "their" | "him" | "them" | "it" | "me" | "us" | "you" | "from"
        | "about"
    );
    (named && has_modal && !of_another).then_some(1)
}

/// "Have her call", "get him to ring", "should they phone": a call by another person.
pub(super) fn by_another(s: At<'_>) -> Option<usize> {
    if !matches!(
        s.word(0),
        "him" | "her" | "them" | "someone" | "somebody" | "anyone" | "one" | "he" | "she" | "they"
    ) {
        return None;
    }
    let to = usize::from(s.word(1) == "to");
    let verb = 1 + to;
    if !matches!(s.word(verb), "call" | "ring" | "phone" | "buzz" | "telephone" | "catch") {
        return None;
    }
    let of_us = matches!(s.word(verb + 1), "me" | "us" | "you");
    let of_another = matches!(
        s.word(verb + 1),
        "the" | "my" | "his" | "her" | "their" | "him" | "them" | "it" | "from" | "about" | "waiting"
    );
    let caught = s.word(verb) == "catch" && !of_us;
    (!of_another && !caught).then_some(verb + 1 + usize::from(of_us))
}

/// "Call my brother", "ring his nan", but not "call my cell".
pub(super) fn named_callee(s: At<'_>) -> Option<(Cue, usize)> {
    let verb =
        matches!(s.word(0), "call" | "ring" | "phone" | "text" | "try" | "reach" | "calling" | "ringing");
    // "Don't phone my wife", "let me reach the office".
    if matches!(s.back(1), "don't" | "not" | "never")
        || s.back(1) == "be" && matches!(s.back(2), "don't" | "not")
        || s.word(0) == "reach" && matches!(s.back(1), "me" | "i" | "we" | "i'll")
    {
        return None;
    }
    // "Ring Mia on her mobile".
    if verb
        && matches!(s.word(2), "on" | "at")
        && matches!(s.word(3), "her" | "his" | "their")
        && s.word(1) != "me"
    {
        return Some((Cue::CallOther, 2));
    }
    if !verb || !matches!(s.word(1), "my" | "his" | "her" | "their" | "the" | "our") {
        return None;
    }
    match s.word(2) {
        noun if is_own_line(noun) && !matches!(s.word(1), "his" | "her" | "their") => Some((Cue::CallMe, 3)),
        // "Ring her back on this one."
        "back" | "again" | "here" | "then" | "at" | "on" => None,
        "" | "doorbell" | "bell" | "buzzer" | "intercom" => None,
        _ => Some((Cue::CallOther, 3)),
    }
}

/// Whether the word is a line on which the person can be reached.
#[rustfmt::skip]
pub(super) fn is_own_line(noun: &str) -> bool {
    matches!(
        noun,
        "cell" | "cellphone" | "mobile" | "phone" | "number" | "line" | "house" | "home" | "work" | "landline"
        | "desk" | "other" | "same" | "direct" | "room"
    )
}

/// "Call", "ring" or "call back" before a time; the time is not consumed.
pub(super) fn bare_call(s: At<'_>) -> Option<usize> {
    if !matches!(s.word(0), "call" | "ring" | "phone")
        || is_existing_call(s)
        || matches!(s.back(1), "says" | "said" | "i")
    {
        return None;
    }
    let len = 1 + usize::from(s.word(1) == "back");
    let next = s.on(len);
    #[rustfmt::skip]
    let timed = matches!(
        next.word(0),
        "at" | "on" | "in" | "after" | "before" | "around" | "about" | "between" | "by" | "later" | "then"
        | "first" | "this" | "next" | "any" | "anytime" | "tomorrow" | "today" | "tonight" | "sometime"
        | "not" | "back" | "early" | "late" | "when" | "once"
    ) || day::weekday(next.word(0)).is_some();
    (timed || len == 2).then_some(len)
}

/// "This call", "on a call", "I got a call", "missed call": an existing call, not a requested one.
#[rustfmt::skip]
pub(super) fn is_existing_call(s: At<'_>) -> bool {
    matches!(
        s.back(1),
        "this" | "your" | "my" | "the" | "missed" | "last" | "conference" | "zoom" | "work" | "another"
        | "phone"
    ) || (s.back(1) == "a" && matches!(s.back(2), "on" | "got" | "had" | "have" | "missed" | "received"))
}

/// "On a call", "got a call", "thanks for taking my call".
#[rustfmt::skip]
pub(super) fn is_taken(s: At<'_>) -> bool {
    matches!(
        s.back(1),
        "on" | "got" | "had" | "received" | "missed" | "taking" | "for" | "in" | "from" | "returning" | "this"
    )
}
