//! Webhooks that wait at the same time are recorded, and decided where that can be, in one commit.
//!
//! Invariants: nobody is answered before the commit (I9); a second copy changes nothing (I10). What comes of a batch
//! is what would have come of its events one after the other: no two that are decided here are about one person or
//! one call. Nothing is locked to be read: the write names what it was decided by (`seq`), and if that has moved
//! on, it is read and decided again. A batch that fails is written in halves, down to one event, so that a failure is
//! its own; an event that cannot be decided alone is only recorded, and the inbox's loop decides.
//! Absent on purpose: events of our own dials. They settle dispatches, and go one by one.

use std::{collections::BTreeSet, panic::AssertUnwindSafe};

use futures_util::FutureExt as _;
use redialer_core::{
    Timestamp,
    agent::Channel,
    chance::Chance,
    decide::{AfterCall, Person, Seen},
    delivery::Sameness,
};

use crate::{
    Following, NewDelivery, Store, StoreError, TenantKey, effects,
    engine::Tx,
    fail::Point,
    known::{CallKey, Calls, PersonKey, Persons},
};

/// A webhook on its way into the inbox.
pub struct Arrival {
    /// What to record.
    pub delivery: NewDelivery,
    /// What reading it came to.
    pub reading: Reading,
}

/// What reading an event came to.
pub enum Reading {
    /// It can be decided as soon as it is known what it meets.
    Fresh(Fresh),
    /// Nothing can follow from it.
    Nothing,
    /// It waits for the inbox's loop.
    Later,
}

/// An event that can be decided: not of a dial of ours, as far as it tells.
pub struct Fresh {
    /// The provider's id of the call.
    pub call_id: String,
    /// The keyed index of the person's number.
    pub person_ix: Option<[u8; 16]>,
    /// Voice or chat.
    pub channel: Channel,
    /// Who decides.
    pub decider: Box<dyn Decider>,
}

/// Whoever read an event, and knows what follows from it once told what is known.
pub trait Decider: Send + Sync {
    /// What follows.
    fn decide(&self, known: &KnownCase) -> Decided<'_>;
    /// The tenant's opened key.
    fn key(&self) -> &TenantKey;
    /// For nonces.
    fn chance(&self) -> &Chance;
}

/// What is known of a case: of its call, and of its person.
#[derive(Default)]
pub struct KnownCase {
    /// Of this call.
    pub seen: Seen,
    /// Of the person.
    pub person: Option<Person>,
}

/// What was decided about a case.
pub struct Decided<'a> {
    /// What follows.
    pub after: AfterCall,
    /// What a next callback is written with.
    pub following: Option<Following<'a>>,
    /// The secrets of it, sealed for the new row that it may become.
    pub sealed: Option<&'a [u8]>,
    /// The person's number, E.164.
    pub number: Option<&'a str>,
    /// When it was decided.
    pub now: Timestamp,
}

/// What became of an arrival.
#[derive(Debug, Clone, PartialEq)]
pub enum Recorded {
    /// It is in the inbox, to be decided.
    New,
    /// It is in the inbox, and so is all that follows from it.
    Decided(Box<AfterCall>),
    /// It was there already.
    Seen,
}

/// How often a batch is written again after a conflict or a failure of the database.
const TRIES: usize = 3;

/// Records a batch; decides what of it can be decided.
///
/// The answers are in the order of the batch. An arrival that fails alone does not fail another.
pub(crate) async fn record(store: &Store, batch: Vec<Arrival>) -> Vec<Result<Recorded, StoreError>> {
    let mut answers = Vec::with_capacity(batch.len());
    // The parts still to be written, the next one last.
    let mut parts = vec![batch.as_slice()];
    while let Some(part) = parts.pop() {
        match (record_part(store, part).await, part) {
            (Ok(recorded), _) => answers.extend(recorded.into_iter().map(Ok)),
            (Err(error), _) if error.is_outage() => {
                tracing::error!(%error, n = batch.len() - answers.len(), "a batch could not be written");
                break;
            }
            (Err(error), [_]) => {
                tracing::error!(%error, "an event could not be recorded");
                answers.push(Err(error));
            }
            (Err(error), more) => {
                tracing::info!(%error, n = more.len(), "a batch is written in halves");
                let (first, second) = more.split_at(more.len() / 2);
                parts.extend([second, first]);
            }
        }
    }
    answers.resize_with(batch.len(), || Err(StoreError::Full));
    answers
}

/// Records a part of a batch in one commit. What can be decided is; one event that cannot be is recorded alone.
async fn record_part(store: &Store, part: &[Arrival]) -> Result<Vec<Recorded>, StoreError> {
    if part.iter().any(|a| matches!(a.reading, Reading::Fresh(_))) {
        match write_again(store, part, true).await {
            Err(error) if part.len() == 1 && !error.is_outage() => {
                tracing::info!(%error, "an event is recorded and decided later");
            }
            written => return written,
        }
    }
    write_again(store, part, false).await
}

