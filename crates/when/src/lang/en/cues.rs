//! Recognizes cues in English words.

use std::{collections::HashMap, sync::LazyLock};

use super::{
    busy,
    calls::{bare_call, by_a_name, by_another, is_existing_call, is_own_line, is_taken, named_callee},
    day,
    numbers::ordinal,
    part,
    phrases::PHRASES,
    zone::is_place,
};
use crate::{
    cue::Cue,
    lang::{At, Phrase, by_first_word},
    words::Kind,
};

/// The cue that starts here: special rules first, then the longest phrase.
pub(super) fn read(s: At<'_>) -> Option<(Cue, usize)> {
    static BY_FIRST: LazyLock<HashMap<&str, Vec<Phrase>>> = LazyLock::new(|| by_first_word(PHRASES));
    if let Some(cue) = choice(s) {
        return Some(cue);
    }
    // "Scratch Wednesday."
    if matches!(s.word(0), "scratch" | "scrap" | "forget" | "skip") && day::read(s.on(1)).is_some() {
        return Some((Cue::Not, 1));
    }
    if let Some(len) = bare_call(s) {
        return Some((Cue::Callback, len));
    }
    // "So tell her one thirty."
    if s.word(0) == "tell"
        && matches!(s.word(1), "him" | "her" | "them")
        && super::clock::read(s.on(2)).is_some_and(|n| s.token(2 + n.len).is_none_or(|t| t.is_stop()))
    {
        return Some((Cue::Propose, 2));
    }
    if let Some(len) = after_it_ends(s) {
        return Some((Cue::AfterThat, len));
    }
    if let Some(len) = call_may_fail(s) {
        return Some((Cue::Fallback, len));
    }
    if matches!(s.word(0), "phone" | "telephone") && is_appointment(s.word(1)) {
        return Some((Cue::Callback, 2));
    }
    // "Do five", "let's do, um, one thirty".
    if s.word(0) == "do" && super::clock::read(s.on(1)).is_some() {
        return Some((Cue::Propose, 1));
    }
    if let Some(len) = by_another(s).or_else(|| by_a_name(s)) {
        return Some((Cue::Callback, len));
    }
    if let Some(cue) = named_callee(s).or_else(|| past_action(s)) {
        return Some(cue);
    }
    // "My inspection's up", "the office's closed".
    let first = s.word(0);
    if let Some(stem) = first.strip_suffix("'s").filter(|_| !BY_FIRST.contains_key(first)) {
        let noun = BY_FIRST.get(stem).and_then(|phrases| phrases.iter().find(|(words, _)| words.len() == 1));
        let noun = noun.map(|noun| noun.1).filter(|cue| matches!(cue, Cue::Event | Cue::Visit | Cue::Hours));
        return noun.or_else(|| busy::read(s).map(|_| Cue::Event)).map(|cue| (cue, 1));
    }
    let phrase =
        BY_FIRST.get(first).and_then(|phrases| phrases.iter().find(|(words, _)| s.starts_with(words)));
    phrase
        .and_then(|(words, cue)| in_context(*cue, words, s))
        .or_else(|| busy::read(s).map(|len| (Cue::Event, len)))
}

/// Whether a call depends on an uncertain event rather than on convenience.
#[rustfmt::skip]
fn is_condition(s: At<'_>) -> bool {
    !matches!(
        s.word(0),
        "" | "you" | "possible" | "i" | "i'm" | "that's" | "it's" | "at" | "not" | "they" | "he" | "she"
        | "we"
    )
}

/// "When it finishes", "once I'm out": after something ends.
fn after_it_ends(s: At<'_>) -> Option<usize> {
    let lead = s.match_len(&[
        &["as", "soon", "as"],
        &["soon", "as"],
        &["the", "minute"],
        &["when"],
        &["once"],
        &["after"],
    ])?;
    #[rustfmt::skip]
    let who = matches!(
        s.word(lead),
        "i" | "we" | "it" | "that" | "he" | "she" | "they" | "i'm" | "we're" | "it's" | "that's" | "he's"
        | "she's" | "they're"
    );
    let verb =
        lead + 1 + usize::from(matches!(s.word(lead + 1), "is" | "are" | "am" | "all" | "get" | "gets"));
    let over = matches!(
        s.word(verb),
        "finish" | "finishes" | "finished" | "done" | "over" | "ends" | "ended" | "out" | "off" | "through"
    );
    let timed =
        part(s.on(verb + 1)).is_some_and(|named| named.parts[0].is_some()) || s.word(verb + 1) == "at";
    (who && over && !timed).then_some(verb + 1)
}

/// "If I no answer", "if she's not there", "if it goes to voicemail": the call may fail.
fn call_may_fail(s: At<'_>) -> Option<usize> {
    if s.word(0) != "if" {
        return None;
    }
    #[rustfmt::skip]
    let fails = |word: &str| {
        matches!(
            word,
            "answer" | "answers" | "answering" | "pick" | "picks" | "miss" | "misses" | "missed" | "voicemail"
            | "reach" | "asleep" | "respond" | "engaged" | "busy"
        )
    };
    (2..=5)
        .take_while(|n| s.token(*n).is_some_and(|t| !t.is_stop()))
        .find(|n| fails(s.word(*n)))
        .map(|n| n + 1)
}

