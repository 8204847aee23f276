//! The usual spelling of English words that transcribers write without apostrophes, by sound or in dialect.
//!
//! Invariant: a word is replaced only by one with the same meaning. Hours written as other words ("for thirty") are
//! handled by [`super::by_ear`], which checks that an hour makes sense.

use crate::lang::At;

/// The usual spelling of the word here, if it is different.
pub(super) fn usual(s: At<'_>) -> Option<&'static str> {
    let word = s.word(0);
    let plain = match word {
        "dont" | "dinnae" | "dinna" => "don't",
        "cant" | "cannae" => "can't",
        "wont" | "willnae" => "won't",
        "didnt" => "didn't",
        "doesnt" => "doesn't",
        "isnt" => "isn't",
        "wasnt" => "wasn't",
        "arent" => "aren't",
        "couldnt" => "couldn't",
        "wouldnt" => "wouldn't",
        "shouldnt" => "shouldn't",
        "havent" => "haven't",
        "hasnt" => "hasn't",
        "im" => "i'm",
        "ive" => "i've",
        "youre" => "you're",
        "youve" => "you've",
        "youll" => "you'll",
        "theyre" => "they're",
        "theyll" => "they'll",
        "hes" => "he's",
        "shes" => "she's",
        "thats" => "that's",
        "thatll" => "that'll",
        "itll" => "it'll",
        "theres" => "there's",
        "whats" => "what's",
        "whens" | "when'd" | "when's" => "when",
        "lets" => "let's",
        "youse" | "ye" | "ya" => "you",
        "mek" => "make",
        "gie" => "give",
        "tae" => "to",
        "fae" => "from",
        "efter" => "after",
        "naw" | "nae" => "no",
        "wensday" | "wendsday" | "wenesday" => "wednesday",
        "thurs" => "thursday",
        "mornin" => "morning",
        "evenin" => "evening",
        "bout" => "about",
        "em" => "them",
        _ => return by_neighbor(s),
    };
    Some(plain)
}

/// Words that are misspellings only next to certain words.
fn by_neighbor(s: At<'_>) -> Option<&'static str> {
    match s.word(0) {
        // "Ill be home", but "I'm ill".
        "ill"
            if !matches!(
                s.back(1),
                "i'm" | "im" | "am" | "is" | "was" | "feel" | "felt" | "very" | "be" | "so" | "got" | "still"
            ) =>
        {
            Some("i'll")
        }
        "id" if matches!(
            s.word(1),
            "be" | "like" | "rather" | "prefer" | "say" | "go" | "love" | "have" | "need" | "not"
        ) =>
        {
            Some("i'd")
        }
        "hell" if matches!(s.word(1), "be" | "call" | "ring" | "have" | "do" | "get" | "come" | "phone") => {
            Some("he'll")
        }
        "shell"
            if matches!(
                s.word(1),
                "be" | "call" | "ring" | "have" | "do" | "get" | "come" | "want" | "need"
            ) =>
        {
            Some("she'll")
        }
        "its" if !matches!(s.word(1), "own" | "way") => Some("it's"),
        "our" if s.back(1) == "an" => Some("hour"),
        "ours" if matches!(s.back(1), "two" | "to" | "too" | "three" | "four" | "of") => Some("hours"),
        "mi" if matches!(s.back(1), "call" | "ring" | "phone" | "text") => Some("me"),
        "fore" if matches!(s.word(1), "i" | "we" | "you" | "he" | "she" | "that") => Some("before"),
        _ => None,
    }
}
