//! Parses a turn into items (slots, cues, sentence ends) and joins adjacent parts into slots.
//!
//! Invariant: an item's tokens are within the turn; only words that hold a time together ("on", "at", a comma) are
//! between the parts of a slot.

use jiff::civil::Weekday;

use crate::{
    cue::Cue,
    lang::{At, Language},
    part::{Bound, Clock, Day, DayPart, Form, Half, Length, Part},
    slot::Slot,
    words::{Kind, Token},
};

/// A slot, cue or boundary in a turn, with its token range.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item {
    pub(crate) kind: ItemKind,
    pub(crate) first: usize,
    pub(crate) end: usize,
}

impl Item {
    /// The cue, if the item is one.
    pub(crate) const fn cue(&self) -> Option<Cue> {
        if let ItemKind::Cue(cue) = self.kind { Some(cue) } else { None }
    }

    /// The slot, if the item is one.
    pub(crate) const fn slot(&self) -> Option<&Slot> {
        if let ItemKind::Slot(slot) = &self.kind { Some(slot) } else { None }
    }
}

/// The kind of an item, with its content.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ItemKind {
    Slot(Slot),
    Cue(Cue),
    /// The end of a sentence, and whether it is a question.
    Stop(bool),
    /// "Or" between two alternative slots.
    Or,
    /// The start of a new clause ("but", "because").
    Break,
}

/// Parses the tokens of a turn.
pub(crate) fn items(tokens: &[Token], language: &dyn Language) -> Vec<Item> {
    let mut reader = Reader { tokens, language, items: Vec::new(), open: None };
    let mut at = 0;
    while at < tokens.len() {
        at += reader.step(at);
    }
    reader.close();
    reader.items
}

struct Reader<'t> {
    tokens: &'t [Token],
    language: &'t dyn Language,
    items: Vec<Item>,
    open: Option<Open>,
}

/// A slot that can still take parts.
struct Open {
    slot: Slot,
    first: usize,
    end: usize,
    /// The bound read so far; its time may still follow.
    bound: Option<Bound>,
    /// Whether a word for "to" was read, so that the end of a range may follow.
    expects_range_end: bool,
    /// Whether "not" preceded it, so that another day starts a new slot.
    negated: bool,
}