/// "Phone appointment", "telephone assessment": an appointment that is a call.
#[rustfmt::skip]
fn is_appointment(word: &str) -> bool {
    matches!(
        word,
        "appointment" | "appointments" | "assessment" | "consult" | "consultation" | "consultations"
        | "interview" | "review" | "chat" | "slot" | "slots" | "meeting" | "triage" | "session" | "check"
        | "screening"
    )
}

/// The cue of a phrase in its context; `None` if it is not a cue there.
fn in_context(cue: Cue, words: &[&str], s: At<'_>) -> Option<(Cue, usize)> {
    let len = words.len();
    if is_not_a_cue(cue, words, s) {
        return None;
    }
    let is_here = || {
        s.word(len) == "here"
            || s.on(len).starts_with(&["back", "here"])
            || s.on(len + usize::from(s.word(len) == "back"))
                .match_len(&[&["on", "this"], &["at", "this"]])
                .is_some()
    };
    match cue {
        // "Call me if someone cancels."
        Cue::CallMe if matches!(s.word(len), "if" | "whenever") && is_condition(s.on(len + 1)) => {
            Some((Cue::Unsure, len))
        }
        // "He won't want a phone call."
        Cue::Callback
            if matches!(s.back(1), "want" | "wants" | "need")
                && matches!(s.back(2), "don't" | "won't" | "doesn't" | "not") =>
        {
            Some((Cue::NoCall, len))
        }
        // "He's out, try him here at three."
        Cue::CallOther if is_here() => Some((Cue::CallMe, len)),
        Cue::CallMe | Cue::CallYou | Cue::ICall => Some(refine_call(cue, words[len - 1], s, len)),
        // "Could someone talk to me about it" asks for a call; "talk to me" alone means now.
        Cue::Now
            if words == ["talk", "to", "me"]
                && (!s.back(1).is_empty() || s.token(len).is_some_and(|t| !t.is_stop())) =>
        {
            Some((Cue::CallMe, len))
        }
        _ => Some((cue, len)),
    }
}

/// Words before which "no" is not a refusal: "no later than", "no earlier", "no one", "no problem".
const NO_REFUSAL: [&str; 23] = [
    "later", "earlier", "one", "problem", "problems", "worries", "wahala", "dramas", "bother", "issue",
    "stress", "sweat", "trouble", "fuss", "doubt", "more", "idea", "matter", "rush", "need", "pressure",
    "hurry", "harm",
];

/// Whether a phrase is not a cue because of the words around it.
fn is_not_a_cue(cue: Cue, words: &[&str], s: At<'_>) -> bool {
    let (len, last) = (words.len(), words[words.len() - 1]);
    match cue {
        Cue::No => NO_REFUSAL.contains(&s.word(1)),
        Cue::Not => matches!(
            s.word(1),
            "before" | "until" | "till" | "after" | "later" | "earlier" | "any" | "only" | "sure"
        ),
        Cue::AtThat => {
            matches!(s.back(1), "by" | "until" | "till" | "til" | "since" | "and" | "go" | "now")
                || matches!(
                    s.word(1),
                    "i" | "we" | "they" | "he" | "she" | "i'm" | "i'll" | "they're" | "we're"
                )
        }
        // "Don't ring her."
        Cue::CallOther => matches!(s.back(1), "don't" | "not" | "never"),
        Cue::CallMe if words == ["get", "me"] => !is_timed(s.word(2)),
        // "I'll speak to him then."
        Cue::Talk => {
            matches!(s.word(len), "to" | "with") && matches!(s.word(len + 1), "him" | "her" | "them")
        }
        // "That's lab check-in."
        Cue::CallMe if words == ["check", "in"] => s.token(len).is_none_or(|t| t.is_stop()),
        Cue::CallMe => matches!(s.word(0), "call" | "calls" | "callback") && is_existing_call(s),
        Cue::Callback => is_taken(s),
        // "I got a voicemail" is not the greeting of a machine.
        Cue::Greeting => {
            matches!(words[0], "voicemail" | "voice" | "mailbox")
                && matches!(s.back(1), "a" | "my" | "your" | "got" | "left" | "this" | "her" | "his")
        }
        Cue::NoCall => is_not_a_refusal(words, s),
        // "They'll just have to wait", "sorry about that".
        Cue::Correct if words == ["wait"] => {
            matches!(
                s.back(1),
                "to" | "can" | "will" | "could" | "must" | "should" | "i'll" | "can't" | "they'll" | "the"
            )
        }
        Cue::Correct if words == ["sorry"] => matches!(s.word(1), "about" | "to" | "for"),
        // "Better off", "cut off", "day off": not the end of a shift.
        Cue::Event if words == ["off"] => matches!(s.back(1), "better" | "hang" | "cut" | "take" | "day"),
        // "I'm in Phoenix" names a place, not an event.
        Cue::Event => last == "in" && is_place(s.on(len)),
        Cue::Yes => {
            words == ["right"] && matches!(s.word(1), "now" | "after" | "before" | "around" | "at" | "about")
        }
        Cue::Past if s.word(0) == "last" => {
            matches!(s.word(2), "of" | "in")
                || day::weekday(s.word(1)).is_none()
                    && !matches!(s.word(1), "week" | "month" | "year" | "night" | "time" | "evening")
        }
        _ => false,
    }
}

