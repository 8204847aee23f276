//! Leases: the buckets that a replica works on.
//!
//! Ownership is for speed and fairness only: correctness rests on the state and fence that every change of a
//! callback checks. The embedded database's one process owns everything.

use crate::{BUCKETS, Store, StoreError, db::args};

/// Ranges of buckets, both ends included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Buckets(pub Vec<(i64, i64)>);

impl Buckets {
    /// All buckets.
    pub fn all() -> Self {
        Self(vec![(0, BUCKETS - 1)])
    }

    fn of_slots(mut slots: Vec<i64>) -> Self {
        slots.sort_unstable();
        let mut ranges: Vec<(i64, i64)> = Vec::new();
        for slot in slots {
            let (from, to) = (slot * WIDTH, (slot + 1) * WIDTH - 1);
            match ranges.last_mut() {
                Some(last) if last.1 + 1 == from => last.1 = to,
                _ => ranges.push((from, to)),
            }
        }
        Self(ranges)
    }
}

/// Buckets are leased in this many slots of [`WIDTH`] consecutive buckets.
const SLOTS: i64 = 64;
const WIDTH: i64 = BUCKETS / SLOTS;

impl Store {
    /// Renews this replica's heartbeat and its slots, takes free slots up to its fair share among the live replicas,
    /// and releases slots beyond that share.
    ///
    /// `real_ms` is the database's clock; leases run in real time, independent of the virtual clock.
    pub async fn hold_leases(&self, owner: &str, real_ms: i64, until_ms: i64) -> Result<Buckets, StoreError> {
        const BEAT: &str = "insert into replicas (name, until_ms) values ($1, $2) on conflict (name) do update set until_ms = $2";
        const FORGET_EXPIRED: &str = "delete from replicas where until_ms < $1";
        const LIVE: &str = "select count(*) as n from replicas";
        const SEED: &str = "insert into leases (slot, owner, epoch, until_ms) values ($1, null, 0, 0)
             on conflict (slot) do nothing";
        const RENEW: &str = "update leases set until_ms = $3 where owner = $1 and until_ms >= $2";
        const LIST: &str = "select slot, owner, until_ms from leases order by slot";
        const ACQUIRE: &str = "update leases set owner = $2, epoch = epoch + 1, until_ms = $4
             where slot = $1 and (owner is null or owner = $2 or until_ms < $3)";
        const RELEASE: &str = "update leases set owner = null, until_ms = 0 where slot = $1 and owner = $2";
        let mut tx = self.db.begin().await?;
        tx.execute(BEAT, args![owner, until_ms]).await?;
        tx.execute(FORGET_EXPIRED, args![real_ms]).await?;
        let live: i64 = tx.fetch_one(LIVE, args![]).await?.ok_or(StoreError::Corrupt("count"))?.get("n")?;
        tx.execute(RENEW, args![owner, real_ms, until_ms]).await?;
        let mut rows = tx.fetch(LIST, args![]).await?;
        if rows.is_empty() {
            for slot in 0..SLOTS {
                tx.execute(SEED, args![slot]).await?;
            }
            rows = tx.fetch(LIST, args![]).await?;
        }
        let (mut own, mut free) = (Vec::new(), Vec::new());
        for row in rows {
            let (slot, holder): (i64, Option<String>) = (row.get("slot")?, row.get("owner")?);
            match holder.filter(|_| row.get::<i64>("until_ms").is_ok_and(|until| until >= real_ms)) {
                Some(holder) if holder == owner => own.push(slot),
                Some(_) => {}
                None => free.push(slot),
            }
        }
        let share = (SLOTS as usize).div_ceil(usize::try_from(live).unwrap_or(1).max(1));
        for slot in free.into_iter().take(share.saturating_sub(own.len())) {
            if tx.execute(ACQUIRE, args![slot, owner, real_ms, until_ms]).await? == 1 {
                own.push(slot);
            }
        }
        for slot in own.split_off(share.min(own.len())) {
            tx.execute(RELEASE, args![slot, owner]).await?;
        }
        tx.commit().await?;
        Ok(Buckets::of_slots(own))
    }

    /// Releases all slots of this replica, so that others can take them.
    pub async fn release_leases(&self, owner: &str) -> Result<(), StoreError> {
        const RELEASE: &str = "update leases set owner = null, until_ms = 0 where owner = $1";
        const DELETE_REPLICA: &str = "delete from replicas where name = $1";
        let mut tx = self.db.begin().await?;
        tx.execute(RELEASE, args![owner]).await?;
        tx.execute(DELETE_REPLICA, args![owner]).await?;
        tx.commit().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjacent_slots_merge() {
        assert_eq!(Buckets::of_slots((0..SLOTS).collect()), Buckets::all());
        assert_eq!(Buckets::of_slots(vec![2, 0, 1, 5]).0, [(0, 3 * WIDTH - 1), (5 * WIDTH, 6 * WIDTH - 1)]);
    }
}
