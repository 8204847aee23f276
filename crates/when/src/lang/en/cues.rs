//! What English words signal about calling.

use std::{collections::HashMap, sync::LazyLock};

use super::{day, numbers::ordinal};
use crate::{
    cue::Cue,
    lang::{At, Phrase, by_first_word},
};

/// The longest phrase that begins here.
pub(super) fn read(s: At<'_>) -> Option<(Cue, usize)> {
    static BY_FIRST: LazyLock<HashMap<&str, Vec<Phrase>>> = LazyLock::new(|| by_first_word(PHRASES));
    if let Some(found) = choice(s) {
        return Some(found);
    }
    if let Some(len) = bare_call(s) {
        return Some((Cue::Callback, len));
    }
    // "Do five", "let's do, um, one thirty".
    if s.word(0) == "do" && super::clock::read(s.on(1)).is_some() {
        return Some((Cue::Propose, 1));
    }
    if let Some(len) = by_another(s).or_else(|| by_a_name(s)) {
        return Some((Cue::Callback, len));
    }
    if let Some(found) = somebody(s).or_else(|| over(s)) {
        return Some(found);
    }
    // "My inspection's up", "the office's closed".
    let first = s.word(0);
    if let Some(stem) = first.strip_suffix("'s").filter(|_| !BY_FIRST.contains_key(first)) {
        let noun = BY_FIRST.get(stem)?.iter().find(|(words, _)| words.len() == 1)?;
        return matches!(noun.1, Cue::Event | Cue::Visit | Cue::Hours).then_some((noun.1, 1));
    }
    let phrases = BY_FIRST.get(first)?;
    let (words, cue) = phrases.iter().find(|(words, _)| s.says(words))?;
    let len = words.len();
    match cue {
        // "No later than", "no earlier", "no one" and "no problem" refuse nothing.
        Cue::No
            if matches!(
                s.word(1),
                "later"
                    | "earlier"
                    | "one"
                    | "problem"
                    | "problems"
                    | "worries"
                    | "wahala"
                    | "dramas"
                    | "bother"
                    | "issue"
                    | "stress"
                    | "sweat"
                    | "trouble"
                    | "fuss"
                    | "doubt"
                    | "more"
                    | "idea"
                    | "matter"
                    | "rush"
                    | "need"
            ) =>
        {
            None
        }
        Cue::Not
            if matches!(
                s.word(1),
                "before" | "until" | "till" | "after" | "later" | "earlier" | "any" | "only" | "sure"
            ) =>
        {
            None
        }
        Cue::AtThat
            if matches!(s.back(1), "by" | "until" | "till" | "til" | "since" | "and" | "go" | "now")
                || matches!(
                    s.word(1),
                    "i" | "we" | "they" | "he" | "she" | "i'm" | "i'll" | "they're" | "we're"
                ) =>
        {
            None
        }
        // "Don't ring her."
        Cue::CallOther if matches!(s.back(1), "don't" | "not" | "never") => None,
        // "He's out, try him here at three."
        Cue::CallOther
            if s.word(len) == "here"
                || s.on(len).says(&["back", "here"])
                || s.on(len).any(&[&["on", "this"], &["at", "this"]]).is_some() =>
        {
            Some((Cue::CallMe, len))
        }
        // "That's lab check-in."
        Cue::CallMe if words == &["check", "in"] && s.token(len).is_none_or(|t| t.is_stop()) => None,
        // "I got a voicemail" is no machine speaking.
        Cue::Greeting
            if matches!(words[0], "voicemail" | "voice" | "mailbox")
                && matches!(s.back(1), "a" | "my" | "your" | "got" | "left" | "this" | "her" | "his") =>
        {
            None
        }
        // "Don't call the house": another line will do.
        Cue::NoCall
            if matches!(words[words.len() - 1], "call" | "ring" | "phone")
                && matches!(s.word(len), "the" | "my" | "his" | "her" | "their" | "him" | "them")
                && !matches!(s.word(len + 1), "number" | "day") =>
        {
            None
        }
        // "I'm off on Friday" frees, "I get off" ends.
        Cue::Event
            if words == &["off"] && matches!(s.back(1), "better" | "hang" | "cut" | "take" | "day") =>
        {
            None
        }
        Cue::Yes
            if len == 1
                && matches!(s.word(0), "right")
                && matches!(s.word(1), "now" | "after" | "before" | "around" | "at" | "about") =>
        {
            None
        }
        Cue::Past if s.word(0) == "last" && matches!(s.word(2), "of" | "in") => None,
        Cue::Past
            if matches!(s.word(0), "last")
                && day::weekday(s.word(1)).is_none()
                && !matches!(s.word(1), "week" | "month" | "year" | "night" | "time" | "evening") =>
        {
            None
        }
        Cue::CallMe if matches!(s.word(0), "call" | "calls" | "callback") && is_not_asked(s) => None,
        Cue::Callback if is_taken(s) => None,
        Cue::CallMe | Cue::CallYou | Cue::ICall => {
            let me = usize::from(matches!(s.word(len), "me" | "us" | "you"));
            let back = usize::from(matches!(s.word(len + me), "back" | "again"));
            // "I'll call the pharmacy."
            if *cue == Cue::ICall
                && matches!(words[words.len() - 1], "call" | "ring" | "phone" | "try")
                && matches!(s.word(len), "the" | "my" | "his" | "her" | "their" | "them" | "him")
                && !is_own_line(s.word(len + 1))
            {
                return Some((Cue::CallOther, len));
            }
            // "You call her tomorrow."
            if *cue == Cue::CallMe
                && words[words.len() - 1] == "call"
                && matches!(s.word(len), "him" | "her" | "them")
                && s.word(len + 1) != "here"
                && s.word(len + 2) != "here"
            {
                return Some((Cue::CallOther, len + 1));
            }
            // "Can she call me?"
            let cue = if matches!(s.word(len), "me" | "us") { Cue::CallMe } else { *cue };
            Some((cue, len + me + back))
        }
        // "Could somebody talk to me about it" asks for a call; "talk to me" alone is for now.
        Cue::Now
            if words == &["talk", "to", "me"]
                && (!s.back(1).is_empty() || s.token(len).is_some_and(|t| !t.is_stop())) =>
        {
            Some((Cue::CallMe, len))
        }
        // "I'm in Phoenix" says where.
        Cue::Event if words.last() == Some(&"in") && super::zone::is_place(s.on(len)) => None,
        _ => Some((*cue, len)),
    }
}

