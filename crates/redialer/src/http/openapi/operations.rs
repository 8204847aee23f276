//! The id, summary, parameters and types of each operation.

use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::http::{
    api::{
        activity, agents, api_keys, attention, audit, callback_filters, callbacks, explain, members,
        page::ListQuery, payload, suppressions, usage, workspaces,
    },
    openapi::{Doc, Types, query},
};

/// The description of a route.
pub(crate) fn doc(t: &mut Types, method: &str, path: &str) -> Option<Doc> {
    let noun = path.split('/').nth(1)?;
    match noun {
        "workspaces" | "workspace" => of_workspaces(t, method, path),
        "agents" => of_agents(t, method, path),
        "callbacks" | "attention" => of_callbacks(t, method, path),
        _ => of_the_rest(t, method, path),
    }
}

fn of_workspaces(t: &mut Types, method: &str, path: &str) -> Option<Doc> {
    use workspaces::{ChangeBody, NewBody, OwnQuery, Synced, View};
    Some(match (method, path) {
        ("get", "/workspaces") => list::<View, ListQuery>(t, "listWorkspaces", "List workspaces"),
        ("post", "/workspaces") => create::<View, NewBody>(t, "createWorkspace", "Connect a workspace"),
        ("get", "/workspaces/{id}") => one::<View>(t, "getWorkspace", "Get a workspace"),
        ("patch", "/workspaces/{id}") => {
            change::<View, ChangeBody>(t, "updateWorkspace", "Update a workspace")
        }
        ("delete", "/workspaces/{id}") => gone("deleteWorkspace", "Delete a workspace"),
        ("post", "/workspaces/{id}/restore") => one::<View>(t, "restoreWorkspace", "Restore a workspace"),
        ("post", "/workspaces/{id}/sync") => one::<Synced>(t, "syncWorkspace", "Sync a workspace"),
        ("get", "/workspace") => Doc {
            params: query::<OwnQuery>(),
            ..one::<View>(t, "getOwnWorkspace", "Get the workspace of the API key")
        },
        _ => return None,
    })
}

fn of_agents(t: &mut Types, method: &str, path: &str) -> Option<Doc> {
    use agents::{ChangeBody, ListQuery, View, WebhookUrl};
    Some(match (method, path) {
        ("get", "/agents") => list::<View, ListQuery>(t, "listAgents", "List agents"),
        ("get", "/agents/{id}") => one::<View>(t, "getAgent", "Get an agent"),
        ("patch", "/agents/{id}") => change::<View, ChangeBody>(t, "updateAgent", "Update an agent"),
        ("get", "/agents/{id}/webhook-url") => one::<WebhookUrl>(t, "getWebhookUrl", "Get a webhook URL"),
        _ => return None,
    })
}

fn of_callbacks(t: &mut Types, method: &str, path: &str) -> Option<Doc> {
    use callback_filters::ListQuery;
    use callbacks::{ChangeBody, NewBody, View};
    Some(match (method, path) {
        ("get", "/callbacks") => list::<View, ListQuery>(t, "listCallbacks", "List callbacks"),
        ("post", "/callbacks") => create::<View, NewBody>(t, "createCallback", "Create a callback"),
        ("get", "/callbacks/{id}") => one::<View>(t, "getCallback", "Get a callback"),
        ("patch", "/callbacks/{id}") => {
            change::<View, ChangeBody>(t, "rescheduleCallback", "Reschedule a callback")
        }
        ("get", "/callbacks/{id}/chain") => {
            let answer = Some(t.page::<View>());
            Doc { answer, ..plain("listChain", "List a chain") }
        }
        ("get", "/callbacks/{id}/payload") => {
            let answer = Some(t.page::<payload::View>());
            Doc { answer, ..plain("listPayloads", "List payloads") }
        }
        ("get", "/callbacks/{id}/explain") => {
            one::<explain::View>(t, "explainCallback", "Explain a callback")
        }
        ("post", "/callbacks/{id}/cancel") => one::<View>(t, "cancelCallback", "Cancel a callback"),
        ("post", "/callbacks/{id}/force") => one::<View>(t, "forceCallback", "Force a callback"),
        ("get", "/attention") => {
            let listed = list::<View, ListQuery>(t, "listAttention", "List what needs attention");
            Doc { answer: Some(t.schema::<attention::View>()), ..listed }
        }
        _ => return None,
    })
}

fn of_the_rest(t: &mut Types, method: &str, path: &str) -> Option<Doc> {
    Some(match (method, path) {
        ("get", "/suppressions") => list::<suppressions::View, suppressions::ListQuery>(
            t,
            "listSuppressions",
            "List the do-not-call list",
        ),
        ("post", "/suppressions") => create::<suppressions::Created, suppressions::NewBody>(
            t,
            "createSuppression",
            "Add numbers to the do-not-call list",
        ),
        ("delete", "/suppressions/{id}") => {
            gone("deleteSuppression", "Remove a number from the do-not-call list")
        }
        ("get", "/activity") => {
            list::<activity::View, activity::ListQuery>(t, "listActivity", "List activity")
        }
        ("get", "/audit") => list::<audit::View, audit::ListQuery>(t, "listAuditEvents", "List audit events"),
        ("get", "/usage") => one::<usage::View>(t, "getUsage", "Get usage"),
        ("get", "/api-keys") => list::<api_keys::View, ListQuery>(t, "listApiKeys", "List API keys"),
        ("post", "/api-keys") => {
            create::<api_keys::View, api_keys::NewBody>(t, "createApiKey", "Create an API key")
        }
        ("delete", "/api-keys/{id}") => gone("revokeApiKey", "Revoke an API key"),
        ("get", "/members") => list::<members::View, ListQuery>(t, "listMembers", "List members"),
        ("post", "/members") => create::<members::View, members::NewBody>(t, "addMember", "Add a member"),
        ("patch", "/members/{id}") => {
            change::<members::View, members::ChangeBody>(t, "updateMember", "Change a member's role")
        }
        ("delete", "/members/{id}") => gone("removeMember", "Remove a member"),
        _ => return None,
    })
}

const fn plain(id: &'static str, summary: &'static str) -> Doc {
    Doc { id, summary, params: Vec::new(), body: None, status: 200, answer: None }
}

fn list<V, Q>(t: &mut Types, id: &'static str, summary: &'static str) -> Doc
where
    V: ToSchema + PartialSchema,
    Q: IntoParams,
{
    Doc { params: query::<Q>(), answer: Some(t.page::<V>()), ..plain(id, summary) }
}

fn one<V: ToSchema + PartialSchema>(t: &mut Types, id: &'static str, summary: &'static str) -> Doc {
    Doc { answer: Some(t.schema::<V>()), ..plain(id, summary) }
}

fn create<V, B>(t: &mut Types, id: &'static str, summary: &'static str) -> Doc
where
    V: ToSchema + PartialSchema,
    B: ToSchema + PartialSchema,
{
    Doc { body: Some(t.schema::<B>()), status: 201, answer: Some(t.schema::<V>()), ..plain(id, summary) }
}

fn change<V, B>(t: &mut Types, id: &'static str, summary: &'static str) -> Doc
where
    V: ToSchema + PartialSchema,
    B: ToSchema + PartialSchema,
{
    Doc { body: Some(t.schema::<B>()), answer: Some(t.schema::<V>()), ..plain(id, summary) }
}

fn gone(id: &'static str, summary: &'static str) -> Doc {
    Doc { status: 204, ..plain(id, summary) }
}
