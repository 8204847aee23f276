//! Languages: each is a folder of word tables and small rules behind the [`Language`] trait.
//!
//! Invariant: a language maps words to meanings ([`Part`], [`Cue`]); [`crate::dialogue`] decides which meanings count, the
//! same way for all languages.

pub(crate) mod en;
pub(crate) mod es;

use std::{cmp::Reverse, collections::HashMap};

use crate::{cue::Cue, part::Part, words::Token};

/// The rules for the words of one language. Each method reads the words at `s`.
pub(crate) trait Language: Sync {
    /// The usual spelling of a word, if transcribers spell it differently.
    fn spelling(&self, s: At<'_>) -> Option<&'static str>;
    /// The longest part of a time that starts here.
    fn part(&self, s: At<'_>) -> Option<Named>;
    /// The cue that starts here, and its number of tokens.
    fn cue(&self, s: At<'_>) -> Option<(Cue, usize)>;
    /// Whether a word holds the parts of one time together.
    fn is_glue(&self, s: At<'_>) -> bool;
    /// Whether the word starts a new clause, with or without a stop before it.
    fn is_break(&self, s: At<'_>) -> bool;
    /// Whether a word is only polite.
    fn is_polite(&self, s: At<'_>) -> bool;
    /// Whether a word joins two alternative times.
    fn is_or(&self, s: At<'_>) -> bool;
    /// Whether a word introduces the end of a range.
    fn is_to(&self, s: At<'_>) -> bool;
    /// Whether the words put a time in the past: "yesterday", "two days ago".
    fn is_past(&self, s: At<'_>) -> bool;
}

/// A sequence of words and its cue.
pub(crate) type Phrase = (&'static [&'static str], Cue);

/// Indexes phrases by their first word, the longest first.
pub(crate) fn by_first_word(table: &[(Cue, &[&'static str])]) -> HashMap<&'static str, Vec<Phrase>> {
    let mut by_first: HashMap<&str, Vec<Phrase>> = HashMap::new();
    for (text, cue) in table.iter().flat_map(|(cue, texts)| texts.iter().map(|text| (*text, *cue))) {
        // Runs once per table and process, so the leak is bounded.
        let words: &'static [&'static str] = text.split(' ').collect::<Vec<_>>().leak();
        by_first.entry(words[0]).or_default().push((words, cue));
    }
    for phrases in by_first.values_mut() {
        phrases.sort_by_key(|(words, _)| Reverse(words.len()));
    }
    by_first
}

/// The parts of a time that one or more words name, at most two ("tonight" is a day and a part of it).
pub(crate) struct Named {
    pub(crate) parts: [Option<Part>; 2],
    /// The number of tokens.
    pub(crate) len: usize,
}

impl Named {
    pub(crate) const fn one(part: Part, len: usize) -> Self {
        Self { parts: [Some(part), None], len }
    }

    pub(crate) const fn two(first: Part, second: Part, len: usize) -> Self {
        Self { parts: [Some(first), Some(second)], len }
    }

    /// Tokens that look like a time but are not.
    pub(crate) const fn nothing(len: usize) -> Self {
        Self { parts: [None, None], len }
    }
}

/// A position in the tokens of a turn.
#[derive(Clone, Copy)]
pub(crate) struct At<'s> {
    pub(crate) tokens: &'s [Token],
    pub(crate) at: usize,
}

impl<'s> At<'s> {
    pub(crate) const fn new(tokens: &'s [Token], at: usize) -> Self {
        Self { tokens, at }
    }

    /// The word `n` tokens ahead; empty if that token is not a word.
    pub(crate) fn word(self, n: usize) -> &'s str {
        self.tokens.get(self.at + n).map_or("", Token::word)
    }

    /// The word `n` tokens back.
    pub(crate) fn back(self, n: usize) -> &'s str {
        self.at.checked_sub(n).and_then(|i| self.tokens.get(i)).map_or("", Token::word)
    }

    pub(crate) fn token(self, n: usize) -> Option<&'s Token> {
        self.tokens.get(self.at + n)
    }

    pub(crate) fn token_back(self, n: usize) -> Option<&'s Token> {
        self.at.checked_sub(n).and_then(|i| self.tokens.get(i))
    }

    /// The position `n` tokens ahead.
    pub(crate) const fn on(self, n: usize) -> Self {
        Self { tokens: self.tokens, at: self.at + n }
    }

    /// Whether these words come next.
    pub(crate) fn starts_with(self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(n, word)| self.word(n) == *word)
    }

    /// The value of the first phrase that matches here, and its number of tokens.
    pub(crate) fn lookup<T: Copy>(self, table: &[(&[&str], T)]) -> Option<(T, usize)> {
        table.iter().find(|(words, _)| self.starts_with(words)).map(|(words, what)| (*what, words.len()))
    }

    /// The number of tokens of the first phrase that matches here.
    pub(crate) fn match_len(self, phrases: &[&[&str]]) -> Option<usize> {
        phrases.iter().find(|phrase| self.starts_with(phrase)).map(|phrase| phrase.len())
    }
}
