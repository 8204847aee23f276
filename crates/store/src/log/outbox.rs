//! The outbox: one row for each event of a callback that consumers are to receive.
//!
//! Invariants: a row is written by a transition, in its transaction, and never changed. It holds no personal data. Rows
//! are kept for a few days.

use redialer_core::{Id, Timestamp, callback::State, id};

use crate::{
    Store, StoreError,
    db::{Tx, args, bulk_sql::RowValues, row},
};

/// An event of a callback.
pub(crate) struct CallbackEvent {
    pub(crate) bucket: i64,
    pub(crate) tenant: Id<id::Tenant>,
    pub(crate) workspace: Id<id::Workspace>,
    pub(crate) callback: Id<id::Callback>,
    pub(crate) name: &'static str,
    pub(crate) is_test: bool,
}

/// The event of a waiting callback whose scheduled time has changed.
pub(crate) const RESCHEDULED: &str = "callback.rescheduled";

/// The name of the event for entering a state; `None` if there is no event.
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
        // One row per callback, event and millisecond: a second write changes nothing.
        let id = Id::<id::Notice>::derived(self.callback.uuid(), self.name.bytes().rev(), now);
        row![self.bucket, self.workspace, id, self.tenant, self.callback, self.name, self.is_test, now]
    }
}

/// Writes events to the outbox.
pub(crate) async fn write(tx: &mut Tx, events: &[CallbackEvent], now: Timestamp) -> Result<(), StoreError> {
    const SQL: &str =
        "insert into callback_events (bucket, workspace_id, id, tenant_id, callback_id, event, is_test, at)
         values {rows} on conflict do nothing";
    tx.execute_rows(SQL, vec![], events.iter().map(|event| event.values(now)).collect()).await.map(|_| ())
}

impl Store {
    /// Deletes up to 500 outbox rows older than `before`; returns the number deleted.
    pub async fn prune_outbox(&self, before: Timestamp) -> Result<u64, StoreError> {
        const SQL: &str = "delete from callback_events where at < $1 and (bucket, workspace_id, id) in
                 (select bucket, workspace_id, id from callback_events where at < $1 order by at limit 500)";
        self.db.write(SQL, args![before]).await
    }
}
