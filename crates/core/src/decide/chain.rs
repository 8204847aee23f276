//! Decides which chain a new callback joins.

use crate::{
    Id,
    callback::ActiveCallback,
    id::{Callback, Chain},
};

/// A new callback's place in a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The chain that it continues and the callback that it follows; `None` opens a new chain.
    pub(super) continues: Option<(Id<Chain>, Id<Callback>)>,
    /// The ordinal of its dial within the chain, from 1.
    pub(super) attempt: u32,
}

impl Place {
    const NEW: Self = Self { continues: None, attempt: 1 };

    /// A place directly after callback `id` in its chain, if the chain has an attempt left (I5). Otherwise a new chain: a
    /// request beyond the limit counts as new consent.
    pub(super) const fn after(
        id: Id<Callback>,
        chain: Id<Chain>,
        attempts_used: u32,
        max_attempts: u32,
    ) -> Self {
        if attempts_used < max_attempts {
            Self { continues: Some((chain, id)), attempt: attempts_used + 1 }
        } else {
            Self::NEW
        }
    }

    /// A place after the person's newest waiting callback whose chain has an attempt left; if there is none, after the
    /// newest other callback with one.
    pub(super) fn after_newest<'l>(
        live: impl Iterator<Item = &'l ActiveCallback>,
        max_attempts: u32,
    ) -> Self {
        let last = live
            .filter(|l| l.attempts_used < max_attempts)
            .max_by_key(|l| (l.state.is_waiting(), l.source_ended_at));
        last.map_or(Self::NEW, |l| Self::after(l.id, l.chain, l.attempts_used, max_attempts))
    }

    pub(super) fn chain(self) -> Option<Id<Chain>> {
        self.continues.map(|(chain, _)| chain)
    }

    pub(super) fn parent(self) -> Option<Id<Callback>> {
        self.continues.map(|(_, parent)| parent)
    }
}