impl Reader<'_> {
    /// Reads the item that starts at a token; returns the number of tokens read.
    fn step(&mut self, at: usize) -> usize {
        let here = At::new(self.tokens, at);
        if let Kind::Stop(c) = self.tokens[at].kind {
            // "One p.m. Pacific": that dot does not end the sentence.
            let half = matches!(here.back(1), "am" | "pm");
            let next = self.language.part(here.on(1)).and_then(|named| named.parts[0].clone());
            if c == '.' && half && matches!(next, Some(Part::Zone(_))) {
                return 1;
            }
            self.close();
            self.item(ItemKind::Stop(c == '?'), at, at + 1);
            return 1;
        }
        // A cue takes precedence over a time that starts at the same token.
        let named = self.language.part(here);
        if let Some((cue, len)) = self.language.cue(here) {
            // But a longer time wins: "any time after five" is a time, "after that" a cue.
            let is_time =
                named.as_ref().is_some_and(|named| named.len > len || named.len == len && cue == Cue::Event);
            if !is_time {
                self.close();
                self.item(ItemKind::Cue(cue), at, at + len);
                // "The second" can be a choice or a day, so keep both.
                if let (Cue::Choice(_), Some(named)) = (cue, named) {
                    for part in named.parts.into_iter().flatten() {
                        self.add_part(part, at, at + named.len);
                    }
                }
                return len;
            }
        }
        if let Some(named) = named {
            for part in named.parts.into_iter().flatten() {
                self.add_part(part, at, at + named.len);
            }
            return named.len.max(1);
        }
        if self.language.is_break(here) {
            self.close();
            self.item(ItemKind::Break, at, at + 1);
            return 1;
        }
        self.skip(here, at)
    }

    /// Handles a token that starts no item; closes the open slot unless the token holds its parts together.
    fn skip(&mut self, here: At<'_>, at: usize) -> usize {
        if let Some(open) = &mut self.open {
            let awaits_time = open.bound.is_some() && open.slot.is_empty();
            if self.language.is_or(here) && !open.slot.is_empty() {
                self.close();
                self.item(ItemKind::Or, at, at + 1);
                return 1;
            }
            if self.language.is_to(here) && open.slot.clock.is_some() {
                open.expects_range_end = true;
                return 1;
            }
            // "Three your time, that's half past three here."
            if here.word(0) == "that's" && open.slot.zone.is_some() {
                self.close();
                return 1;
            }
            let gap = at - open.end;
            if !(self.language.is_glue(here) && gap < 4 || awaits_time && gap < 2) {
                self.close();
            }
        }
        1
    }

    fn item(&mut self, kind: ItemKind, first: usize, end: usize) {
        self.items.push(Item { kind, first, end });
    }

    fn close(&mut self) {
        if let Some(mut open) = self.open.take() {
            // "An hour before you close" counts back from the time of something else.
            if let (Some(length), None, None) = (&mut open.slot.length, open.slot.clock, open.slot.day)
                && !length.is_wait
                && length.from_reference == 0
            {
                length.from_reference = match open.bound {
                    Some(Bound::Before) => -1,
                    Some(Bound::After) => 1,
                    _ => 0,
                };
            }
            // "Twenty minutes before three fifteen."
            if let (Some(length), Some(clock)) = (open.slot.length, open.slot.clock)
                && !length.is_wait
                && let Some(moved) = clock.moved(length, open.slot.bound)
            {
                open.slot = Slot { clock: Some(moved), length: None, bound: Bound::At, ..open.slot };
            }
            normalize(&mut open.slot);
            if !open.slot.is_empty() || open.slot.zone.is_some() {
                self.item(ItemKind::Slot(open.slot), open.first, open.end);
            }
        }
    }

    fn add_part(&mut self, part: Part, first: usize, end: usize) {
        if let Some(open) = &mut self.open {
            if open.add(&part) {
                open.end = end;
                return;
            }
            self.close();
        }
        let negated = self.items.last().is_some_and(|i| {
            i.end == first && matches!(i.kind, ItemKind::Cue(Cue::Not | Cue::NoCall | Cue::Refuse))
        });
        let mut open =
            Open { slot: Slot::default(), first, end, bound: None, expects_range_end: false, negated };
        open.add(&part);
        self.open = Some(open);
    }
}

impl Open {
    /// Adds a part to the slot; `false` if it does not fit.
    fn add(&mut self, part: &Part) -> bool {
        match part {
            Part::Bound(bound) => self.add_bound(*bound),
            Part::Clock(clock) => self.add_clock(*clock),
            Part::Day(day) => self.add_day(*day),
            Part::DayPart(part) => self.add_day_part(*part),
            Part::Length(length) => self.add_length(*length),
            Part::Zone(zone) => *self.slot.zone.get_or_insert(*zone) == *zone,
            Part::Past(minutes) => {
                self.slot.clock.is_none() && *self.slot.past.get_or_insert(*minutes) == *minutes
            }
            Part::SameTime => {
                self.slot.same_time = self.slot.clock.is_none();
                self.slot.same_time
            }
        }
    }

    fn add_bound(&mut self, bound: Bound) -> bool {
        let slot = &mut self.slot;
        // "From two onwards", "three or later".
        if slot.clock.is_some() && bound == Bound::From && slot.until.is_none() {
            let onwards = slot.bound == Bound::From;
            if onwards || self.bound.is_none() {
                slot.bound = Bound::From;
            }
            return onwards || self.bound.is_none();
        }
        if slot.until.is_some() || (self.bound.is_some() && slot.clock.is_some()) {
            return false;
        }
        // "Three until five", "from nine to ten".
        let opens = matches!(self.bound, Some(Bound::After | Bound::From | Bound::NotBefore));
        if slot.clock.is_some() && (bound == Bound::Until || bound == Bound::Before && opens) {
            self.expects_range_end = true;
            return true;
        }
        if slot.clock.is_some() || (self.bound.is_some() && slot.is_empty() && bound != Bound::About) {
            return false;
        }
        // "After about five" is after five.
        self.bound = Some(self.bound.unwrap_or(bound));
        true
    }

