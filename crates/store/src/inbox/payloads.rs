//! Captured webhooks, as they were received.

use redialer_core::{
    Id, Timestamp, id,
    time::{minutes, plus},
};

use crate::{CallbackRow, StoreError, TenantKey, TenantStore, at, bucket_of, db::args};

/// A captured webhook.
pub struct PayloadRow {
    /// The inbound event.
    pub id: Id<id::InboundEvent>,
    /// The provider's name for the event.
    pub event: String,
    /// The provider's id of the call.
    pub call_id: Option<String>,
    /// When it arrived.
    pub received_at: Timestamp,
    body: Vec<u8>,
}

impl PayloadRow {
    /// Opens the body, byte for byte.
    pub fn body(&self, key: &TenantKey) -> Result<Vec<u8>, StoreError> {
        Ok(key.open_body(self.id.uuid(), &self.body)?)
    }
}

/// The longest time between two events of one call.
const CALL_MINUTES: i64 = 4 * 60;
const MAX_PAYLOADS: i64 = 50;

impl TenantStore {
    /// The webhooks of the call that a callback came from, and of the call it became; newest first.
    ///
    /// Searches by time, because an index by call would cost every webhook and serve a rare query.
    pub async fn payloads(&self, callback: &CallbackRow) -> Result<Vec<PayloadRow>, StoreError> {
        const SQL: &str = "select d.id, d.event, d.call_id, d.received_at, b.body
             from inbound_events d join event_payloads b on b.event_id = d.id and b.bucket = d.bucket
             where d.bucket = $1 and d.tenant_id = $2 and d.received_at between $3 and $4 and d.workspace_id = $5
               and (d.callback_id = $6 or d.call_id = $7 or d.call_id = $8)
             order by d.received_at desc, d.id desc limit $9";
        let args = args![
            bucket_of(self.tenant),
            self.tenant,
            plus(callback.created_at, -minutes(CALL_MINUTES)),
            plus(callback.updated_at, minutes(CALL_MINUTES)),
            callback.workspace,
            callback.id,
            callback.source_call_id.clone(),
            callback.provider_call_id.clone(),
            MAX_PAYLOADS
        ];
        let rows = self.db().read(SQL, args).await?;
        rows.iter()
            .map(|row| {
                Ok(PayloadRow {
                    id: Id::from_uuid(row.get("id")?),
                    event: row.get("event")?,
                    call_id: row.get("call_id")?,
                    received_at: at(row.get("received_at")?),
                    body: row.get("body")?,
                })
            })
            .collect()
    }
}
