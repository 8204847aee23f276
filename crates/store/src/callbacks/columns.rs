//! Conversions between columns of `callbacks` and their types.

use redialer_core::{
    callback::{HeldFor, RedialReason, State},
    decide::GateRecord,
    time::{Zone, ZoneSource},
};

use crate::{StoreError, db::Row};

pub(crate) fn state_of(row: &Row) -> Result<State, StoreError> {
    row.get::<String>("state")?.parse().map_err(|_| StoreError::Corrupt("state"))
}

pub(crate) fn held_for(row: &Row) -> Result<Option<HeldFor>, StoreError> {
    let name = row.get::<Option<String>>("held_for")?;
    name.map(|name| name.parse()).transpose().map_err(|_| StoreError::Corrupt("held_for"))
}

pub(crate) fn reason_of(row: &Row) -> Result<RedialReason, StoreError> {
    row.get::<String>("reason")?.parse().map_err(|_| StoreError::Corrupt("reason"))
}

pub(crate) fn zone_of(row: &Row) -> Result<Zone, StoreError> {
    let source = ZoneSource::from_stored(&row.get::<String>("timezone_source")?);
    Ok(Zone { name: row.get("timezone")?, source, is_sure: true })
}

/// Serializes gates as they are stored.
pub(crate) fn gates_text(gates: &[GateRecord]) -> String {
    serde_json::to_string(gates).unwrap_or_default()
}
