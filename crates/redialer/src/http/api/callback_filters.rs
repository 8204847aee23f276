//! Filters and order of the list of callbacks.

use redialer_core::{
    Timestamp,
    callback::{RedialReason, State},
    id,
};
use redialer_store::{Filter, Order, TenantKey};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::http::{
    api::{page::PageRequest, wire},
    error::ApiError,
    openapi::settings,
    principal::Caller,
};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    #[param(example = "scheduled,held", schema_with = settings::states)]
    state: Option<String>,
    /// An agent's id: redialer's (`ag_…`) or the provider's.
    agent_id: Option<String>,
    /// Only callbacks of this workspace.
    workspace_id: Option<String>,
    #[param(schema_with = settings::reason)]
    reason: Option<String>,
    /// How the callback ended.
    outcome: Option<String>,
    /// Only callbacks of the chain that begins with this one.
    chain_root_id: Option<String>,
    /// The callee's number, E.164.
    to_number: Option<String>,
    /// The id given by the client that scheduled the callback.
    external_id: Option<String>,
    /// At or after this time.
    #[param(format = DateTime)]
    scheduled_after: Option<String>,
    /// Before this time.
    #[param(format = DateTime)]
    scheduled_before: Option<String>,
    /// At or after this time.
    #[param(format = DateTime)]
    created_after: Option<String>,
    /// Before this time.
    #[param(format = DateTime)]
    created_before: Option<String>,
    /// Newest first, by creation or by due time.
    #[param(schema_with = settings::order)]
    order: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

impl ListQuery {
    pub(crate) fn page_request(&self) -> Result<PageRequest<id::Callback>, ApiError> {
        PageRequest::read(self.limit, self.cursor.as_deref())
    }

    /// The filter; `None` if nothing can match.
    pub(crate) async fn filter(&self, caller: &Caller, key: &TenantKey) -> Result<Option<Filter>, ApiError> {
        let named = self.workspace_id.as_deref().map(|t| wire::id("workspace_id", t)).transpose()?;
        let number = self.to_number.as_deref().map(|t| wire::number("to_number", t)).transpose()?;
        let agents = match self.agent_id.as_deref() {
            None => Vec::new(),
            Some(text) if text.starts_with("ag_") => vec![wire::id("agent_id", text)?],
            Some(theirs) => match caller.store.agents_called(theirs).await? {
                none if none.is_empty() => return Ok(None),
                some => some,
            },
        };
        let timestamp = |param: &'static str, text: &Option<String>| -> Result<Option<Timestamp>, ApiError> {
            text.as_deref().map(|t| wire::timestamp(param, t)).transpose()
        };
        Ok(Some(Filter {
            states: states(self.state.as_deref())?,
            agents,
            workspace: named,
            reason: self.reason.as_deref().map(reason).transpose()?,
            outcome: self.outcome.clone(),
            chain: self.chain_root_id.as_deref().map(|t| wire::id("chain_root_id", t)).transpose()?,
            phone_hash: number.map(|n| key.index(n.e164())),
            external_id_hash: self.external_id.as_deref().map(|id| key.index_external(id)),
            scheduled_after: timestamp("scheduled_after", &self.scheduled_after)?,
            scheduled_before: timestamp("scheduled_before", &self.scheduled_before)?,
            created_after: timestamp("created_after", &self.created_after)?,
            created_before: timestamp("created_before", &self.created_before)?,
            order: order(self.order.as_deref())?,
        }))
    }
}

fn states(text: Option<&str>) -> Result<Vec<State>, ApiError> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let mut states = text
        .split(',')
        .map(|word| word.trim().parse().map_err(|_| wire::not_among("state", &State::ALL.map(State::as_str))))
        .collect::<Result<Vec<State>, _>>()?;
    states.sort_by_key(|state| state.as_str());
    states.dedup();
    Ok(states)
}

fn reason(word: &str) -> Result<RedialReason, ApiError> {
    word.parse().map_err(|_| wire::not_among("reason", &RedialReason::ALL.map(RedialReason::as_str)))
}

fn order(word: Option<&str>) -> Result<Order, ApiError> {
    match word {
        None | Some("created") => Ok(Order::Created),
        Some("scheduled") => Ok(Order::Scheduled),
        Some(_) => Err(wire::not_among("order", &["created", "scheduled"])),
    }
}
