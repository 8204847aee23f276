//! The stored position of the virtual clock, so that it never runs back over a restart; and the database server's
//! clock.

use crate::{Store, StoreError, db::args};

/// A reference point: when the real clock read `real_ms`, virtual time read `virtual_ms` and ran at `speed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockRow {
    /// Milliseconds since 1970.
    pub real_ms: i64,
    /// Milliseconds since 1970.
    pub virtual_ms: i64,
    /// Virtual seconds per real second.
    pub speed: i64,
}

impl Store {
    /// The stored reference point, if there is one.
    pub async fn clock(&self) -> Result<Option<ClockRow>, StoreError> {
        const SQL: &str = "select real_ms, virtual_ms, speed from virtual_clock where id = 1";
        let Some(row) = self.db.read_one(SQL, args![]).await? else { return Ok(None) };
        Ok(Some(ClockRow {
            real_ms: row.get("real_ms")?,
            virtual_ms: row.get("virtual_ms")?,
            speed: row.get("speed")?,
        }))
    }

    /// Stores a reference point.
    pub async fn set_clock(&self, row: ClockRow) -> Result<(), StoreError> {
        const SQL: &str = "insert into virtual_clock (id, real_ms, virtual_ms, speed) values (1, $1, $2, $3)
             on conflict (id) do update set real_ms = $1, virtual_ms = $2, speed = $3";
        self.db.write(SQL, args![row.real_ms, row.virtual_ms, row.speed]).await.map(|_| ())
    }

    /// Moves the reference point to the clock's current position, never back.
    pub async fn save_clock(&self, row: ClockRow) -> Result<(), StoreError> {
        const SQL: &str = "update virtual_clock set real_ms = $1, virtual_ms = $2
             where id = 1 and speed = $3 and virtual_ms < $2";
        self.db.write(SQL, args![row.real_ms, row.virtual_ms, row.speed]).await.map(|_| ())
    }

    /// The database server's clock in milliseconds (I32); `None` for the embedded database.
    pub async fn database_now_ms(&self) -> Result<Option<i64>, StoreError> {
        const SQL: &str = "select cast(extract(epoch from clock_timestamp()) * 1000 as bigint) as ms"; // postgres only
        if let Some(ms) = self.db.faults.as_ref().and_then(|f| f.database_ms()) {
            return Ok(Some(ms));
        }
        if !self.db.is_postgres() {
            return Ok(None);
        }
        let row = self.db.read_one(SQL, args![]).await?.ok_or(StoreError::Corrupt("clock"))?;
        Ok(Some(row.get("ms")?))
    }
}
