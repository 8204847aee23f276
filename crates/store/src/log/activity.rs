//! The activity feed: webhooks and their decisions, dials and their results, and notices.
//!
//! Invariant: the happy path writes nothing extra, because webhooks and dials have rows of their own. Repeated
//! rejections share one row with a count, so that bad traffic cannot fill the table. Absent on purpose: personal data.

use redialer_core::{
    Id, Timestamp,
    decide::{AfterCall, EventNote},
    id,
};
use uuid::Uuid;

use crate::{
    StoreError, TenantStore, at, bucket_of,
    db::{Row, args},
};

/// The kind of a line in the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActivityKind {
    /// A webhook and its decision.
    Webhook,
    /// A dispatch and its result.
    Dial,
    /// A rejected webhook, or a dial that was delayed or dropped.
    Notice,
}

/// One line of the feed.
#[derive(Debug, Clone)]
pub struct ActivityRow {
    /// Its kind.
    pub kind: ActivityKind,
    /// The id of the inbound event, the dispatch or the notice.
    pub id: Uuid,
    /// Its workspace.
    pub workspace: Id<id::Workspace>,
    /// The agent whose slug the webhook came with, or that dials.
    pub agent: Id<id::Agent>,
    /// The provider's name for the event; the code of a notice.
    pub event: String,
    /// The provider's id of the call.
    pub call_id: Option<String>,
    /// For a webhook `pending`, `done` or `quarantined` (set aside); for a dial as in `DispatchRow`; for a notice `recorded`.
    pub state: String,
    /// The codes of its notes, separated by spaces.
    pub notes: String,
    /// The callback that it led to or belongs to.
    pub callback: Option<Id<id::Callback>>,
    /// The ordinal of a dial within its chain.
    pub attempt: Option<i64>,
    /// How a dial ended.
    pub outcome: Option<String>,
    /// The number of occurrences since the previous line of this kind.
    pub count: i64,
    /// When it happened.
    pub at: Timestamp,
}

/// Filters of the feed; `None` matches any value.
#[derive(Debug, Clone, Default)]
pub struct ActivityFilter {
    /// Of this kind.
    pub kind: Option<ActivityKind>,
    /// In this workspace.
    pub workspace: Option<Id<id::Workspace>>,
    /// Of this agent.
    pub agent: Option<Id<id::Agent>>,
    /// About this callback.
    pub callback: Option<Id<id::Callback>>,
    /// About the call with this provider id.
    pub call_id: Option<String>,
    /// At or after this time.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
}

impl ActivityRow {
    fn from_row(kind: ActivityKind, row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            kind,
            id: row.get("id")?,
            workspace: Id::from_uuid(row.get("workspace_id")?),
            agent: Id::from_uuid(row.get("agent_id")?),
            event: row.get("event")?,
            call_id: row.get("call_id")?,
            state: row.get("state")?,
            notes: row.get("notes")?,
            callback: row.get::<Option<Uuid>>("callback_id")?.map(Id::from_uuid),
            attempt: row.get("attempt")?,
            outcome: row.get("outcome")?,
            count: row.get("n")?,
            at: at(row.get("at")?),
        })
    }
}

macro_rules! webhooks {
    ($index:literal) => {
        concat!(
            "select id, workspace_id, agent_id, event, call_id, state, notes, callback_id, cast(null as bigint) as attempt,
                 cast(null as text) as outcome, cast(1 as bigint) as n, received_at as at
             from inbound_events where bucket = $1 and tenant_id = $2 and ",
            $index,
            "(received_at, id) < ($3, $4)
               and ($6 is null or workspace_id = $6) and ($7 is null or agent_id = $7) and is_test = $8
               and ($9 is null or callback_id = $9) and (cast($10 as text) is null or call_id = $10)
               and (cast($11 as bigint) is null or received_at >= $11)
               and (cast($12 as bigint) is null or received_at < $12)
             order by received_at desc, id desc limit $5"
        )
    };
}
const WEBHOOKS: &str = webhooks!("");
const WEBHOOKS_OF_CALL: &str = webhooks!(
    "workspace_id in (select id from workspaces where tenant_id = $2) and coalesce(call_id, '') = $10 and "
);
const WEBHOOKS_OF_CALLBACK: &str = webhooks!("callback_id = $9 and ");
const DIALS: &str =
    "select d.id, d.workspace_id, c.agent_id, 'dial' as event, d.call_id, d.state, '' as notes, d.callback_id, d.attempt,
         d.result as outcome, cast(1 as bigint) as n, d.sent_at as at
     from dispatches d join callbacks c on c.bucket = d.bucket and c.id = d.callback_id
     where d.bucket = $1 and d.tenant_id = $2 and (d.sent_at, d.id) < ($3, $4)
       and ($6 is null or d.workspace_id = $6) and ($7 is null or c.agent_id = $7) and c.is_test = $8
       and ($9 is null or d.callback_id = $9) and (cast($10 as text) is null or d.call_id = $10)
       and (cast($11 as bigint) is null or d.sent_at >= $11) and (cast($12 as bigint) is null or d.sent_at < $12)
     order by d.sent_at desc, d.id desc limit $5";
