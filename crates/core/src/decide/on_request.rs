//! Somebody asks for a callback through the API.
//!
//! Their word counts as the newest request of that person: it supersedes what waits, in the same chain.

use jiff::Timestamp;

use super::{Follow, Note, Person, Planned};
use crate::{
    Id,
    callback::RedialReason,
    id::{Callback, Chain},
    policy::Policy,
    time::Zone,
};

/// A checked request.
pub struct Request<'a> {
    /// The moment that was asked for.
    pub at: Timestamp,
    /// The callee's clock.
    pub zone: Zone,
    /// The person's callbacks and list entries.
    pub person: &'a Person,
    /// The callback that a person forces anew: its id, its chain, and the dials that has spent.
    pub forces: Option<(Id<Callback>, Id<Chain>, u32)>,
    /// The settings.
    pub policy: &'a Policy,
}

/// The callback to write and the waiting ones it replaces, or why there is none.
pub fn on_request(
    request: &Request<'_>,
    now: Timestamp,
) -> Result<(Follow, Vec<crate::Id<crate::id::Callback>>), Note> {
    let Request { at, zone, person, forces, policy } = request;
    if person.suppressed {
        return Err(Note::DoNotCall);
    }
    let live = person
        .live
        .iter()
        .filter(|l| l.spent < policy.max_attempts)
        .max_by_key(|l| (l.state.is_waiting(), l.born_of));
    let chain = match forces {
        Some(forced) => Some(*forced).filter(|(.., spent)| *spent < policy.max_attempts),
        None => live.map(|l| (l.id, l.chain, l.spent)),
    };
    let planned = Planned {
        chain: chain.map(|(_, chain, _)| chain),
        parent: chain.map(|(id, ..)| id),
        reason: RedialReason::CallbackRequested,
        cause: None,
        attempt: chain.map_or(0, |(.., spent)| spent) + 1,
        max_attempts: policy.max_attempts,
        requested_for: Some(*at),
        scheduled_for: *at,
        held: None,
        zone: zone.clone(),
        born_of: now,
    };
    let replaced = person.live.iter().filter(|l| l.state.is_waiting()).map(|l| l.id).collect();
    Ok((Follow::New(planned), replaced))
}