/// "Should Pete call", "can the doctor ring": by somebody who is named.
fn by_a_name(s: At<'_>) -> Option<usize> {
    const MODALS: [&str; 10] =
        ["should", "could", "can", "will", "would", "shall", "have", "let", "get", "may"];
    if !matches!(s.word(0), "call" | "ring" | "phone") {
        return None;
    }
    let named = !matches!(
        s.back(1),
        "" | "to"
            | "a"
            | "the"
            | "i"
            | "we"
            | "you"
            | "this"
            | "that"
            | "my"
            | "your"
            | "not"
            | "please"
            | "just"
            | "then"
            | "me"
            | "us"
            | "and"
            | "or"
            | "phone"
            | "another"
            | "an"
            | "missed"
            | "quick"
    );
    let asked = (2..=3).any(|n| MODALS.contains(&s.back(n)) && !matches!(s.back(n - 1), "i" | "we" | "you"));
    let of_another = matches!(
        s.word(1),
        "the"
            | "my"
            | "his"
            | "her"
            | "their"
            | "him"
            | "them"
            | "it"
            | "me"
            | "us"
            | "you"
            | "from"
            | "about"
    );
    (named && asked && !of_another).then_some(1)
}

/// "Have her call", "get him to ring", "should they phone": a call by somebody else.
fn by_another(s: At<'_>) -> Option<usize> {
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
fn somebody(s: At<'_>) -> Option<(Cue, usize)> {
    let verb =
        matches!(s.word(0), "call" | "ring" | "phone" | "text" | "try" | "reach" | "calling" | "ringing");
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
        "" => None,
        _ => Some((Cue::CallOther, 3)),
    }
}

/// Where the person is reached.
fn is_own_line(noun: &str) -> bool {
    matches!(
        noun,
        "cell"
            | "cellphone"
            | "mobile"
            | "phone"
            | "number"
            | "line"
            | "house"
            | "home"
            | "work"
            | "landline"
            | "desk"
            | "other"
            | "same"
            | "direct"
            | "room"
    )
}