const NOTICES: &str =
    "select id, workspace_id, agent_id, code as event, cast(null as text) as call_id, 'recorded' as state, '' as notes,
         callback_id, cast(null as bigint) as attempt, cast(null as text) as outcome, n, at
     from activity_notices where bucket = $1 and tenant_id = $2 and (at, id) < ($3, $4)
       and ($6 is null or workspace_id = $6) and ($7 is null or agent_id = $7) and is_test = $8
       and ($9 is null or callback_id = $9) and cast($10 as text) is null
       and (cast($11 as bigint) is null or at >= $11) and (cast($12 as bigint) is null or at < $12)
     order by at desc, id desc limit $5";

impl TenantStore {
    /// A page of the feed, newest first, before the given position.
    pub async fn activity(
        &self,
        filter: &ActivityFilter,
        before: (Timestamp, Uuid),
        limit: i64,
    ) -> Result<Vec<ActivityRow>, StoreError> {
        let workspace = self.narrowed(filter.workspace)?;
        let mut rows = Vec::new();
        for (kind, sql) in
            [(ActivityKind::Webhook, WEBHOOKS), (ActivityKind::Dial, DIALS), (ActivityKind::Notice, NOTICES)]
        {
            if filter.kind.is_some_and(|wanted| wanted != kind) {
                continue;
            }
            let sql = match (kind, filter.call_id.is_some(), filter.callback.is_some()) {
                (ActivityKind::Webhook, true, _) => WEBHOOKS_OF_CALL,
                (ActivityKind::Webhook, _, true) => WEBHOOKS_OF_CALLBACK,
                _ => sql,
            };
            let args = args![
                bucket_of(self.tenant),
                self.tenant,
                before.0,
                crate::db::Value::Uuid(Some(before.1)),
                limit,
                workspace,
                filter.agent,
                self.test,
                filter.callback,
                filter.call_id.clone(),
                filter.since,
                filter.until
            ];
            for row in self.db().read(sql, args).await? {
                rows.push(ActivityRow::from_row(kind, &row)?);
            }
        }
        rows.sort_by_key(|row| std::cmp::Reverse((row.at, row.id)));
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(rows)
    }
}

/// The codes of an event's notes as they are stored: separated by spaces, with details after `=`.
pub(crate) fn notes_text(after: &AfterCall) -> String {
    let text = |note: &EventNote| match note {
        EventNote::NoRequest if !after.extractions.is_empty() => {
            let names: Vec<String> = after.extractions.iter().map(|name| escaped(name)).collect();
            format!("{}={}", note.as_str(), names.join(","))
        }
        other => other.as_str().to_owned(),
    };
    after.notes.iter().map(text).collect::<Vec<_>>().join(" ")
}

/// Splits a stored note into its code and the names that came with it.
pub fn note_of(text: &str) -> (&str, Vec<String>) {
    match text.split_once('=') {
        Some((code, names)) => (code, names.split(',').map(unescaped).collect()),
        None => (text, Vec::new()),
    }
}

/// Percent-encodes the characters that would end a name.
fn escaped(name: &str) -> String {
    let plain = |c: char| !(c.is_whitespace() || c.is_control() || matches!(c, '%' | ',' | '='));
    let mut bytes = [0; 4];
    name.chars()
        .map(|c| match plain(c) {
            true => c.to_string(),
            false => c.encode_utf8(&mut bytes).bytes().map(|b| format!("%{b:02X}")).collect(),
        })
        .collect()
}

fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
