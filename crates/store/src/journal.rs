//! The embedded database's journal, copied into the file beside the writer.
//!
//! Invariants: no commit waits for it but at the end of a long copy, and then for what little is left; a journal
//! that has stopped growing is copied whole, however it came to its length.
//! Absent on purpose: SQLite's own `restart`, which asks for the writer's lock again and again, for seconds when it
//! is busy.

use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::{SqliteConnection, SqlitePool};

use crate::{StoreError, engine::fetch_reading, writer::Writer};

/// When what is copied, in pages.
#[derive(Clone, Copy)]
struct Measure {
    /// As many between two looks are little work: they are copied as they come, and the journal is begun anew once it
    /// has as many.
    few: usize,
    /// Under load the journal is not copied before it has these: the same page is then copied once for many changes.
    long: usize,
    /// What is left to copy is little enough to have the writer wait for it.
    little: usize,
}

const MEASURE: Measure = Measure { few: 10_000, long: 200_000, little: 500 };
/// Rounds after which the writer waits for what is left, little or not.
const ROUNDS: usize = 8;

/// The journal of one file.
pub(crate) struct Journal {
    keeper: SqlitePool,
    /// The pages it had when it was last looked at.
    seen: AtomicUsize,
}

impl Journal {
    /// Kept by a connection of its own, which copies only when told to.
    pub(crate) const fn new(keeper: SqlitePool) -> Self {
        Self { keeper, seen: AtomicUsize::new(0) }
    }

    /// The connection that keeps it, which may also write what no other may: migrations.
    pub(crate) const fn keeper(&self) -> &SqlitePool {
        &self.keeper
    }

    /// Copies what is due.
    pub(crate) async fn tend(&self, writer: &Writer) -> Result<(), StoreError> {
        self.tend_by(MEASURE, writer).await
    }

    async fn tend_by(&self, measure: Measure, writer: &Writer) -> Result<(), StoreError> {
        let mut conn = self.keeper.acquire().await?;
        let Extent { pages, mut copied } = copy(&mut conn, "pragma wal_checkpoint(noop)").await?;
        // What came since the last look, not what is left to copy: a burst that ended is copied too.
        let seen = self.seen.swap(pages, Ordering::Relaxed);
        let came = pages.checked_sub(seen).unwrap_or(pages);
        let is_little_work = came < measure.few;
        if is_little_work {
            copy(&mut conn, PASSIVE).await?;
        }
        // While somebody always writes, a passive copy never reaches the end, and the journal would only grow.
        if pages < if is_little_work { measure.few } else { measure.long } {
            return Ok(());
        }
        for _ in 0..ROUNDS {
            let now = copy(&mut conn, PASSIVE).await?.copied;
            if now.saturating_sub(copied) < measure.little {
                break;
            }
            copied = now;
        }
        // Once all of it is copied, the next transaction begins it anew.
        let _turn = writer.turn().await?;
        copy(&mut conn, PASSIVE).await.map(|_| ())
    }
}

const PASSIVE: &str = "pragma wal_checkpoint(passive)";

/// How long it is, and how much of it is in the file already.
#[derive(Debug, PartialEq, Eq)]
struct Extent {
    pages: usize,
    copied: usize,
}

/// Copies what it can without holding anybody up.
async fn copy(conn: &mut SqliteConnection, sql: &'static str) -> Result<Extent, StoreError> {
    let rows = fetch_reading(conn, sql).await?;
    let row = rows.first().ok_or(StoreError::Corrupt("journal"))?;
    // -1 when there is no journal yet.
    let pages = |column| row.get::<i64>(column).map(|n| usize::try_from(n).unwrap_or(0));
    Ok(Extent { pages: pages("log")?, copied: pages("checkpointed")? })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

    use super::*;
    use crate::{
        values::{Args, args},
        writer::{Kept, Target},
    };

    const SMALL: Measure = Measure { few: 20, long: 100, little: 5 };

    struct File {
        journal: Journal,
        writer: Writer,
        _dir: tempfile::TempDir,
    }

    impl File {
        async fn new() -> Self {
            let dir = tempfile::tempdir().expect("a folder");
            let path = dir.path().join("file.db");
            let writer = Writer::to(Target::Lite(path.clone(), Duration::from_secs(5), 16));
            drop(writer.turn().await.expect("a file"));
            let options = SqliteConnectOptions::new().filename(path).pragma("wal_autocheckpoint", "0");
            let keeper = SqlitePoolOptions::new().max_connections(1).connect_lazy_with(options);
            let file = Self { journal: Journal::new(keeper), writer, _dir: dir };
            file.write("create table t (x blob) strict", 0).await;
            file
        }

        /// One statement, with so many pages of bytes.
        async fn write(&self, sql: &'static str, pages: usize) {
            let mut turn = self.writer.begin().await.expect("a turn");
            let Kept::Lite(lite) = turn.connection().expect("open") else { unreachable!("it is SQLite's") };
            let values = if pages == 0 { Args::default() } else { args![vec![7_u8; pages * 2048]] };
            lite.run(sql, values, |_| ()).expect("written");
            turn.commit().await.expect("kept");
        }

        async fn fill(&self, pages: usize) {
            self.write("insert into t (x) values ($1)", pages).await;
        }

        async fn look(&self) -> Extent {
            let mut conn = self.journal.keeper.acquire().await.expect("the keeper");
            copy(&mut conn, "pragma wal_checkpoint(noop)").await.expect("told")
        }

        async fn tend(&self) -> Extent {
            self.journal.tend_by(SMALL, &self.writer).await.expect("tended");
            self.look().await
        }
    }

    #[tokio::test]
    async fn little_is_copied_as_it_comes() {
        let file = File::new().await;
        file.fill(10).await;
        let Extent { pages, copied } = file.tend().await;
        assert!(pages >= 10 && copied == pages, "{copied} of {pages}");
    }

    #[tokio::test]
    async fn little_work_does_not_let_it_grow() {
        let file = File::new().await;
        for _ in 0..10 {
            file.fill(10).await;
            file.tend().await;
        }
        let Extent { pages, .. } = file.look().await;
        assert!(pages < SMALL.few * 2, "{pages} pages of a hundred that were written");
    }

    #[tokio::test]
    async fn much_is_left_until_it_is_long_and_then_begun_anew() {
        let file = File::new().await;
        file.fill(60).await;
        let Extent { pages, copied } = file.tend().await;
        assert!(pages < SMALL.long && copied == 0, "{copied} of {pages} at once");
        file.fill(60).await;
        let Extent { pages, copied } = file.tend().await;
        assert!(pages > SMALL.long && copied == pages, "{copied} of {pages} when long");
        file.fill(1).await;
        assert!(file.look().await.pages < 20, "it goes on growing");
    }

    #[tokio::test]
    async fn what_a_burst_has_left_behind_is_copied_when_it_is_over() {
        let file = File::new().await;
        file.fill(60).await;
        let Extent { pages, copied } = file.tend().await;
        assert!(copied < pages, "{copied} of {pages} at once");
        let Extent { pages, copied } = file.tend().await;
        assert_eq!(copied, pages);
    }
}
