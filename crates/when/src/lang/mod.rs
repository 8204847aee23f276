//! Languages: each a folder of tables and small rules over words, behind one seam.
//!
//! Invariant: a language says what words mean ([`Part`], [`Cue`]); which of the meanings counts is the same in all of
//! them and stands in [`crate::dialogue`].

pub(crate) mod en;
pub(crate) mod es;

use std::{cmp::Reverse, collections::HashMap};

use crate::{cue::Cue, part::Part, words::Token};

/// What is known of a language's words.
pub(crate) trait Language: Sync {
    /// The usual spelling of the word that stands here, where transcribers have another.
    fn spelling(&self, s: At<'_>) -> Option<&'static str>;
    /// The part of a time that begins here: the longest there is.
    fn part(&self, s: At<'_>) -> Option<Named>;
    /// What the words that begin here signal, and how many they are.
    fn cue(&self, s: At<'_>) -> Option<(Cue, usize)>;
    /// Whether a word holds the parts of one time together.
    fn is_glue(&self, s: At<'_>) -> bool;
    /// Whether another thought begins with this word, with or without a stop before it.
    fn is_break(&self, s: At<'_>) -> bool;
    /// Whether a word is only polite.
    fn is_polite(&self, s: At<'_>) -> bool;
    /// Whether a word sets two times beside each other.
    fn is_or(&self, s: At<'_>) -> bool;
    /// Whether a word leads to the end of a range.
    fn is_to(&self, s: At<'_>) -> bool;
    /// Whether the words that begin here put a time into the past: "yesterday", "two days ago".
    fn is_past(&self, s: At<'_>) -> bool;
}

/// Words in a row, and what they signal.
pub(crate) type Phrase = (&'static [&'static str], Cue);

/// Phrases by their first word, the longest first.
pub(crate) fn by_first_word(table: &[(Cue, &[&'static str])]) -> HashMap<&'static str, Vec<Phrase>> {
    let mut by_first: HashMap<&str, Vec<Phrase>> = HashMap::new();
    for (text, cue) in table.iter().flat_map(|(cue, texts)| texts.iter().map(|text| (*text, *cue))) {
        // Once a process: the tables are as good as static.
        let words: &'static [&'static str] = text.split(' ').collect::<Vec<_>>().leak();
        by_first.entry(words[0]).or_default().push((words, cue));
    }
    for phrases in by_first.values_mut() {
        phrases.sort_by_key(|(words, _)| Reverse(words.len()));
    }
    by_first
}

/// What a word or a few say: up to two parts of a time ("tonight" is a day and a part of it).
pub(crate) struct Named {
    pub(crate) parts: [Option<Part>; 2],
    /// How many tokens it took.
    pub(crate) len: usize,
}

impl Named {
    pub(crate) const fn one(part: Part, len: usize) -> Self {
        Self { parts: [Some(part), None], len }
    }

    pub(crate) const fn two(first: Part, second: Part, len: usize) -> Self {
        Self { parts: [Some(first), Some(second)], len }
    }

    /// Tokens that look like a time and are none.
    pub(crate) const fn nothing(len: usize) -> Self {
        Self { parts: [None, None], len }
    }
}

/// The words of a sentence, looked at from one place in it.
#[derive(Clone, Copy)]
pub(crate) struct At<'s> {
    pub(crate) tokens: &'s [Token],
    pub(crate) at: usize,
}

impl<'s> At<'s> {
    pub(crate) const fn new(tokens: &'s [Token], at: usize) -> Self {
        Self { tokens, at }
    }

    /// The word `n` tokens on; empty for what is no word.
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

    /// The same words from `n` tokens further on.
    pub(crate) const fn on(self, n: usize) -> Self {
        Self { tokens: self.tokens, at: self.at + n }
    }

    /// Whether these words come next.
    pub(crate) fn says(self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(n, word)| self.word(n) == *word)
    }

    /// What the first of these phrases that comes next stands for, and how many tokens it takes.
    pub(crate) fn first<T: Copy>(self, table: &[(&[&str], T)]) -> Option<(T, usize)> {
        table.iter().find(|(words, _)| self.says(words)).map(|(words, what)| (*what, words.len()))
    }

    /// How many tokens the first of these phrases takes that comes next.
    pub(crate) fn any(self, phrases: &[&[&str]]) -> Option<usize> {
        phrases.iter().find(|phrase| self.says(phrase)).map(|phrase| phrase.len())
    }
}
