//! Recognizes activities and events that take place at a time: "I'm teaching", "we eat", "the hearing is".
//!
//! Invariant: matches general patterns of words, not a list of occupations. Phrases with a meaning of their own are in
//! [`super::phrases`] and take precedence.

use super::part;
use crate::lang::At;

/// The number of tokens that name an activity or event here.
pub(super) fn read(s: At<'_>) -> Option<usize> {
    progressive(s).or_else(|| habit(s)).or_else(|| subject(s)).or_else(|| due(s))
}

/// "I'm loading sheep", "I'll be teaching", "we're still cooking".
fn progressive(s: At<'_>) -> Option<usize> {
    // "Two thirty still washing up."
    if matches!(s.word(0), "still" | "already") && s.word(1).len() > 5 && s.word(1).ends_with("ing") {
        return (!is_about_the_call(s.word(1))).then_some(2);
    }
    let be = match (s.word(0), s.word(1)) {
        ("i'm" | "we're", _) => 1,
        ("i'll" | "i'd" | "we'll" | "we'd", "be") => 2,
        ("i" | "we", "am" | "are") => 2,
        _ => return None,
    };
    #[rustfmt::skip]
    let adverb = usize::from(matches!(
        s.word(be),
        "just" | "still" | "usually" | "always" | "normally" | "out" | "off" | "already" | "actually" | "only"
    ));
    let verb = s.word(be + adverb);
    let is_verb = verb.len() > 5 && verb.ends_with("ing") && !is_about_the_call(verb);
    is_verb.then_some(be + adverb + 1)
}

/// Whether a word in "-ing" concerns the call or names no activity.
#[rustfmt::skip]
fn is_about_the_call(word: &str) -> bool {
    matches!(
        word,
        "calling" | "ringing" | "phoning" | "thinking" | "going" | "looking" | "talking" | "speaking"
        | "wondering" | "asking" | "hoping" | "saying" | "planning" | "trying" | "getting" | "expecting"
        | "wanting" | "needing" | "leaning" | "aiming" | "coming" | "sitting" | "standing" | "returning"
        | "wishing" | "telling" | "hearing" | "waiting" | "guessing" | "suggesting" | "offering" | "taking"
        | "putting" | "booking" | "scheduling" | "checking" | "evening" | "morning" | "nothing" | "anything"
        | "during" | "being" | "willing" | "assuming" | "confirming" | "following" | "reaching"
    )
}

/// "We eat", "I usually teach".
fn habit(s: At<'_>) -> Option<usize> {
    if !matches!(s.word(0), "i" | "we") {
        return None;
    }
    let adverb = usize::from(matches!(
        s.word(1),
        "usually" | "always" | "normally" | "mostly" | "generally" | "often"
    ));
    #[rustfmt::skip]
    let does = matches!(
        s.word(1 + adverb),
        "eat" | "fly" | "teach" | "drive" | "swim" | "coach" | "cook" | "sleep" | "nap" | "pray" | "train"
        | "ride" | "walk" | "shower" | "board" | "pack" | "sing" | "volunteer" | "babysit" | "commute"
        | "milk" | "feed" | "bake" | "deliver" | "unload" | "load"
    );
    does.then_some(2 + adverb)
}

/// "It is expiring on the thirtieth".
fn due(s: At<'_>) -> Option<usize> {
    let verb = s.word(1);
    let is_verb = matches!(s.word(0), "is" | "are" | "was") && verb.len() > 5 && verb.ends_with("ing");
    let skip = 2 + usize::from(matches!(s.word(2), "on" | "at" | "in" | "by"));
    let timed = || part(s.on(skip)).is_some_and(|named| named.parts[0].is_some());
    (is_verb && !is_about_the_call(verb) && timed()).then_some(2)
}

/// "The hearing is", before its time.
fn subject(s: At<'_>) -> Option<usize> {
    let word = s.word(0);
    let (noun, back) = match word.strip_suffix("'s") {
        Some(noun) => (noun, 0),
        None if matches!(word, "is" | "isn't" | "are") => (s.back(1), 1),
        None => return None,
    };
    let determined = |n: usize| matches!(s.back(n), "the" | "my" | "our" | "his" | "her" | "their");
    #[rustfmt::skip]
    let of_ours = matches!(
        noun,
        "time" | "times" | "day" | "days" | "one" | "ones" | "best" | "earliest" | "latest" | "soonest"
        | "next" | "first" | "last" | "only" | "call" | "callback" | "slot" | "window" | "opening" | "gap"
        | "preference" | "choice" | "thing" | "option" | "date" | "hour" | "plan" | "bet" | "off" | "weekend"
        | "week" | "rest" | "same" | "afternoon" | "morning" | "evening"
    );
    if noun.is_empty() || of_ours || !(determined(back + 1) || determined(back + 2)) {
        return None;
    }
    let skip = usize::from(matches!(s.word(1), "not" | "still" | "actually" | "on" | "at" | "from"));
    let timed = part(s.on(1 + skip)).is_some_and(|named| named.parts[0].is_some());
    timed.then_some(1)
}
