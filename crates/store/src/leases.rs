//! Which buckets a replica works on.
//!
//! Ownership is for speed and fairness only: correctness rests on the state and fence that every change of a
//! callback checks. The embedded database's one process owns everything.

use crate::{BUCKETS, Store, StoreError, engine::args};

/// Ranges of buckets, both ends included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Buckets(pub Vec<(i64, i64)>);

impl Buckets {
    /// All of them.
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

const SLOTS: i64 = 64;
const WIDTH: i64 = BUCKETS / SLOTS;

impl Store {
    /// Renews this replica's slots, takes free ones up to its fair share, gives up what is beyond it.
    ///
    /// `real_ms` is the database's clock; leases run in real time whatever the virtual clock does.
    pub async fn hold_leases(&self, owner: &str, real_ms: i64, until_ms: i64) -> Result<Buckets, StoreError> {
        const SEED: &str = "insert into leases (slot, owner, epoch, until_ms) values ($1, null, 0, 0)
             on conflict (slot) do nothing";
        const RENEW: &str = "update leases set until_ms = $3 where owner = $1 and until_ms >= $2";
        const LIST: &str = "select slot, owner, until_ms from leases order by slot";
        const TAKE: &str = "update leases set owner = $2, epoch = epoch + 1, until_ms = $4
             where slot = $1 and (owner is null or owner = $2 or until_ms < $3)";
        const GIVE: &str = "update leases set owner = null, until_ms = 0 where slot = $1 and owner = $2";
        let mut tx = self.db.begin().await?;
        tx.execute(RENEW, args![owner, real_ms, until_ms]).await?;
        let mut rows = tx.fetch(LIST, args![]).await?;
        if rows.is_empty() {
            for slot in 0..SLOTS {
                tx.execute(SEED, args![slot]).await?;
            }
            rows = tx.fetch(LIST, args![]).await?;
        }
        let (mut mine, mut free, mut others) = (Vec::new(), Vec::new(), std::collections::BTreeSet::new());
        for row in rows {
            let (slot, holder, until): (i64, Option<String>, i64) =
                (row.get("slot")?, row.get("owner")?, row.get("until_ms")?);
            match holder {
                Some(holder) if until >= real_ms && holder == owner => mine.push(slot),
                Some(holder) if until >= real_ms => {
                    others.insert(holder);
                }
                _ => free.push(slot),
            }
        }
        let share = (SLOTS as usize).div_ceil(others.len() + 1);
        for slot in free.into_iter().take(share.saturating_sub(mine.len())) {
            if tx.execute(TAKE, args![slot, owner, real_ms, until_ms]).await? == 1 {
                mine.push(slot);
            }
        }
        for slot in mine.split_off(share.min(mine.len())) {
            tx.execute(GIVE, args![slot, owner]).await?;
        }
        tx.commit().await?;
        Ok(Buckets::of_slots(mine))
    }

    /// Gives every slot up at once, for others to take.
    pub async fn drop_leases(&self, owner: &str) -> Result<(), StoreError> {
        const SQL: &str = "update leases set owner = null, until_ms = 0 where owner = $1";
        self.db.write(SQL, args![owner]).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_slots_join() {
        assert_eq!(Buckets::of_slots((0..SLOTS).collect()), Buckets::all());
        assert_eq!(Buckets::of_slots(vec![2, 0, 1, 5]).0, [(0, 3 * WIDTH - 1), (5 * WIDTH, 6 * WIDTH - 1)]);
    }
}
