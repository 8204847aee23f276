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
        ("post", "/workspaces") => {
            create::<View, NewBody>(t, "createWorkspace", "Connect a provider account (admin keys)")
        }
        ("get", "/workspaces/{id}") => one::<View>(t, "getWorkspace", "One workspace"),
        ("patch", "/workspaces/{id}") => {
            change::<View, ChangeBody>(t, "changeWorkspace", "Change a workspace")
        }
        ("delete", "/workspaces/{id}") => {
            gone("deleteWorkspace", "Give a workspace up; it can be restored for 24 h (admin keys)")
        }
        ("post", "/workspaces/{id}/restore") => {
            one::<View>(t, "restoreWorkspace", "Take a deletion back (admin keys)")
        }
        ("post", "/workspaces/{id}/sync") => {
            one::<Synced>(t, "syncWorkspace", "Pull the provider's roster of agents")
        }
        ("get", "/workspace") => Doc {
            params: query::<OwnQuery>(),
            ..one::<View>(t, "getOwnWorkspace", "The key's own workspace")
        },
        _ => return None,
    })
}

fn of_agents(t: &mut Types, method: &str, path: &str) -> Option<Doc> {
    use agents::{ChangeBody, ListQuery, View, WebhookUrl};
    Some(match (method, path) {
        ("get", "/agents") => list::<View, ListQuery>(t, "listAgents", "List agents"),
        ("get", "/agents/{id}") => one::<View>(t, "getAgent", "One agent"),
        ("patch", "/agents/{id}") => {
            change::<View, ChangeBody>(t, "changeAgent", "Switch an agent, or change its own settings")
        }
        ("get", "/agents/{id}/webhook-url") => {
            one::<WebhookUrl>(t, "getWebhookUrl", "Where to point the provider's webhook")
        }
        _ => return None,
    })
}

fn of_callbacks(t: &mut Types, method: &str, path: &str) -> Option<Doc> {
    use callback_filters::ListQuery;
    use callbacks::{ChangeBody, NewBody, View};
    Some(match (method, path) {
        ("get", "/callbacks") => list::<View, ListQuery>(t, "listCallbacks", "List callbacks"),
        ("post", "/callbacks") => create::<View, NewBody>(t, "createCallback", "Schedule a callback"),
        ("get", "/callbacks/{id}") => one::<View>(t, "getCallback", "One callback"),
        ("patch", "/callbacks/{id}") => {
            change::<View, ChangeBody>(t, "moveCallback", "Move a waiting callback to another instant")
        }
        ("get", "/callbacks/{id}/chain") => {
            let answer = Some(t.page::<View>());
            Doc { answer, ..plain("getChain", "Every callback of its chain") }
        }
        ("get", "/callbacks/{id}/payload") => {
            let answer = Some(t.page::<payload::View>());
            Doc { answer, ..plain("getPayload", "The webhooks it came from and led to") }
        }
        ("get", "/callbacks/{id}/explain") => one::<explain::View>(t, "explainCallback", "Why then"),
        ("post", "/callbacks/{id}/cancel") => one::<View>(t, "cancelCallback", "Cancel a callback"),
        ("post", "/callbacks/{id}/force") => one::<View>(t, "forceCallback", "Dial now"),
        ("get", "/attention") => {
            let listed = list::<View, ListQuery>(t, "listAttention", "What does not go on by itself");
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
            "Numbers that must not be called",
        ),
        ("post", "/suppressions") => create::<suppressions::Created, suppressions::NewBody>(
            t,
            "createSuppression",
            "Put numbers on the do-not-call list",
        ),
        ("delete", "/suppressions/{id}") => gone("deleteSuppression", "Take a number off the list"),
        ("get", "/activity") => {
            list::<activity::View, activity::ListQuery>(t, "listActivity", "What came in and what followed")
        }
        ("get", "/audit") => list::<audit::View, audit::ListQuery>(t, "listAudit", "Who did what"),
        ("get", "/usage") => one::<usage::View>(t, "getUsage", "Quota and use of this month"),
        ("get", "/api-keys") => list::<api_keys::View, ListQuery>(t, "listApiKeys", "List API keys"),
        ("post", "/api-keys") => create::<api_keys::View, api_keys::NewBody>(
            t,
            "createApiKey",
            "Create an API key; its secret is shown once",
        ),
        ("delete", "/api-keys/{id}") => gone("revokeApiKey", "Revoke an API key"),
        ("get", "/members") => {
            list::<members::View, ListQuery>(t, "listMembers", "Who signs in (admin keys)")
        }
        ("post", "/members") => create::<members::View, members::NewBody>(
            t,
            "addMember",
            "Add a member; the password is shown once (admin keys)",
        ),
        ("patch", "/members/{id}") => change::<members::View, members::ChangeBody>(
            t,
            "changeMember",
            "Give a member another role (admin keys)",
        ),
        ("delete", "/members/{id}") => gone("removeMember", "Remove a member (admin keys)"),
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
