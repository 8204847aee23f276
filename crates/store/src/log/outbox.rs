//! The outbox: what happened to callbacks, for whoever is told of it.
//!
//! Invariants: a row is written in the transaction that made it necessary, by the transitions alone, and never changed.
//! It holds no personal data. Rows are kept for a few days.

use redialer_core::{Id, Timestamp, callback::State, id};

use crate::{
    Store, StoreError,
    db::{Tx, args, bulk_sql::RowValues, row},
};

/// Something that happened to a callback.
pub(crate) struct CallbackEvent {
    pub(crate) bucket: i64,
    pub(crate) tenant: Id<id::Tenant>,
    pub(crate) workspace: Id<id::Workspace>,
    pub(crate) callback: Id<id::Callback>,
    pub(crate) name: &'static str,
    pub(crate) is_test: bool,
}

/// A waiting callback whose moment has changed.
pub(crate) const RESCHEDULED: &str = "callback.rescheduled";

/// The name of the event that a callback has entered a state, where anybody is told of that.
pub(crate) const fn event_of(state: State) -> Option<&'static str> {
    match state {
        State::Scheduled => Some("callback.scheduled"),
        State::Held => Some("callback.held"),
        State::Dialing => Some("callback.dialing"),
        State::Completed => Some("callback.completed"),
        State::Failed => Some("callback.failed"),
        State::Exhausted => Some("callback.exhausted"),
        State::Canceled => Some("callback.canceled"),
        State::Expired => Some("callback.expired"),
        State::Suppressed => Some("callback.suppressed"),
        State::Superseded => Some("callback.superseded"),
        State::Dispatching | State::Unconfirmed => None,
    }
}

impl CallbackEvent {
    fn values(&self, now: Timestamp) -> RowValues {
        // One row a callback, event and millisecond: written twice, it is the same row.
        let id = Id::<id::Notice>::derived(self.callback.uuid(), self.name.bytes().rev(), now);
        row![self.bucket, self.workspace, id, self.tenant, self.callback, self.name, self.is_test, now]
    }
}

/// Writes events into the outbox.
pub(crate) async fn write(tx: &mut Tx, events: &[CallbackEvent], now: Timestamp) -> Result<(), StoreError> {
    const SQL: &str =
        "insert into callback_events (bucket, workspace_id, id, tenant_id, callback_id, event, is_test, at)
         values {rows} on conflict do nothing";
    tx.execute_rows(SQL, vec![], events.iter().map(|event| event.values(now)).collect()).await.map(|_| ())
}

impl Store {
    /// Deletes outbox rows from before that moment, a few hundred at a time; how many.
    pub async fn prune_outbox(&self, before: Timestamp) -> Result<u64, StoreError> {
        const SQL: &str = "delete from callback_events where at < $1 and (bucket, workspace_id, id) in
                 (select bucket, workspace_id, id from callback_events where at < $1 order by at limit 500)";
        self.db.write(SQL, args![before]).await
    }
}
