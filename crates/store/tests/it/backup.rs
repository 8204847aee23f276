//! A backup holds every row, whichever engine it was made from or restored to.

use std::path::Path;

use redialer_core::rng::Rng;
use redialer_store::{Kek, Store, restore_file};

use crate::{
    engines::{KEK, RawConnection, new_database, postgres},
    world::{World, at},
};

/// More callbacks than one batch takes, and bodies of which a few fill one.
const MANY: &str = "
with recursive n (i) as (select 1 union all select i + 1 from n where i < 4500)
insert into callbacks (bucket, id, tenant_id, workspace_id, agent_id, channel, chain_id, parent_id, phone_hash, state,
    held_for, reason, source_outcome, attempt, max_attempts, is_final, forced, requested_for, scheduled_for, due_at, timezone,
    timezone_source, source_ended_at, source_call_id, source_kind, provider_call_id, outcome, dispatch_id, lease_owner,
    lease_until, fence, unplaced_tries, sealed, created_at, updated_at)
select bucket, randomblob(16), tenant_id, workspace_id, agent_id, channel, randomblob(16), parent_id, randomblob(16),
    'completed', held_for, reason, source_outcome, attempt, max_attempts, is_final, forced, requested_for, scheduled_for, due_at,
    timezone, timezone_source, source_ended_at, 'call ' || i, source_kind, provider_call_id, outcome, dispatch_id, lease_owner,
    lease_until, fence, unplaced_tries, sealed, created_at + i, updated_at + i
from callbacks, n;
with recursive n (i) as (select 1 union all select i + 1 from n where i < 20)
insert into event_payloads (bucket, event_id, body, signature)
select bucket, randomblob(16), randomblob(1000000), '' from event_payloads, n;";

/// The content of a backup that does not depend on the engine.
fn content(file: &Path) -> Vec<(i64, i64, String)> {
    const SQL: &str = "select count(*), sum(created_at) + sum(attempt) + sum(length(sealed)),
             group_concat(hex(id), '') from (select * from callbacks order by id)
         union all select count(*), sum(length(body)), group_concat(hex(event_id), '')
             from (select * from event_payloads order by event_id)";
    let connection = rusqlite::Connection::open(file).expect("opened");
    let mut statement = connection.prepare(SQL).expect("prepared");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).expect("read");
    rows.collect::<Result<_, _>>().expect("read")
}

#[tokio::test]
async fn a_backup_of_either_engine_restores_every_row() {
    let Some(server) = postgres() else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let name = |name: &str| dir.path().join(name);
    let rng = Rng::seeded([1; 32]);
    let lite = Store::sqlite(&name("first.db"), Kek::from_bytes(KEK)).await.expect("opened");
    lite.migrate(&rng).await.expect("migrated");
    World::new(&lite, 1).await.schedule("c1", 60).await;
    RawConnection::sqlite(&name("first.db")).run(MANY).await;
    lite.backup(&name("first"), at(0)).await.expect("backed up");
    let rows = content(&name("first"));
    assert_eq!((rows[0].0, rows[1].0), (4501, 21));

    let pg = Store::postgres(&new_database(&server).await, Kek::from_bytes(KEK)).await.expect("connected");
    pg.migrate(&rng).await.expect("migrated");
    pg.restore_rows(&name("first"), None, at(1)).await.expect("restored");
    pg.backup(&name("second"), at(2)).await.expect("backed up");
    assert!(content(&name("second")) == rows, "something is missing on Postgres");

    let (second, third) = (name("second"), name("third.db"));
    restore_file(&second, &third, Kek::from_bytes(KEK), None, (&rng, at(3))).await.expect("restored");
    assert!(content(&third) == rows, "something is missing on SQLite");
}
