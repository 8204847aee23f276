//! Hours that transcribers write as other words: "for thirty", "ate p m", "half to".
//!
//! Invariant: a word is read as an hour only where an hour makes sense; elsewhere "to", "for" and "won" keep their
//! meaning.

use super::{
    clock::{counts, half},
    numbers::{cardinal, minutes},
};
use crate::{
    lang::At,
    part::{Clock, Form},
    words::Kind,
};

/// The hour that a word sounds like.
fn sounds_like(word: &str) -> Option<u32> {
    Some(match word {
        "to" | "too" => 2,
        "for" | "fore" => 4,
        "ate" => 8,
        "won" => 1,
        "tree" | "free" => 3,
        "sex" | "sicks" => 6,
        "tin" => 10,
        _ => return None,
    })
}

/// An hour written as another word after "half" or "quarter past", unless the next word belongs to that other word.
pub(super) fn by_ear(s: At<'_>) -> Option<(Clock, usize)> {
    let hour = sounds_like(s.word(0))?;
    #[rustfmt::skip]
    let leads = matches!(
        s.word(1),
        "the" | "a" | "an" | "my" | "me" | "you" | "it" | "this" | "that" | "his" | "her" | "your" | "our"
        | "be" | "go" | "get" | "do" | "see" | "some" | "all" | "us" | "him" | "them"
    );
    let clock = Clock { hour: hour as i8, minute: 0, half: None, form: Form::Plain, about: false };
    (!leads && cardinal(s.on(1)).is_none()).then_some((clock, 1))
}

/// An hour written as another word, where only an hour makes sense: "at for thirty", "ate p m".
pub(super) fn misheard(s: At<'_>) -> Option<(u32, usize)> {
    let hour = sounds_like(s.word(0))?;
    let has_half = half(s, 1).0.is_some() || matches!(s.word(1), "o'clock" | "oclock" | "ish");
    let has_minutes = minutes(s.on(1)).is_some_and(|(m, len)| {
        (matches!(m, 15 | 20 | 30 | 40 | 45 | 50 | 10) || matches!(s.word(1), "oh" | "o"))
            && !counts(s.on(1 + len))
    });
    let expected =
        matches!(
            s.back(1),
            "at" | "around" | "about" | "till" | "until" | "past" | "after" | "before" | "by"
        ) && !matches!(s.word(1), "the" | "a" | "an" | "my" | "your" | "me" | "it" | "this" | "that")
            && s.word(0) != "free"
            || matches!(s.back(1), "today" | "tomorrow" | "tonight" | "say" | "like" | "make")
            || s.back(1) == "it" && s.back(2) == "make";
    #[rustfmt::skip]
    let alone = s.token(1).is_none_or(|t| t.is_stop() || t.kind == Kind::Comma)
        || matches!(
            s.word(1),
            "today" | "tomorrow" | "tonight" | "in" | "on" | "please" | "or" | "would" | "works" | "is"
            | "will" | "then" | "so" | "and" | "cause" | "sharp" | "exactly" | "eastern" | "central"
            | "mountain" | "pacific" | "i" | "i'm" | "if" | "no" | "you" | "we" | "he" | "she" | "he's"
            | "she's" | "but" | "because" | "call" | "ring"
        );
    let strict = !matches!(s.word(0), "to" | "for" | "free" | "won");
    ((has_half && (expected || strict || has_minutes))
        || (has_minutes
            && s.word(0) == "won"
            && !matches!(s.back(1), "i" | "he" | "she" | "we" | "they" | "you"))
        || (has_minutes && (expected || strict || s.back(1).is_empty()))
        || (expected && alone))
        .then_some((hour, 1))
}
