//! A parsed turn and its sentences.

use super::Place;
use crate::{
    cue::Cue,
    lang::{At, Language},
    sentence::{Item, What, items},
    slot::Slot,
    words::{Kind, Token, tokens},
};

/// A parsed turn.
pub(super) struct Heard<'l> {
    turn: usize,
    tokens: Vec<Token>,
    pub(super) items: Vec<Item>,
    language: &'l dyn Language,
}

impl<'l> Heard<'l> {
    pub(super) fn new(text: &str, turn: usize, language: &'l dyn Language) -> Self {
        let tokens = spelled(tokens(text), language);
        let items = items(&tokens, language);
        Self { turn, tokens, items, language }
    }

    /// The position of an item's words.
    pub(super) fn place(&self, item: &Item) -> Place {
        let token = |i: usize| self.tokens.get(i);
        Place {
            turn: self.turn,
            start: token(item.first).map_or(0, |t| t.start),
            end: token(item.end.saturating_sub(1)).map_or(0, |t| t.end),
        }
    }

    /// Whether any of its words put a time in the past.
    pub(super) fn is_past(&self) -> bool {
        (0..self.tokens.len()).any(|at| self.language.is_past(At::new(&self.tokens, at)))
    }

    /// The number of words that this language does not explain, polite ones included.
    pub(super) fn unexplained(&self) -> usize {
        self.sentences().iter().map(|sentence| sentence.extra).sum()
    }

    /// The first token of the first item that is not a yes, a no or a stop; at most 3.
    pub(super) fn begins(&self) -> usize {
        self.items
            .iter()
            .find(|i| !matches!(i.what, What::Cue(Cue::Yes | Cue::No) | What::Stop(_)))
            .map_or(0, |i| i.first.min(3))
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    pub(super) fn has(&self, cue: Cue) -> bool {
        self.items.iter().any(|i| i.what == What::Cue(cue))
    }

    pub(super) fn cues(&self) -> impl Iterator<Item = Cue> {
        self.items.iter().filter_map(Item::cue)
    }

    pub(super) fn is_question(&self) -> bool {
        self.items.iter().any(|i| i.what == What::Stop(true))
    }

    /// Whether it names a time or a zone.
    pub(super) fn names_a_time(&self) -> bool {
        self.items.iter().any(|i| i.slot().is_some())
    }

    /// Whether it names a time.
    pub(super) fn times(&self) -> bool {
        self.items.iter().any(|i| i.slot().is_some_and(|s| !s.is_empty()))
    }

    /// Splits the turn into sentences, each with its end mark.
    pub(super) fn sentences(&self) -> Vec<Sentence<'_>> {
        let (mut from, mut first) = (0, 0);
        let mut sentences = Vec::new();
        for (n, item) in self.items.iter().enumerate() {
            let ends = matches!(item.what, What::Stop(_) | What::Break);
            let is_last = n + 1 == self.items.len();
            if !ends && !is_last && n + 1 - first < LONGEST {
                continue;
            }
            let items = &self.items[first..=n];
            let end = if is_last && !ends { self.tokens.len() } else { item.end };
            let (spare, extra) = self.spare(from, end, items);
            sentences.push(Sentence { items, spare, extra, is_question: item.what == What::Stop(true) });
            (from, first) = (end, n + 1);
        }
        sentences
    }

    /// Counts the words of a sentence that no item explains and that do not hold times together; many of them indicate
    /// another subject. Returns the count without and with polite words.
    fn spare(&self, from: usize, end: usize, items: &[Item]) -> (usize, usize) {
        let (mut spare, mut extra) = (0, 0);
        let mut items = items.iter().peekable();
        for i in from..end {
            while items.next_if(|item| item.end <= i).is_some() {}
            let explained = items.peek().is_some_and(|item| (item.first..item.end).contains(&i));
            let says = matches!(self.tokens[i].kind, Kind::Word(_) | Kind::Figure | Kind::Decimal(_));
            let here = At::new(&self.tokens, i);
            if explained || !says || self.language.is_glue(here) {
                continue;
            }
            extra += 1;
            spare += usize::from(!self.language.is_polite(here));
        }
        (spare, extra)
    }
}

/// Replaces words by their usual spelling.
fn spelled(mut tokens: Vec<Token>, language: &dyn Language) -> Vec<Token> {
    for at in 0..tokens.len() {
        if let Some(usual) = language.spelling(At::new(&tokens, at)) {
            tokens[at].kind = Kind::Word(usual.to_owned());
        }
    }
    tokens
}

/// The maximum number of items in a sentence. Spoken sentences are shorter; the limit bounds the cost, because each time
/// is classified by its whole sentence.
const LONGEST: usize = 64;

/// One sentence of a turn.
pub(super) struct Sentence<'h> {
    pub(super) items: &'h [Item],
    /// The number of unexplained words, without polite ones.
    pub(super) spare: usize,
    /// The number of unexplained words, polite ones included.
    pub(super) extra: usize,
    /// It ends with a question mark.
    pub(super) is_question: bool,
}

impl Sentence<'_> {
    pub(super) fn has(&self, cue: Cue) -> bool {
        self.items.iter().any(|i| i.what == What::Cue(cue))
    }

    /// Whether it has any of these cues.
    pub(super) fn has_any(&self, cues: &[Cue]) -> bool {
        self.items.iter().filter_map(Item::cue).any(|cue| cues.contains(&cue))
    }

    pub(super) fn has_or(&self) -> bool {
        self.items.iter().any(|i| i.what == What::Or)
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.items.iter().filter_map(Item::slot).filter(|s| !s.is_empty())
    }
}
