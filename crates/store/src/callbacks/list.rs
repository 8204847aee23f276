//! Lists of callbacks: filtered, paged, each with an index that fits the filter.
//!
//! Invariant: a list reads no more of an index than it shows, except when two filters are combined.

use redialer_core::{
    Id, Timestamp,
    callback::{RedialReason, State},
    id,
};

use crate::{
    CallbackRow, StoreError, TenantStore, bucket_of,
    callbacks::rows::columns,
    db::{Args, Value, row},
};

/// Filters of a list; an empty or `None` field matches any value.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In one of these states.
    pub states: Vec<State>,
    /// Of one of these agents.
    pub agents: Vec<Id<id::Agent>>,
    /// Of this workspace.
    pub workspace: Option<Id<id::Workspace>>,
    /// For this reason.
    pub reason: Option<RedialReason>,
    /// With this outcome.
    pub outcome: Option<String>,
    /// Of this chain.
    pub chain: Option<Id<id::Chain>>,
    /// To this number, by its keyed index.
    pub phone_hash: Option<[u8; 16]>,
    /// With this external id, by its keyed index.
    pub external_id_hash: Option<[u8; 16]>,
    /// Scheduled at or after this time.
    pub scheduled_after: Option<Timestamp>,
    /// Scheduled before this time.
    pub scheduled_before: Option<Timestamp>,
    /// Created at or after this time.
    pub created_after: Option<Timestamp>,
    /// Created before this time.
    pub created_before: Option<Timestamp>,
    /// The order of the list.
    pub order: Order,
}

/// The time that orders a list, latest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// When a callback was created.
    #[default]
    Created,
    /// When it is scheduled.
    Scheduled,
}

// `cast` gives Postgres the type of a parameter that is only compared with null.
macro_rules! page {
    ($index:literal, $by:literal) => {
        columns!(
            $index,
            " and tenant_id = $2 and (",
            $by,
            ", id) < ($3, $4)
               and (cast($6 as text) is null or state = $6) and ($7 is null or agent_id = $7)
               and ($8 is null or workspace_id = $8) and (cast($9 as text) is null or reason = $9)
               and ($10 is null or phone_hash = $10) and is_test = $11 and (cast($12 as text) is null or outcome = $12)
               and ($13 is null or external_id_hash = $13)
               and (cast($14 as bigint) is null or scheduled_for >= $14)
               and (cast($15 as bigint) is null or scheduled_for < $15)
               and (cast($16 as bigint) is null or created_at >= $16)
               and (cast($17 as bigint) is null or created_at < $17)
               and workspace_id not in (select id from workspaces where tenant_id = $2 and deleted_at is not null)
             order by ",
            $by,
            " desc, id desc limit $5"
        )
    };
}

impl Filter {
    /// The statement whose index fits best: the most selective filter first.
    const fn statement(&self, state: Option<State>) -> &'static str {
        const OF_TENANT: &str = page!("where bucket = $1", "created_at");
        const OF_STATE: &str = page!("where bucket = $1 and state = $6", "created_at");
        const OF_PERSON: &str = page!("where bucket = $1 and phone_hash = $10", "created_at");
        const OF_EXTERNAL_ID: &str = page!("where bucket = $1 and external_id_hash = $13", "created_at");
        // `+` keeps SQLite from reading all of the tenant's callbacks in the order of the page.
        const OF_CHAIN: &str =
            page!("where +bucket = $1 and (id = $18 or (chain_id = $18 and chain_id <> id))", "created_at");
        const OF_CHAIN_BY_SCHEDULE: &str = page!(
            "where +bucket = $1 and (id = $18 or (chain_id = $18 and chain_id <> id))",
            "scheduled_for"
        );
        const BY_SCHEDULE: &str = page!("where bucket = $1", "scheduled_for");
        match (self.chain.is_some(), self.order) {
            (true, Order::Created) => return OF_CHAIN,
            (true, Order::Scheduled) => return OF_CHAIN_BY_SCHEDULE,
            (false, Order::Scheduled) => return BY_SCHEDULE,
            (false, Order::Created) => {}
        }
        match (self.external_id_hash.is_some(), self.phone_hash.is_some(), state.is_some()) {
            (true, ..) => OF_EXTERNAL_ID,
            (_, true, _) => OF_PERSON,
            (.., true) => OF_STATE,
            _ => OF_TENANT,
        }
    }
}

impl TenantStore {
    /// A page of callbacks, latest first, before the given position.
    pub async fn callbacks(
        &self,
        filter: &Filter,
        before: (Timestamp, Id<id::Callback>),
        limit: i64,
    ) -> Result<Vec<CallbackRow>, StoreError> {
        let mut rows = Vec::new();
        for state in some_or_any(&filter.states) {
            for agent in some_or_any(&filter.agents) {
                rows.extend(self.callbacks_of(filter, (state, agent), before, limit).await?);
            }
        }
        rows.sort_by_key(|row: &CallbackRow| {
            let at = if filter.order == Order::Created { row.created_at } else { row.scheduled_for };
            std::cmp::Reverse((at, row.id))
        });
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(rows)
    }

    async fn callbacks_of(
        &self,
        filter: &Filter,
        (state, agent): (Option<State>, Option<Id<id::Agent>>),
        before: (Timestamp, Id<id::Callback>),
        limit: i64,
    ) -> Result<Vec<CallbackRow>, StoreError> {
        let mut values = row![
            bucket_of(self.tenant),
            self.tenant,
            before.0,
            before.1,
            limit,
            state.map(State::as_str),
            agent,
            self.narrowed(filter.workspace)?,
            filter.reason.map(RedialReason::as_str),
            filter.phone_hash.map(|ix| ix.to_vec()),
            self.is_for_tests(),
            filter.outcome.clone(),
            filter.external_id_hash.map(|ix| ix.to_vec()),
            filter.scheduled_after,
            filter.scheduled_before,
            filter.created_after,
            filter.created_before
        ];
        values.extend(filter.chain.map(Value::from));
        let rows = self.db().read(filter.statement(state), Args(values)).await?;
        rows.iter().map(CallbackRow::from_row).collect()
    }
}

/// Each element as `Some`, or a single `None` for an empty slice.
fn some_or_any<T: Copy>(some: &[T]) -> Vec<Option<T>> {
    match some {
        [] => vec![None],
        some => some.iter().copied().map(Some).collect(),
    }
}