/// Whether the words do not refuse a call: "please don't forget me", "don't ring me this second", "don't call the house",
/// "no need to bug him".
fn is_not_a_refusal(words: &[&str], s: At<'_>) -> bool {
    const YET: &[&[&str]] = &[
        &["this", "second"],
        &["this", "minute"],
        &["right", "now"],
        &["just", "yet"],
        &["yet"],
        &["now"],
        &["just", "now"],
    ];
    let (len, last) = (words.len(), words[words.len() - 1]);
    let calls = |word: &str| matches!(word, "call" | "ring" | "phone");
    if last == "don't" {
        return s.token(len).is_some_and(|t| !t.is_stop() && t.kind != Kind::Comma)
            && !calls(s.word(len))
            && !matches!(s.word(len), "bother" | "contact");
    }
    let object = usize::from(matches!(s.word(len), "me" | "us"));
    if s.on(len + object).match_len(YET).is_some() {
        return true;
    }
    if words == ["no", "need"] {
        return s.word(2) == "to" && !calls(s.word(3)) && !matches!(s.word(3), "bother" | "text");
    }
    // Another line or another person may still be called.
    calls(last)
        && matches!(s.word(len), "the" | "my" | "his" | "her" | "their" | "him" | "them")
        && !matches!(s.word(len + 1), "number" | "day")
}

/// "Get me at five", but "don't get me wrong".
#[rustfmt::skip]
fn is_timed(word: &str) -> bool {
    matches!(
        word,
        "at" | "after" | "before" | "around" | "about" | "on" | "in" | "between" | "by" | "tomorrow"
        | "tonight" | "today" | "then"
    )
}

/// Refines a call phrase by who is called: "call me back", "call the pharmacy", "you call her".
fn refine_call(cue: Cue, last: &str, s: At<'_>, len: usize) -> (Cue, usize) {
    let me = usize::from(matches!(s.word(len), "me" | "us" | "you"));
    let back = usize::from(matches!(s.word(len + me), "back" | "again"));
    // "I'll call the pharmacy."
    if cue == Cue::ICall
        && matches!(last, "call" | "ring" | "phone" | "try")
        && matches!(s.word(len), "the" | "my" | "his" | "her" | "their" | "them" | "him")
        && !is_own_line(s.word(len + 1))
    {
        return (Cue::CallOther, len);
    }
    // "You call her tomorrow."
    if cue == Cue::CallMe
        && matches!(last, "call" | "ring" | "phone")
        && matches!(s.word(len), "him" | "her" | "them")
        && s.word(len + 1) != "here"
        && s.word(len + 2) != "here"
    {
        return (Cue::CallOther, len + 1);
    }
    // "Can she call me?"
    let cue = if matches!(s.word(len), "me" | "us") { Cue::CallMe } else { cue };
    (cue, len + me + back)
}

/// "I ordered", "we viewed": a past action.
fn past_action(s: At<'_>) -> Option<(Cue, usize)> {
    let word = s.word(0);
    let did = word.len() > 4
        && word.ends_with("ed")
        && !matches!(word, "need" | "booked" | "closed" | "speed" | "indeed");
    (did && matches!(
        s.back(1),
        "i" | "we" | "you" | "he" | "she" | "they" | "it" | "who" | "just" | "already"
    ))
    .then_some((Cue::Past, 1))
}

/// "The second one", "the latter", "the first option".
fn choice(s: At<'_>) -> Option<(Cue, usize)> {
    if s.word(0) != "the" {
        return None;
    }
    let (n, len) = match s.word(1) {
        "latter" | "last" | "later" => (-1, 1),
        "former" | "earlier" => (1, 1),
        _ => ordinal(s.on(1)).filter(|(n, _)| (1..=5).contains(n)).map(|(n, len)| (n as i8, len))?,
    };
    let noun = matches!(s.word(1 + len), "one" | "option" | "time" | "slot" | "choice");
    let alone = !matches!(s.back(1), "on" | "for" | "by" | "until")
        && s.token(1 + len).is_none_or(|t| t.is_stop())
        && matches!(s.word(1), "latter" | "former" | "first" | "second");
    (noun || alone).then_some((Cue::Choice(n), 1 + len + usize::from(noun)))
}
