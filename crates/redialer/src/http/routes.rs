//! All routes of the REST API on one page.
//!
//! Invariant: every `/v1` route is in one table with the scope that it needs; the router, the scope check and the tests
//! are generated from it. A route that is not in the table does not exist.

use std::{collections::HashMap, sync::Arc, sync::LazyLock};

use axum::{
    Router,
    http::Method,
    routing::{delete, get, patch, post},
};
use redialer_core::access::Scope;

use crate::{
    app::App,
    http::api::{
        activity, agents, api_keys, attention, audit, callbacks, explain, members, payload, suppressions,
        usage, workspaces,
    },
};

/// A route under `/v1`.
pub struct Route {
    /// Its method, in lower case.
    pub method: &'static str,
    /// Its path, with `{id}` for an id.
    pub path: &'static str,
    /// The scope that a key needs for it.
    pub scope: Scope,
}

macro_rules! routes {
    ($($method:ident $path:literal $scope:ident $handler:path;)*) => {
        /// Every route under `/v1`.
        pub const TABLE: &[Route] =
            &[$(Route { method: stringify!($method), path: $path, scope: Scope::$scope }),*];

        pub(crate) fn v1() -> Router<Arc<App>> {
            Router::new()$(.route($path, $method($handler)))*
        }
    };
}

routes! {
    get    "/workspaces"                WorkspacesRead    workspaces::list;
    post   "/workspaces"                WorkspacesWrite   workspaces::create;
    get    "/workspaces/{id}"           WorkspacesRead    workspaces::show;
    patch  "/workspaces/{id}"           WorkspacesWrite   workspaces::change;
    delete "/workspaces/{id}"           WorkspacesWrite   workspaces::remove;
    post   "/workspaces/{id}/restore"   WorkspacesWrite   workspaces::restore;
    post   "/workspaces/{id}/sync"      WorkspacesWrite   workspaces::sync;
    get    "/workspace"                 WorkspacesRead    workspaces::own;
    get    "/agents"                    AgentsRead        agents::list;
    get    "/agents/{id}"               AgentsRead        agents::show;
    patch  "/agents/{id}"               AgentsWrite       agents::change;
    get    "/agents/{id}/webhook-url"   AgentsRead        agents::webhook_url;
    get    "/callbacks"                 CallbacksRead     callbacks::list;
    post   "/callbacks"                 CallbacksWrite    callbacks::create;
    get    "/callbacks/{id}"            CallbacksRead     callbacks::show;
    patch  "/callbacks/{id}"            CallbacksWrite    callbacks::change;
    get    "/callbacks/{id}/chain"      CallbacksRead     callbacks::chain;
    get    "/callbacks/{id}/payload"    PiiRead           payload::show;
    get    "/callbacks/{id}/explain"    CallbacksRead     explain::show;
    post   "/callbacks/{id}/cancel"     CallbacksWrite    callbacks::cancel;
    post   "/callbacks/{id}/force"      CallbacksWrite    callbacks::force;
    get    "/attention"                 CallbacksRead     attention::list;
    get    "/suppressions"              SuppressionsRead  suppressions::list;
    post   "/suppressions"              SuppressionsWrite suppressions::create;
    delete "/suppressions/{id}"         SuppressionsWrite suppressions::remove;
    get    "/activity"                  ActivityRead      activity::list;
    get    "/audit"                     AuditRead         audit::list;
    get    "/usage"                     UsageRead         usage::show;
    get    "/api-keys"                  KeysRead          api_keys::list;
    post   "/api-keys"                  KeysWrite         api_keys::create;
    delete "/api-keys/{id}"             KeysWrite         api_keys::revoke;
    get    "/members"                   MembersRead       members::list;
    post   "/members"                   MembersWrite      members::create;
    patch  "/members/{id}"              MembersWrite      members::change;
    delete "/members/{id}"              MembersWrite      members::remove;
}

/// The scope that a route needs; `None` if there is no such route.
pub(crate) fn scope_of(method: &Method, path: &str) -> Option<Scope> {
    static SCOPES: LazyLock<HashMap<(String, &str), Scope>> =
        LazyLock::new(|| TABLE.iter().map(|r| ((r.method.to_uppercase(), r.path), r.scope)).collect());
    // HEAD needs the same scope as GET.
    let method = if method == Method::HEAD { &Method::GET } else { method };
    SCOPES.get(&(method.as_str().to_owned(), path.strip_prefix("/v1")?)).copied()
}
