//! A parsed turn and its sentences.

use super::TextRange;
use crate::{
    cue::Cue,
    lang::{At, Language},
    sentence::{Item, ItemKind, items},
    slot::Slot,
    words::{Kind, Token, tokens},
};

/// A turn, parsed into tokens and items.
pub(super) struct ParsedTurn<'l> {
    /// The index of the turn.
    index: usize,
    tokens: Vec<Token>,
    pub(super) items: Vec<Item>,
    language: &'l dyn Language,
}

impl<'l> ParsedTurn<'l> {
    pub(super) fn new(text: &str, index: usize, language: &'l dyn Language) -> Self {
        let tokens = normalize_spelling(tokens(text), language);
        let items = items(&tokens, language);
        Self { index, tokens, items, language }
    }

    /// The range of an item's words.
    pub(super) fn range_of(&self, item: &Item) -> TextRange {
        let token = |i: usize| self.tokens.get(i);
        TextRange {
            turn: self.index,
            start: token(item.first).map_or(0, |t| t.start),
            end: token(item.end.saturating_sub(1)).map_or(0, |t| t.end),
        }
    }

    /// Whether any of its words put a time in the past.
    pub(super) fn is_past(&self) -> bool {
        (0..self.tokens.len()).any(|at| self.language.is_past(At::new(&self.tokens, at)))
    }

    /// The number of words that this language does not explain, polite ones included.
    pub(super) fn unexplained_with_polite(&self) -> usize {
        self.sentences().iter().map(|sentence| sentence.unexplained_with_polite).sum()
    }

    /// The first token of the first item that is not a yes, a no or a stop; at most 3.
    pub(super) fn first_content_token(&self) -> usize {
        self.items
            .iter()
            .find(|i| !matches!(i.kind, ItemKind::Cue(Cue::Yes | Cue::No) | ItemKind::Stop(_)))
            .map_or(0, |i| i.first.min(3))
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    pub(super) fn has(&self, cue: Cue) -> bool {
        self.items.iter().any(|i| i.kind == ItemKind::Cue(cue))
    }

    pub(super) fn cues(&self) -> impl Iterator<Item = Cue> {
        self.items.iter().filter_map(Item::cue)
    }

    pub(super) fn is_question(&self) -> bool {
        self.items.iter().any(|i| i.kind == ItemKind::Stop(true))
    }

    /// Whether it names a time or only a zone.
    pub(super) fn has_slot(&self) -> bool {
        self.items.iter().any(|i| i.slot().is_some())
    }

    /// Whether it names a time; a zone alone does not count.
    pub(super) fn names_a_time(&self) -> bool {
        self.items.iter().any(|i| i.slot().is_some_and(|s| !s.is_empty()))
    }

    /// Splits the turn into sentences, each with its end mark.
    pub(super) fn sentences(&self) -> Vec<Sentence<'_>> {
        let (mut from, mut first) = (0, 0);
        let mut sentences = Vec::new();
        for (n, item) in self.items.iter().enumerate() {
            let ends = matches!(item.kind, ItemKind::Stop(_) | ItemKind::Break);
            let is_last = n + 1 == self.items.len();
            if !ends && !is_last && n + 1 - first < MAX_ITEMS {
                continue;
            }
            let items = &self.items[first..=n];
            let end = if is_last && !ends { self.tokens.len() } else { item.end };
            let (unexplained, unexplained_with_polite) = self.count_unexplained(from, end, items);
            sentences.push(Sentence {
                items,
                unexplained,
                unexplained_with_polite,
                is_question: item.kind == ItemKind::Stop(true),
            });
            (from, first) = (end, n + 1);
        }
        sentences
    }

    /// Counts the words of a sentence that no item explains and that do not hold times together; many such words
    /// indicate another subject. Returns the count without and with polite words.
    fn count_unexplained(&self, from: usize, end: usize, items: &[Item]) -> (usize, usize) {
        let (mut unexplained, mut with_polite) = (0, 0);
        let mut items = items.iter().peekable();
        for i in from..end {
            while items.next_if(|item| item.end <= i).is_some() {}
            let is_explained = items.peek().is_some_and(|item| (item.first..item.end).contains(&i));
            let is_content = matches!(self.tokens[i].kind, Kind::Word(_) | Kind::Figure | Kind::Decimal(_));
            let here = At::new(&self.tokens, i);
            if is_explained || !is_content || self.language.is_glue(here) {
                continue;
            }
            with_polite += 1;
            unexplained += usize::from(!self.language.is_polite(here));
        }
        (unexplained, with_polite)
    }
}

/// Replaces words by their usual spelling.
fn normalize_spelling(mut tokens: Vec<Token>, language: &dyn Language) -> Vec<Token> {
    for at in 0..tokens.len() {
        if let Some(usual) = language.spelling(At::new(&tokens, at)) {
            tokens[at].kind = Kind::Word(usual.to_owned());
        }
    }
    tokens
}

/// The maximum number of items in a sentence. Spoken sentences are shorter; the limit bounds the cost, because each time
/// is classified by its whole sentence.
const MAX_ITEMS: usize = 64;

/// One sentence of a turn.
pub(super) struct Sentence<'h> {
    pub(super) items: &'h [Item],
    /// The number of unexplained words, without polite ones.
    pub(super) unexplained: usize,
    /// The number of unexplained words, polite ones included.
    pub(super) unexplained_with_polite: usize,
    /// It ends with a question mark.
    pub(super) is_question: bool,
}

impl Sentence<'_> {
    pub(super) fn has(&self, cue: Cue) -> bool {
        self.items.iter().any(|i| i.kind == ItemKind::Cue(cue))
    }

    /// Whether it has any of these cues.
    pub(super) fn has_any(&self, cues: &[Cue]) -> bool {
        self.items.iter().filter_map(Item::cue).any(|cue| cues.contains(&cue))
    }

    pub(super) fn has_or(&self) -> bool {
        self.items.iter().any(|i| i.kind == ItemKind::Or)
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.items.iter().filter_map(Item::slot).filter(|s| !s.is_empty())
    }
}
