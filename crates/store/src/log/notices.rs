//! Lines of the activity feed that no other row shows: rejected webhooks, claims that were not dialed, pauses.

use redialer_core::{Id, Timestamp, decide::ActivityNotice, id};
use uuid::Uuid;

use crate::{
    Store, StoreError, bucket_of,
    db::{Tx, Value, args},
};

/// Webhooks that were rejected since the previous line about them.
#[derive(Debug, Clone, Copy)]
pub struct RejectionCount {
    /// The id of the line.
    pub id: Id<id::Notice>,
    /// The tenant.
    pub tenant: Id<id::Tenant>,
    /// The workspace.
    pub workspace: Id<id::Workspace>,
    /// The agent.
    pub agent: Id<id::Agent>,
    /// Why they were rejected.
    pub why: ActivityNotice,
    /// How many were rejected.
    pub n: i64,
}

pub(crate) const PUT: &str =
    "insert into activity_notices (bucket, id, tenant_id, workspace_id, agent_id, callback_id, code, n, is_test, at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict do nothing";

/// Adds a line about a callback to the activity feed.
pub(crate) async fn notice_of_callback(
    tx: &mut Tx,
    bucket: i64,
    callback: Id<id::Callback>,
    notice: ActivityNotice,
    now: Timestamp,
) -> Result<(), StoreError> {
    const SQL: &str =
        "insert into activity_notices (bucket, id, tenant_id, workspace_id, agent_id, callback_id, code, n, is_test, at)
             select bucket, $3, tenant_id, workspace_id, agent_id, id, $4, 1, is_test, $5
             from callbacks where bucket = $1 and id = $2
         on conflict do nothing";
    let id = notice_id(callback.uuid(), notice, now);
    tx.execute(SQL, args![bucket, callback, id, notice.as_str(), now]).await.map(|_| ())
}

/// Adds a line about a workspace to the activity feed.
pub(crate) async fn notice_of_workspace(
    tx: &mut Tx,
    workspace: Id<id::Workspace>,
    notice: ActivityNotice,
    now: Timestamp,
) -> Result<(), StoreError> {
    const SQL: &str =
        "insert into activity_notices (bucket, id, tenant_id, workspace_id, agent_id, callback_id, code, n, is_test, at)
             select bucket, $2, tenant_id, id, $3, null, $4, 1, false, $5 from workspaces where id = $1
         on conflict do nothing";
    let id = notice_id(workspace.uuid(), notice, now);
    let no_agent: Id<id::Agent> = Id::from_uuid(Uuid::nil());
    tx.execute(SQL, args![workspace, id, no_agent, notice.as_str(), now]).await.map(|_| ())
}

/// One line per subject, code and millisecond: a second write changes nothing.
fn notice_id(of: Uuid, notice: ActivityNotice, now: Timestamp) -> Id<id::Notice> {
    Id::derived(of, notice.as_str().bytes(), now)
}

impl Store {
    /// Adds lines about rejected webhooks to the activity feed.
    pub async fn write_rejections(
        &self,
        rejections: &[RejectionCount],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        for r in rejections {
            let args = args![
                bucket_of(r.tenant),
                r.id,
                r.tenant,
                r.workspace,
                r.agent,
                Value::Uuid(None),
                r.why.as_str(),
                r.n,
                false,
                now
            ];
            tx.execute(PUT, args).await?;
        }
        tx.commit().await
    }

    /// Deletes notices from before that time, a few hundred at a time; returns how many.
    pub async fn delete_old_notices(&self, before: Timestamp) -> Result<u64, StoreError> {
        const SQL: &str = "delete from activity_notices where at < $1 and (bucket, tenant_id, at, id) in
                 (select bucket, tenant_id, at, id from activity_notices where at < $1 order by at limit 500)";
        self.db.write(SQL, args![before]).await
    }
}