/// "I ordered", "we viewed": what somebody did is over.
fn over(s: At<'_>) -> Option<(Cue, usize)> {
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

/// "Call", "ring" or "call back" with a time behind it, which is left to be read.
fn bare_call(s: At<'_>) -> Option<usize> {
    if !matches!(s.word(0), "call" | "ring" | "phone")
        || is_not_asked(s)
        || matches!(s.back(1), "says" | "said" | "i")
    {
        return None;
    }
    let len = 1 + usize::from(s.word(1) == "back");
    let next = s.on(len);
    let timed = matches!(
        next.word(0),
        "at" | "on"
            | "in"
            | "after"
            | "before"
            | "around"
            | "about"
            | "between"
            | "by"
            | "later"
            | "then"
            | "first"
            | "this"
            | "next"
            | "any"
            | "anytime"
            | "tomorrow"
            | "today"
            | "tonight"
            | "sometime"
            | "not"
            | "back"
            | "early"
            | "late"
            | "when"
            | "once"
    ) || day::weekday(next.word(0)).is_some();
    (timed || len == 2).then_some(len)
}

/// "This call", "on a call", "I got a call", "missed call": a call that is, not one that is wanted.
fn is_not_asked(s: At<'_>) -> bool {
    matches!(
        s.back(1),
        "this"
            | "your"
            | "my"
            | "the"
            | "missed"
            | "last"
            | "conference"
            | "zoom"
            | "work"
            | "another"
            | "phone"
    ) || (s.back(1) == "a" && matches!(s.back(2), "on" | "got" | "had" | "have" | "missed" | "received"))
}

/// "On a call", "got a call", "thanks for taking my call".
fn is_taken(s: At<'_>) -> bool {
    matches!(
        s.back(1),
        "on" | "got"
            | "had"
            | "received"
            | "missed"
            | "taking"
            | "for"
            | "in"
            | "from"
            | "returning"
            | "this"
    )
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

#[rustfmt::skip]
const PHRASES: &[(Cue, &[&str])] = &[
    (Cue::CallMe, &[
        "you call", "you can call", "you could call", "you ring", "you can ring", "he call me", "she call me", "they call me", "she ring me", "he ring me", "ring me", "call me back", "call me", "gimme a call", "give me a call", "give me a ring", "give me a shout", "give me a bell", "give me a buzz", "give us a call", "give us a ring", "give us a bell", "give us a shout", "phone me up", "give a call", "call it in", "call us back", "call us", "call back", "calling me back", "calling me", "call again",
        
        
        "ring me back", "ring me", "ring us", "ring back", "buzz me", "holler at me", "phone me back", "phone me", "phone us", "phone back", "phone again",
        "try me again", "try me", "try again", "try back", "try us", "try calling", "reach me", "reach us", "reach back", "reach out", "get me at", "get me after", "get hold of me", "get a hold of me", "catch me", "hit me up", "hit me back",
        "get back to me", "get back to us", "come back to me", "circle back", "touch base", "check back", "check in", "follow up", "connect again", "reconnect",
        "talk", "contact me", "dial me", 
        "have someone call", "have somebody call", "someone call", "somebody call", "anyone call", "him call me", "her call me", "them call me",
        "pick this up", "pick it up", "continue this", "finish this", "call will", "calls me", "try my cell", "try the house", "on this number", "at this number",
    ]),
    (Cue::Callback, &["slots for calls", "calls with", "callback", "call backs", "a call", "the call", "your call", "another call", "phone call", "quick call", "a ring", "a bell", "a buzz", "a shout", "a tinkle", "schedule a callback", "schedule a call", "set up a call", "book a call", "can i get a call", "a call back", "that call"]),
    (Cue::Talk, &["talk", "speak", "chat", "have a conversation", "discuss"]),
    (Cue::ICall, &[
        "i'll call you back", "i'll call you", "i'll call back", "i'll call", "i will call you", "i will call back", "i will call", "i'll ring you", "i'll ring back", "i'll ring", "i'll phone", "i'll give you a call", "i'll give you guys a call", "i'll give you a ring", "i'll give you a shout", "i'll give y'all a call", "i'll just call",
        "i can call you", "i could call you", "let me call you", "let me ring you", "i'd rather call you", "i'll try you", "i'll get back to you", "i'll reach out", "i'll be calling", "i'm going to call you", "i'm gonna call you", "i'll let you know", "i will let you know", "lemme call you", "i'd rather call", "i'll be the one to call", "i'll do the calling", "i'll call when", "i'll try back", "i'll try again", "i'll check back", "i'll follow up",
        "we'll call you back", "we'll call you", "we'll call back", "we'll call", "we will call you", "we will call", "we can call you", "we could call you", "we'll ring", "we'll phone", "i'll have someone", "i'll have somebody", "i'll have him", "i'll have her", "i'll have them", "i can have him", "i can have her", "i can have someone", "i'll get him to", "i'll get her to", "i'll ask him to", "i'll ask her to",
        "i call at", "i ring at", "i phone at", "i call you at", "i call then", "then i call", "then i ring", "i can call back", "i could call", "i can call", "i can ring", "i could ring", "i'll call then", "can i call", "can we call", "could i call", "could we call", "may i call", "shall i call", "shall we call", "should i call", "should we call", "shall i ring", "should i ring", "can i ring", "could i ring", "i'll hit you back", "i'll hit you up", "i'll give you a buzz", "i'll buzz you", "leave it with me", "i'll get in touch", "i'll be in touch", "i'll touch base", "i'll get back", "i'll try you back", "i'll holler", "i'll shout", "i'll email", "i'll just email", "i'll send an email", "i'll do the form", "i'll fill in the form", "i'll take it up with", "they'll write to you", "i'll write", "i'll just write", "i'll text", "i'll stop by", "i'll come by", "i'll come in", "i'll drop by", "i'll pop in", "i'll just come", "i'll do it online", "i'll book online", "i'll sort it", "don't worry about it", 
    ]),
    (Cue::CallYou, &[
        "buzz you", "telephone you", "on to you", "onto you", "back to you", "give you a bell", "give you a shout", "giving you a call", "giving you a ring", "phoning you", "ringing you", "text you back", "speak to you about", "speak with you", "have a word with you", "a word with you", "go over it with you", "go over that with you", "talk to you before", "talk to you about",
        "call you back", "call you", "calling you", "ring you", "phone you", "calls you", "reach you", "try you", "have someone call you", "give you a call", "give you a ring", "give you a buzz", "get back to you", "talk to you then", "contact you", "text you",
        "have you down for", "have you down", "put you down for", "put you down", "got you down", "i have you down for", "i have you down", "i've got you down for", "i've got you down", "pencil you in", "schedule you", "book you in for a call", "he'll call", "she'll call", "they'll call", "he'll ring", "she'll ring", "they'll ring", "he can call", "she can call", "they can call", "could he call", "could she call", "can he call", "can she call", "can they call", "should they call", "should he call", "should she call", "when can he", "when can she", "when can they", "want me to try you", "want me to call", "like me to call", "like us to call", "want us to call", "who'll call", "will call", "will ring", "will phone", "can phone", "can ring", "have him call you", "have her call you", "get her to call", "get him to call", "get someone to call", "call ya", "ring ya",
    ]),
    (Cue::Now, &["tell me now", "ask me now", "talk to me", "fire away", "you've got me now", "let's knock it over", "i'm stepping away", "let's do it now then", "just do it now then", "you have five minutes", "i've got ten minutes now", "now's as good a time", "let's get it over with","now is fine", "now's fine", "now is good", "now's good", "now works", "i can do it now", "do it now", "let's do it now", "i can talk now", "i've got a minute now", "i have a minute now", "i have time now", "i've got time now", "actually go ahead", "go ahead now", "right now is fine", "right now works", "right now is good", "we can talk now", "let's just do it now", "just do it now", "talk now", "i'm free now", "got five minutes now", "have five minutes now", "have ten minutes now", "might as well do it now"]),
    (Cue::CallOther, &[
        "call my wife", "call my husband", "call my son", "call my daughter", "call my mother", "call my mom", "call my mum", "call my dad", "call my father", "call my brother", "call my sister", "call my office", "call my assistant", "call my partner", "call my boss", "call my lawyer", "call my accountant", "call my manager", "call my roommate", "call my neighbor", "call my colleague", "call my secretary",
        "call him", "call her", "call them", "ring him", "ring her", "ring them", "phone him", "phone her", "phone them", "try him", "try her", "try them", "reach him", "reach her", "reach them", "call the office", "call the front desk", "call the school", "call the doctor", "call the store",
        "ring my wife", "ring my husband", "ring my daughter", "ring my son", "ring my mum", "phone my wife", "phone my husband", "speak to my wife", "speak to my husband", "speak with my wife", "speak with my husband", "talk to my wife", "talk to my husband", "talk with my wife", "talk with my husband", "text him", "text her", "text my wife", "text my husband",
    ]),
    (Cue::NoCall, &[
        "scrap that call", "scratch that call", "forget that call", "cancel my call", "put me on your", "call list", "phoning me in the morning",
        "forget it", "never mind", "nevermind", "forget about it", "forget the call", "forget about the call", "never mind the call", "cancel that call", "cancel the call", "skip the call", "scratch the call", "scrap the call", "no calls", "no call", "no call thanks", "don't bother", "i'd rather not", "let's just not", "do not call list", "don't need the phone calls", "call sheet", "call off", "take the call off", "take off the", "no need for me to call", "won't need to call", "won't need to phone", "won't phone", "should not call", "number off", "not bother you", "bothers you", "don't wanna hear", "don't want to hear", "in writing", "no need for a callback", "nobody needs to call", "don't have to call", "doesn't need to call", "needn't call", "needn't ring", "needn't bother", "ah don't", "please don't call", "leave me alone",
        "don't call me", "don't call us", "don't call", "do not call", "dont call", "stop calling", "never call", "no need to call", "no need for a call", "don't want a call", "don't want any calls", "don't want calls", "don't need a call", "don't want you to call", "don't want to be called", "don't want you calling", "don't bother calling", "don't ring", "don't phone", "do not phone", "do not ring", "quit calling", "rather you didn't", "please don't",
        "take me off", "remove me", "remove my number", "not interested", "no longer interested", "lose my number", "no more calls", "won't be necessary", "not necessary", "no thank you", "don't need to call", "do not want a call", "wouldn't call", "no callback", "no call back", "wrong number", "not call me", "off your list", "do not contact", "don't contact", "no need",
    ]),
    (Cue::Works, &[
        "she has a gap", "he has a gap", "they have a gap", "she has a slot", "he has a slot", "she has an opening", "he has an opening", "there's a gap", "there's a slot", "there's an opening", "she's free", "he's free", "they're free", "she could do", "he could do", "they could do", "she can do", "he can do", "they can do", "when can you talk",
        "works for me", "works better", "works best", "works well", "works great", "works", "work for me", "would work", "will work", "could work", "should work", "is good", "is great", "is perfect", "is fine", "is ok", "is okay", "is better", "is best", "is easier", "is safe", "is safer", "is ideal", "is cool", "is free", "is open", "be good", "be great", "be better", "be best", "be ideal", "be perfect", "be fine", "be safer", "would suit", "suits me", "suits", "sounds good", "sounds great", "sounds fine",
        "i'm free", "i'm available", "im free", "i'm reachable", "i'll be free", "i'll be available", "i'll be around", "i am free", "i am available", "we're free", "i'm around", "i should be free", "i can talk", "i can do", "i could do", "i can take", "i can speak", "i can chat", "i can pick up", "i can answer", "i'd prefer", "i would prefer", "i prefer", "prefer", "i'd rather", "i'd like", "i would like", "preferably", "ideally", "best time", "good time", "better time", "you can reach me", "can reach me", "when you can reach me", "i'm good", "i have time", "i've got time", "i got time", "i'm off work", "fine by me", "fine with me", "good for me", "better for me", "best for me", "good", "better", "would be good", "any time", "anytime", "free up", "freed up", "goes for me", "'s good", "'s fine", "'s better", "i need the call", "i need a call", "i need that call", "do best", "are good", "are best", "are better", "are fine", "my best bet", "best bet", "free",
    ]),
    (Cue::Propose, &["can we", "can we do", "could we do", "can you do", "could you do", "let's do", 
        "how about", "what about", "how's", "how is", "how does", "how would", "would", "does", "let's say", "lets say", "let's make it", "let's go with", "let's try", "let's shoot for", "shall we say", "should we say", "can we say", "say", "shoot for", "aim for", "maybe", "what if", "perhaps", "why don't you", "why don't we", "could it be", "could you make it", "can you make it", "can it be", "could we", "possible", "i was thinking", "i'm thinking", "thinking", "put me down for", "put me in for", "pencil me in", "go for", "go with", "i'll take", "i'd say", "instead", "earliest",
    ]),
    (Cue::Correct, &["let it be", "leave it till", "leave it until", "leave it to", "keep it for", "put it off till", "put it off until", 
        "make it", "make that", "actually", "no wait", "oh wait", "wait", "hold on", "hang on", "scratch that", "strike that", "forget that", "forget it", "i mean", "i meant", "call it", "let's call it", "say more like", "better say", "nah make it", "sorry", "my bad", "correction", "rather", "on second thought", "on second thoughts", "better make it", "better yet", "or rather", "no sorry", "let me think", "you know what", "change that", "change it", "let me change", "nope",
    ]),
    (Cue::Refuse, &["cutting it close", "cutting it fine", "is cutting it", "is pushing it", 
        "can't do", "cannot do", "can't make", "can't talk", "cant do", "won't work", "doesn't work", "does not work", "don't work", "isn't good", "is not good", "not good", "no good", "is bad", "'s bad", "too early", "too late", "too soon", "not ideal", "isn't great", "isn't going to work", "not gonna work", "not going to work", "i'm busy", "im busy", "i won't be", "i'm not available", "not available", "i can't", "is out", "is no good", "is tough", "is tricky", "is dinner", "is lunch", "is impossible", "is hard", "is taken", "is booked", "fully booked", "booked up", "booked", "already taken", "unavailable", "i'm tied up", "i'll be tied up", "am tied up", "is crazy", "is packed", "is swamped", "is hectic", "is a nightmare", "is a mess",
    ]),
    (Cue::Yes, &[
        "i'll book it", "i'll put that on", "i'll put that down", "i'll note it", "i'll note that", "i'll leave it on", "i'll write it", "i'll write that", "i'll let him know", "i'll let her know", "i'll let them know", "i'll tell him", "i'll tell her", "i'll put it down", "i'll make a note", "i can do that", "we can do that", "he can do that", "she can do that", "they can do that", "i'll do that", "we'll do that", "aye", "no bother", "no dramas", "no worries", "sound", "magic", 
        "yes", "yeah", "yep", "yup", "sure", "okay", "ok", "perfect", "great", "correct", "right", "exactly", "absolutely", "of course", "certainly", "fine", "deal", "mm-hmm", "uh-huh", "alright", "all right", "sounds good", "that works", "that'll work", "that's fine", "that's good", "that's great", "that's it", "that's right", "that's perfect", "that will do", "that'll do", "that would be great", "you got it", "got it", "definitely", "brilliant", "lovely", "cool", "works for me", "i guess", "no problem", "why not", "yes please", "please do", "you bet", "go ahead", "go on then", "go on", "beautiful", "deadly", "sweet as", "grand so", "righto", "right so", "haan", "ya", "you bet", "easy", "wonderful", "awesome", "excellent", "super", "spot on", "will do", "i suppose", "cheers", "grand",
    ]),
    (Cue::No, &["no", "nah", "not really", "negative"]),
    (Cue::Not, &["forget about", "scratch the", "scrap the", "forget the", "not", "isn't", "never", "rather than", "instead of", "anything but", "except", "other than", "avoid"]),
    (Cue::Have, &["she has", "he has", "they have", "i've got", "i have", "i got", "we've got", "we have", "ive got"]),
    (Cue::Event, &[
        "renewal", "renews", "due date", "billed", "be there", "pickup", "guests", "leave here", "leaves here", "leaves at", "go in at", "i go in", "goes in at", "clock in", "i clock in", 
        "coming by", "are coming", "is coming", "on the road",
        "knocks off", "comes at", "comes round", "comes", "resumes", "out on the boat",
        "get up", "gets up", "let out", "lets out", "clocks off", "clocks out", "knock off at", "i'm off at", "he's off at", "sleeping", "drive", "physio", "i've a", "i've to", "i gotta", "i have to", "i need to be", "i've the", "school run", "on the digger", "comes on at", "comes on", "im at", "im in", "im on", "i be at",
        "i get off", "get off", "gets off", "get out", "gets out", "get home", "gets home", "get back", "gets back", "get done", "get in", "gets in", "shift", "shift ends", "ends", "end at", "ending", "finish", "finishes", "finished", "done", "over by", "starts", "start", "begins", "meeting", "meetings", "appointment", "dentist", "doctor", "doctor's", "class", "classes", "lecture", "school", "practice", "gym", "yoga", "church", "choir", "bowling", "training", "rehearsal", "game", "match", "party", "wedding", "funeral", "interview", "conference", "court", "exam", "test", "therapy", "surgery", "haircut", "movie", "concert", "flight", "plane", "train", "bus", "lands", "land", "landing", "boards", "departs", "home by", "home at", "home around", "be home", "i'm home", "leave at", "leave for", "leaving", "up at", "wake up", "i'm up", "go to bed", "asleep", "pick up", "drop off", "drop the kids", "lunch", "lunch break", "my break", "break", "i'm on break", "at work", "i work", "i'm working", "working", "work until", "work till", "in a meeting", "on vacation", "on holiday", "away", "out of town", "traveling", "travelling", "out of the office", "off until", "back on", "back at", "back in", "i'm back", "i return", "i'm at", "i'm on", "i'm in", "i'll be at", "i'll be in", "i'll be on", "i'll be out", "dinner", "supper", "driving", "we're at", "the kids", "nap", "contract ends", "expires", "ends on", "due", "deadline", "busy until", "busy till", "busy from", "tied up until", "tied up till", "cooking", "cooks", "commute", "unavailable until", "delivery", "clock out", "clock off", "knock off", "log off", "off at", "free until", "dialysis",
    ]),
    (Cue::Hours, &["shut", "shuts", "knocking off", "closing up", "opens at", "they're in", "comes on at","open", "opens", "opening", "close", "closes", "closed", "closing", "hours", "business hours", "office hours", "our hours", "we're here", "are in from", "line is", "lines are", "staffed", "support is", "available from"]),
    (Cue::Past, &[
        "he gave", "she gave", "they gave", "you gave",
        "i left", "it says", "says call", "i gave", "he gave", "she gave", "i saw", "i got", "i sent", "we said", "you said", "i was in", "it was meant to be", "was meant", "ran",
        "yesterday", "last", "ago", "was", "were", "called me", "you called", "i called", "called", "rang", "phoned", "tried", "said", "told", "already", "since", "placed", "dated", "ordered", "been", "had", "missed", "waited", "waiting", "on hold", "got a letter", "got an email", "received", "signed up", "bought", "moved in", "came", "went", "did", "previously", "used to", "spoke", "talked", "happened", "filled", "paid", "started",
    ]),
    (Cue::Visit, &[
        "he come", "she come", "they come", "someone come", "somebody come", "out to you", "call out to", "be out to", 
        "you can come", "can come", "come at", "can you come", "how would you rate", "safe travels", "checks in", "doctor's asking", "good for thirty days",
        "appointment with", "your appointment", "an appointment", "cleaning", "lesson", "have it ready", "ready at", "pick up or delivery", "at the counter", "need me there", "arrive fifteen", "confirm access", "procedure", "ceremony", "checking in", "in stock", "come have a look", "have a look", "viewing", "booked for", "booked in for", "we've moved her", "we've moved your", "foot clinic", "the gate", "shown", "still on for", "i can order", "campaign", "survey in your street", "a ride", "eligible",
        "technician", "installer", "install", "installation", "delivery", "deliver", "delivered", "driver", "ship", "ships", "shipping", "arrive", "arrives", "book an appointment", "make an appointment", "schedule an appointment", "appointment for", "reservation", "reserve", "table for", "booked for", "book a table", "reschedule", "cleaning", "move my", "cancel my", "see you", "come in", "come by", "come over", "come out", "stop by", "drop by", "swing by", "visit", "check in time", "checkout", "service starts", "start on", "plumber", "electrician", "courier", "inspection", "viewing", "show up", "webinar",
    ]),
    (Cue::Send, &["text me", "message me", "ping me", "drop me a text", "drop me a line", "shoot me a text", "send me a text", "a text", "email", "e mail", "send me", "send it", "send us", "send over", "send that", "send this", "sending", "mail me", "just send", "fax"]),
    (Cue::AfterThat, &["as soon as", "soon as", "after that", "after then", "afterwards", "afterward", "right after", "any time after that", "anytime after that", "straight after", "just after", "soon after", "when i'm done", "once i'm done", "when it's over", "once it's over", "once that's done", "when that's done", "after it", "from then on", "from then", "once i'm home", "once i'm back", "once i land", "when i land", "after i land", "after you land", "after i'm done", "after we're done", "after i finish", "once i finish", "when i finish", "as soon as i finish", "as soon as i'm out", "once i'm out", "right when i get", "soon as i get", "as soon as i'm done", "after the meeting", "after my shift", "after my meeting", "after my appointment", "after my class", "after class", "after practice", "after church", "after school", "after the game", "after my flight", "when i get out", "when i get off", "once i get off", "when i get home", "once i get home", "after i get off", "after i get home"]),
    (Cue::BeforeThat, &["before that", "before then", "before i leave", "before i go", "before you go", "before i head out", "before we leave", "before i start", "before my flight", "before i board", "before the flight", "before the meeting", "before my shift", "before it", "beforehand"]),
    (Cue::AtThat, &["then", "at that time", "in that window", "during that", "that's when", "is when", "around then", "about then"]),
    (Cue::Ask, &["what time", "when", "which day", "what day", "morning or afternoon", "am or pm", "a.m. or p.m.", "which", "morning or evening", "what would be", "what works", "which one"]),
    (Cue::Later, &["push it back", "push it", "push that", "move it", "move that back", "make it later", "bump it", "a bit later than that", "delay it"]),
    (Cue::Fallback, &["what if he's", "what if she's", "what if they're", "what if they", "what if i can't", "what if i don't", "what if nobody", "what if you don't", "if he misses me", "if she misses me", "if they miss me", "if he doesn't get me", "as the backup", "if i don't pick up", "if you don't pick up", "if you don't answer", "if i miss you", "if we miss you", "if we can't reach you", "if i can't reach you", "and if there's no answer", "and if not", "if i get no answer", "if i don't answer", "if i miss", "if not", "if that doesn't work", "if i'm not", "if there's no answer", "if you can't reach me", "if you don't reach me", "otherwise", "as a backup", "worst case", "failing that", "if i can't", "if you miss me"]),
    (Cue::Greeting, &["has been recorded", "for appointments please call", "please call between", "this is the clinic of", "press one", "press 1", "not available to answer","leave a message", "leave your message", "leave me a message", "leave your name", "leave a name", "after the tone", "after the beep", "at the tone", "at the beep", "sound of the beep", "you've reached", "you have reached", "can't come to the phone", "cannot come to the phone", "can't take your call", "unable to take your call", "not available to take", "unable to answer", "voicemail", "voice mail", "mailbox", "please record", "is not available right now", "can't get to the phone", "get back to you as soon as"]),
    (Cue::Third, &["he does", "she does", "they do", "he starts", "she starts", "he works", "she works", "is he", "is she", "will he", "will she", "does he", "does she", "he's", "she's", "he is", "she is", "he'll", "she'll", "they're", "they'll", "his", "my wife is", "my husband is", "he gets", "she gets", "he comes", "she comes", "the boss", "my mom's", "she'll be", "he'll be", "he usually", "she usually"]),
    (Cue::Unsure, &["don't know when", "not sure when", "no idea when", "don't know what time", "can't say when", "hard to say", "whenever", "some other time", "another time", "at some point", "some time", "if the", "if it", "when the part", "when it comes"]),
    (Cue::IsNow, &["it's", "it is", "it's like", "it's nearly", "it's almost", "it's already", "it's gone", "it is nearly", "it's about", "now it's almost", "now it's"]),
    (Cue::Measure, &["pays", "costs", "going for", "asking for", "priced at", "paid", "grand", "from one to ten", "rate","years old", "dollars", "bucks", "percent", "degrees", "date of birth", "born", "birthday", "last four", "account number", "order number", "my number", "phone number", "zip", "address", "extension", "age", "miles", "square", "pounds", "a month for", "per month", "turns", "number is"]),
];