/// Writes a part, and again, from the reading on, when somebody else was faster or the database failed once.
async fn write_again(store: &Store, part: &[Arrival], may_decide: bool) -> Result<Vec<Recorded>, StoreError> {
    for _ in 1..TRIES {
        match guarded(store, part, may_decide).await {
            Err(error) if error.is_contention() || error.is_outage() => {
                tracing::info!(%error, n = part.len(), "a batch is written again");
            }
            written => return written,
        }
    }
    guarded(store, part, may_decide).await
}

/// Writes a part; a panic is an error.
async fn guarded(store: &Store, part: &[Arrival], may_decide: bool) -> Result<Vec<Recorded>, StoreError> {
    let written = AssertUnwindSafe(write(store, part, may_decide)).catch_unwind().await;
    written.unwrap_or_else(|_| {
        tracing::error!(n = part.len(), "a decision panicked");
        Err(StoreError::Corrupt("event"))
    })
}

/// An event that is decided here.
pub(crate) struct Case<'b> {
    /// Its place in the batch.
    pub(crate) place: usize,
    pub(crate) delivery: &'b NewDelivery,
    pub(crate) fresh: &'b Fresh,
}

impl Case<'_> {
    pub(crate) fn call(&self) -> CallKey<'_> {
        (self.delivery.workspace.uuid(), self.fresh.call_id.as_str())
    }

    pub(crate) fn person(&self) -> Option<PersonKey> {
        Some((self.delivery.workspace.uuid(), self.fresh.person_ix?))
    }
}

async fn write(store: &Store, batch: &[Arrival], may_decide: bool) -> Result<Vec<Recorded>, StoreError> {
    let mut tx = store.db.begin_now().await?;
    let mut calls = Calls::read(&mut tx, batch).await?;
    let new = news(&mut tx, batch, &mut calls).await?;
    let cases = if may_decide { cases(batch, &new, &calls) } else { Vec::new() };
    let retries = calls.retries(&mut tx, &cases).await?;
    let persons = Persons::read(&mut tx, &cases).await?;
    let known = |case: &Case<'_>| KnownCase {
        seen: calls.seen(case, &retries),
        person: case.person().map(|key| persons.person(&key)),
    };
    let decided: Vec<_> = cases.iter().map(|case| (case, case.fresh.decider.decide(&known(case)))).collect();
    effects::meet(&mut tx, &decided, &persons).await?;
    let led_to = effects::change(&mut tx, &decided).await?;
    let has_followed = led_to.callbacks.iter().any(Option::is_some);
    effects::add(&mut tx, batch, &new, &decided, led_to, &mut calls).await?;
    if has_followed {
        store.pass(Point::C13).await?;
    }
    tx.commit().await?;
    let mut recorded: Vec<_> =
        (0..batch.len()).map(|i| if new.contains(&i) { Recorded::New } else { Recorded::Seen }).collect();
    for (case, decided) in decided {
        recorded[case.place] = Recorded::Decided(Box::new(decided.after));
    }
    Ok(recorded)
}

/// The places of those that are no copies.
async fn news(tx: &mut Tx, batch: &[Arrival], calls: &mut Calls<'_>) -> Result<BTreeSet<usize>, StoreError> {
    let mut odd = effects::remember_odd(tx, batch).await?;
    let mut is_new = |delivery: &NewDelivery| match (&delivery.sameness, &delivery.call_id) {
        (Sameness::Moment(bit), Some(call_id)) => calls.hear(delivery.workspace.uuid(), call_id, *bit),
        (Sameness::Content(key), _) => odd.remove(&(delivery.workspace.uuid(), key.clone())),
        // A moment of no call does not exist.
        (Sameness::Moment(_), None) => true,
    };
    Ok((0..batch.len()).filter(|i| is_new(&batch[*i].delivery)).collect())
}

/// The first new event of each call and each person, unless the call is a dial of ours.
fn cases<'b>(batch: &'b [Arrival], new: &BTreeSet<usize>, known: &Calls<'_>) -> Vec<Case<'b>> {
    let (mut calls, mut persons, mut cases) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for &place in new {
        let Arrival { delivery, reading: Reading::Fresh(fresh) } = &batch[place] else { continue };
        let case = Case { place, delivery, fresh };
        let is_first_of_person = case.person().is_none_or(|person| persons.insert(person));
        let is_first_of_call = calls.insert((delivery.workspace.uuid(), fresh.call_id.as_str()));
        if is_first_of_call && is_first_of_person && !known.is_ours(&case) {
            cases.push(case);
        }
    }
    cases
}