    fn add_clock(&mut self, clock: Clock) -> bool {
        let slot = &mut self.slot;
        if slot.clock.is_some() && self.expects_range_end && slot.until.is_none() {
            slot.until = Some(clock);
            slot.bound = Bound::Between;
            self.bound = Some(Bound::Between);
            return true;
        }
        // A number or clock time after a clock time starts a new slot, and "three in January" is a duration or an age.
        if slot.clock.is_some() || slot.day.is_some_and(Day::is_a_month) {
            return false;
        }
        let is_introduced = self.bound.is_some() || slot.day.is_some() || slot.day_part.is_some();
        let form = if is_introduced && clock.form == Form::Bare { Form::Introduced } else { clock.form };
        slot.clock = Some(Clock { form, ..clock });
        slot.bound = self.bound.unwrap_or_default();
        true
    }

    fn add_day(&mut self, day: Day) -> bool {
        let slot = &mut self.slot;
        match slot.day {
            None if slot.clock.is_some() && day.is_a_month() => false,
            None if slot.length.is_none_or(|l| l.from_day != 0 || l.unit.is_days()) => {
                slot.day = Some(day);
                if slot.clock.is_none() && slot.bound == Bound::At {
                    slot.bound = self.bound.unwrap_or_default();
                }
                true
            }
            Some(known) if !self.negated => {
                merge_days(known, day).inspect(|both| slot.day = Some(*both)).is_some()
            }
            _ => false,
        }
    }

    fn add_day_part(&mut self, part: DayPart) -> bool {
        let slot = &mut self.slot;
        let merged = match slot.day_part {
            None => Some(part),
            // "Tonight" with "in the morning" is after midnight.
            Some(DayPart::Night) if part == DayPart::Morning => Some(DayPart::SmallHours),
            Some(DayPart::Morning) if part == DayPart::Night && slot.clock.is_some() => {
                Some(DayPart::SmallHours)
            }
            // "Tonight after dinner."
            Some(known) if part.is_within(known) && slot.clock.is_none() => Some(part),
            Some(known) => (known == part).then_some(known),
        };
        slot.day_part = merged.or(slot.day_part);
        merged.is_some()
    }

    fn add_length(&mut self, length: Length) -> bool {
        let slot = &mut self.slot;
        let has_part = slot.day.is_some() || slot.day_part.is_some() || slot.clock.is_some();
        if slot.length.is_some() || has_part && (!length.unit.is_days() || !length.is_wait) {
            return false;
        }
        slot.length = Some(length);
        true
    }
}

/// Merges two names of one day, such as a weekday and its date; `None` if they do not match.
fn merge_days(a: Day, b: Day) -> Option<Day> {
    match (a, b) {
        _ if a == b => Some(a),
        (Day::Weekday(..), Day::Date(..)) => Some(b),
        (Day::Date(..), Day::Weekday(..)) => Some(a),
        (Day::Weekday(weekday, _), Day::Nth(n)) | (Day::Nth(n), Day::Weekday(weekday, _)) => {
            Some(Day::WeekdayNth(weekday, n))
        }
        (Day::FromToday(0), Day::Weekday(..)) => Some(a),
        (Day::Weekday(..), Day::FromToday(0)) => Some(b),
        // In the small hours "tomorrow" is ambiguous, the weekday is not.
        (Day::FromToday(1), Day::Weekday(..)) => Some(b),
        (Day::Weekday(..), Day::FromToday(1)) => Some(a),
        (Day::FromToday(0..=2), Day::WeekdayNth(..) | Day::Nth(_)) => Some(b),
        (Day::FromToday(n), Day::Date(..)) if n < 3 => Some(a),
        (Day::Week(_, 1), Day::Weekday(weekday, _)) | (Day::Weekday(weekday, _), Day::Week(_, 1)) => {
            Some(Day::Weekday(weekday, crate::part::Which::Next))
        }
        (Day::Week(_, 0), Day::Weekday(weekday, which)) => Some(Day::Weekday(weekday, which)),
        (Day::Weekend(n), Day::Weekday(weekday @ (Weekday::Saturday | Weekday::Sunday), _)) => {
            (n == 0).then_some(Day::Weekday(weekday, crate::part::Which::Coming))
        }
        _ => None,
    }
}

/// Applies the rules that need the complete slot.
fn normalize(slot: &mut Slot) {
    // Twelve in the evening is midnight.
    if matches!(slot.day_part, Some(DayPart::Evening | DayPart::Night))
        && let Some(clock) = &mut slot.clock
        && clock.hour == 12
        && clock.half.is_none()
    {
        clock.half = Some(Half::Am);
    }
}
