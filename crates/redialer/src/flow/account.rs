//! The provider account that a key belongs to, and how a failed read of the provider affects the workspace.
//!
//! Invariant: a rejected key (401) or an unpaid account (402) pauses the workspace immediately, and the API shows the
//! reason. If the key lacks permission for a read (403), the missing permission is recorded, and the features that need
//! the read continue without its data.

use redialer_core::{Id, id, permission::Permission, workspace::Pause};
use redialer_providers::{Provider, ReadError, ReadFailure};
use redialer_store::TenantKey;

use crate::app::App;

/// Returns the account that a key belongs to: as reported by the provider, or else a keyed digest of the key.
pub async fn of_key(
    provider: &dyn Provider,
    tenant_key: &TenantKey,
    api_key: &str,
) -> Result<String, ReadError> {
    match provider.account(api_key).await {
        Ok(Some(account)) => return Ok(format!("account:{account}")),
        Ok(None) => {}
        Err(error) => match error.failure {
            ReadFailure::Forbidden { .. } | ReadFailure::Unknown(_) | ReadFailure::Payment { .. } => {}
            _ => return Err(error),
        },
    }
    let digest = tenant_key.index_external(&format!("provider key:{api_key}"));
    Ok(format!("key:{}", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
}

/// Records a failed read if the key or the account is the cause: pauses the workspace or records a missing permission.
pub async fn read_failed(app: &App, workspace: Id<id::Workspace>, error: &ReadError) {
    metrics::counter!("redialer_provider_refusals_total", "answer" => answer_of(error)).increment(1);
    let done = match &error.failure {
        ReadFailure::KeyRefused { message, .. } => pause(app, workspace, Pause::Key, message).await,
        ReadFailure::Payment { message } => pause(app, workspace, Pause::Payment, message).await,
        ReadFailure::Forbidden { what, .. } => {
            tracing::warn!(workspace.id = %workspace, permission = %what, "the key of workspace {workspace} lacks the permission {what:?}");
            app.store.set_permission(workspace, what.as_str(), false).await
        }
        ReadFailure::Unknown(_) | ReadFailure::Throttled { .. } | ReadFailure::Unavailable(_) => Ok(()),
    };
    if let Err(error) = done {
        tracing::warn!(workspace.id = %workspace, %error, "the refusal of the provider could not be recorded in workspace {workspace}; the next refused read retries");
    }
}

/// The metric label of a failed read.
const fn answer_of(error: &ReadError) -> &'static str {
    match &error.failure {
        ReadFailure::KeyRefused { .. } => "key_refused",
        ReadFailure::Payment { .. } => "payment_required",
        ReadFailure::Forbidden { .. } => "forbidden",
        ReadFailure::Unknown(_) => "unknown",
        ReadFailure::Throttled { .. } => "throttled",
        ReadFailure::Unavailable(_) => "unavailable",
    }
}

/// Clears a missing permission after a read that needs it has succeeded.
pub async fn read_succeeded(app: &App, workspace: Id<id::Workspace>, missing: &[String], what: Permission) {
    if !missing.iter().any(|known| known == what.as_str()) {
        return;
    }
    if let Err(error) = app.store.set_permission(workspace, what.as_str(), true).await {
        tracing::warn!(workspace.id = %workspace, %error, "the missing permission {what:?} of workspace {workspace} could not be cleared; the next successful read retries");
    }
}

async fn pause(
    app: &App,
    workspace: Id<id::Workspace>,
    why: Pause,
    message: &str,
) -> Result<(), redialer_store::StoreError> {
    let message = Some(message).filter(|text| !text.is_empty());
    tracing::warn!(
        workspace.id = %workspace, reason = why.as_str(), provider.message = message,
        "workspace {workspace} is paused: {}", why.description()
    );
    app.store.pause(workspace, why, message, app.clock.now()).await
}
