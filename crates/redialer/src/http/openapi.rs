//! The OpenAPI 3.1 document, generated from the table of routes and the types that handlers read and write.
//!
//! Invariant: a test fails if a route of the table is not described here, or if a description has no route.

mod operations;
pub(crate) mod settings;

use std::{
    collections::{BTreeMap, HashMap},
    sync::LazyLock,
};

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, PartialSchema, ToSchema, openapi::path::ParameterIn};

use crate::http::{
    docs::examples::{Example, example_of},
    routes::{Route, TABLE},
};

/// The description of one operation.
pub(crate) struct Doc {
    id: &'static str,
    summary: &'static str,
    params: Vec<Value>,
    body: Option<Value>,
    status: u16,
    answer: Option<Value>,
}

/// The input that a route accepts in addition to its path.
pub(crate) struct RouteInput {
    /// The names of its query parameters.
    pub(crate) query: Vec<String>,
    /// Whether it has a body.
    pub(crate) body: bool,
}

/// The input of each route, by its method in upper case and its path.
pub(crate) fn route_input() -> HashMap<(String, String), RouteInput> {
    let mut types = Types::default();
    let of = |route: &Route| {
        let doc = operations::doc(&mut types, route.method, route.path)?;
        let query = doc.params.iter().filter_map(|p| p["name"].as_str().map(str::to_owned)).collect();
        let route_input = RouteInput { query, body: doc.body.is_some() };
        Some(((route.method.to_uppercase(), format!("/v1{}", route.path)), route_input))
    };
    TABLE.iter().filter_map(of).collect()
}

/// Collects the types that operations refer to.
#[derive(Default)]
pub(crate) struct Types(BTreeMap<String, Value>);

impl Types {
    /// A reference to a type; adds the type and its parts to the document once.
    fn schema<T: ToSchema + PartialSchema>(&mut self) -> Value {
        let mut parts = Vec::new();
        T::schemas(&mut parts);
        parts.push((T::name().into_owned(), T::schema()));
        for (name, schema) in parts {
            self.0.insert(name, serde_json::to_value(schema).unwrap_or_default());
        }
        json!({"$ref": format!("#/components/schemas/{}", T::name())})
    }

    /// A page of items of a type.
    fn page<T: ToSchema + PartialSchema>(&mut self) -> Value {
        let item = self.schema::<T>();
        let name = format!("{}Page", T::name());
        self.0.insert(
            name.clone(),
            json!({
                "type": "object",
                "required": ["data", "next_cursor"],
                "properties": {
                    "data": {"type": "array", "items": item, "description": "The entries, newest first."},
                    "next_cursor": {"type": ["string", "null"], "description": "Send it as `cursor` for the next page."},
                },
            }),
        );
        json!({"$ref": format!("#/components/schemas/{name}")})
    }
}

/// The parameters of a query string.
fn query<T: IntoParams>() -> Vec<Value> {
    let params = T::into_params(|| Some(ParameterIn::Query));
    params.into_iter().map(|p| bounded(serde_json::to_value(p).unwrap_or_default())).collect()
}

/// Describes what all lists share: the bounds of `limit`, and parameters that may be absent.
fn bounded(mut param: Value) -> Value {
    if param["description"].is_null() {
        param["description"] = param["schema"]["description"].clone();
    }
    if param["name"] == "limit" {
        param["description"] = json!("The most entries of the page.");
        param["schema"] = json!({"type": "integer", "minimum": 1, "maximum": 200, "default": 50});
    } else if param["name"] == "cursor" {
        param["description"] = json!("The `next_cursor` of the page before. Default: the first page.");
        param["schema"] = json!({"type": "string"});
    } else if let Some(schema) = param.get("schema").filter(|s| s["type"] == json!(["string", "null"])) {
        // In a query, a parameter is absent, not null.
        let mut schema = schema.clone();
        schema["type"] = json!("string");
        param["schema"] = schema;
    }
    param
}

/// Serves the document.
pub(crate) async fn serve() -> Response {
    static TEXT: LazyLock<String> = LazyLock::new(|| document().to_string());
    ([(header::CONTENT_TYPE, "application/json")], TEXT.as_str()).into_response()
}

/// The OpenAPI document.
pub fn document() -> Value {
    let mut types = Types::default();
    let mut paths = Map::new();
    for route in TABLE {
        let Some(doc) = operations::doc(&mut types, route.method, route.path) else { continue };
        let path = paths.entry(format!("/v1{}", route.path)).or_insert_with(|| json!({}));
        path[route.method] = operation(route, doc);
    }
    types.0.iter_mut().filter(|(name, _)| !is_sent(name)).for_each(|(_, schema)| all_there(schema));
    types.0.insert("Error".to_owned(), error());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "redialer",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Callback scheduling for voice-AI agents",
            "description": "Times are RFC 3339 in UTC. Lists are newest first. Unknown fields are errors.",
            "license": {"name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT"},
        },
        "servers": [{"url": "/", "description": "This server"}],
        "tags": tags(),
        "paths": paths,
        "components": {
            "schemas": types.0,
            "securitySchemes": {"key": {
                "type": "http", "scheme": "bearer",
                "description": "An API key: `rdl_live_…`, or `rdl_test_…` for test callbacks. The scope that an operation needs is in its description.",
            }},
        },
        "security": [{"key": []}],
    })
}

/// Whether a type is sent by clients.
fn is_sent(name: &str) -> bool {
    name.starts_with("New") || name.ends_with("Change")
}

/// Marks all fields as required: responses contain every field, null if empty. Secrets are present only when they are new.
fn all_there(schema: &mut Value) {
    let Some(properties) = schema["properties"].as_object() else { return };
    let names = properties.keys().filter(|name| !["secret", "password"].contains(&name.as_str()));
    schema["required"] = names.cloned().collect();
}

fn tags() -> Vec<Value> {
    let mut names: Vec<&str> = Vec::new();
    for name in TABLE.iter().map(tag) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.into_iter().map(|name| json!({"name": name, "description": about(name)})).collect()
}

/// The description of a tag.
fn about(tag: &str) -> &'static str {
    match tag {
        "workspaces" => "Provider accounts: keys, settings, retention.",
        "agents" => "Voice and chat agents of the provider: enabling, overrides, webhook URLs.",
        "callbacks" => "Scheduled outbound dials, their chains, and explanations of their times.",
        "suppressions" => "Numbers that must not be called.",
        "activity" => "Webhooks, decisions, dials and rejections.",
        "audit" => "The audit log of privileged changes.",
        "usage" => "Usage and quota.",
        "api-keys" => "API keys and their scopes.",
        "members" => "Members and their roles.",
        _ => "",
    }
}

/// Whether the resource that a route changes has an `ETag`.
fn has_etag(route: &Route) -> bool {
    !route.path.starts_with("/members")
}

fn tag(route: &Route) -> &'static str {
    match route.path.split('/').nth(1).unwrap_or_default() {
        "workspace" => "workspaces",
        "attention" => "callbacks",
        noun => noun,
    }
}

fn operation(route: &Route, doc: Doc) -> Value {
    let has_id = route.path.contains("{id}");
    let mut params = doc.params.clone();
    if has_id {
        params.push(json!({
            "name": "id", "in": "path", "required": true, "description": described_id(route),
            "schema": {"type": "string", "pattern": "^[a-z]+_[0-9a-z]{26}$"},
        }));
    }
    match route.method {
        "post" => params.push(json!({
            "name": "Idempotency-Key", "in": "header",
            "description": "A key of your own, 1 to 255 visible characters. For 24 h the same request with the same key is executed once.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
        })),
        "patch" if has_etag(route) => params.push(json!({
            "name": "If-Match", "in": "header",
            "description": "The `ETag` of the version to change; 412 if the resource has changed since. Default: any version.",
            "schema": {"type": "string", "pattern": "^[!-~]+$"},
        })),
        _ => {}
    }
    let example = example_of(route.method, &format!("/v1{}", route.path));
    let description = example.map_or("", |example| &example.description);
    let scope = format!("Scope: `{}`.", route.scope.as_str());
    let mut operation = json!({
        "operationId": doc.id,
        "summary": doc.summary,
        "description": format!("{description}\n\n{scope}").trim_start(),
        "tags": [tag(route)],
        "parameters": params,
        "responses": responses(route, &doc, example),
    });
    if let Some(example) = example {
        operation["x-codeSamples"] = json!([{"lang": "Shell", "label": "curl", "source": example.request}]);
    }
    if let Some(body) = doc.body {
        operation["requestBody"] =
            json!({"required": true, "content": {"application/json": {"schema": body}}});
    }
    operation
}

/// The description of the id in a route's path.
fn described_id(route: &Route) -> &'static str {
    match route.path.split('/').nth(1).unwrap_or_default() {
        "workspaces" => "The workspace's id (`ws_…`).",
        "agents" => "Redialer's id of the agent (`ag_…`).",
        "callbacks" => "The callback's id (`cb_…`).",
        "suppressions" => "The entry's id (`sp_…`).",
        "api-keys" => "The API key's id (`key_…`).",
        _ => "The member's id (`mb_…`).",
    }
}

fn responses(route: &Route, doc: &Doc, example: Option<&Example>) -> Value {
    let mut all = Map::new();
    let mut done = json!({"description": "Done.", "headers": headers()});
    if let Some(schema) = &doc.answer {
        done["content"] = json!({"application/json": {"schema": schema}});
        let response = example.and_then(|example| serde_json::from_str::<Value>(example.response?).ok());
        if let Some(response) = response {
            done["content"]["application/json"]["example"] = response;
        }
    }
    done["links"] = Value::Object(links(route));
    all.insert(doc.status.to_string(), done);
    let failed = |why: &str| {
        json!({"description": why, "headers": headers(), "content": {"application/json": {
            "schema": {"$ref": "#/components/schemas/Error"},
        }}})
    };
    let mut add = |status: &str, why: &str| {
        all.insert(status.to_owned(), failed(why));
    };
    add("401", "`unauthorized`: the API key is missing, unknown, revoked or expired. Without `RateLimit-*`.");
    add("403", "`missing_scope`: the key lacks the scope. `plan_limit`: the plan does not include the API.");
    add("422", "`invalid`: a value that is not allowed; `param` names the field.");
    add("429", "`rate_limited`: too many requests with this key; wait for `Retry-After`.");
    add("500", "`internal`: an error of the server; its log has the details.");
    add("503", "`unavailable`: the server cannot take the request now; retry after `Retry-After`.");
    if route.path.contains("{id}") || route.path == "/workspace" {
        add("404", "`not_found`: no such resource, or one that the key may not see.");
    }
    if doc.body.is_some() || route.method == "post" {
        add("400", "`not_json`: the body is not one JSON object.");
        add("408", "`too_slow`: the body arrived too slowly.");
        add("413", "`too_large`: the body is larger than 1 MiB.");
        add("409", "`idempotency_in_progress`: a request with the same idempotency key is in progress.");
    }
    for error in example.map_or(&[][..], |example| &example.errors) {
        let common = all.get(error.status).and_then(|response| response["description"].as_str());
        let description = format!("{} `{}`: {}.", common.unwrap_or_default(), error.code, error.meaning);
        all.insert(error.status.to_owned(), failed(description.trim_start()));
    }
    Value::Object(all)
}

/// Links from the ids in a response: from creating or listing a resource to the operations on one.
fn links(route: &Route) -> Map<String, Value> {
    let noun = route.path.trim_start_matches('/');
    let made = TABLE.iter().any(|r| r.method == "post" && r.path == route.path);
    let id = match route.method {
        "post" => "$response.body#/id",
        "get" if !made => "$response.body#/data/0/id",
        _ => return Map::new(),
    };
    let with_one = |r: &&Route| r.path.split('/').nth(1) == Some(noun) && r.path.contains("{id}");
    let mut types = Types::default();
    let ops = TABLE.iter().filter(with_one).filter_map(|r| operations::doc(&mut types, r.method, r.path));
    ops.map(|op| (op.id.to_owned(), json!({"operationId": op.id, "parameters": {"id": id}}))).collect()
}

fn headers() -> Value {
    let number = |what: &str| json!({"description": what, "schema": {"type": "integer"}});
    json!({
        "X-Request-Id": {"description": "Names this request in logs and errors.", "schema": {"type": "string"}},
        "RateLimit-Limit": number("Requests at once."),
        "RateLimit-Remaining": number("Of these, left."),
        "RateLimit-Reset": number("Seconds until all are there again."),
    })
}

fn error() -> Value {
    json!({
        "type": "object",
        "required": ["error"],
        "properties": {"error": {
            "type": "object",
            "description": "The error.",
            "required": ["type", "code", "message", "param", "request_id"],
            "properties": {
                "type": {"type": "string", "description": "The class of the error; it follows from the status."},
                "code": {"type": "string", "description": "Stable; for programs."},
                "message": {"type": "string", "description": "For people."},
                "param": {"type": ["string", "null"], "description": "The field it is about."},
                "request_id": {"type": "string", "description": "The request's id, as in `X-Request-Id` and the server's log."},
            },
        }},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_described_and_every_reference_leads_somewhere() {
        let document = document();
        assert!(document["tags"].as_array().expect("tags").iter().all(|t| t["description"] != ""));
        let mut ids = Vec::new();
        for route in TABLE {
            let operation = &document["paths"][format!("/v1{}", route.path)][route.method];
            assert!(operation.is_object(), "{} {} is not described", route.method, route.path);
            ids.push(operation["operationId"].as_str().expect("an id").to_owned());
        }
        let described: usize = document["paths"]
            .as_object()
            .expect("paths")
            .values()
            .map(|p| p.as_object().expect("ops").len())
            .sum();
        assert_eq!(described, TABLE.len());
        ids.sort();
        let all = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), all, "operation ids are distinct");
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let name = reference.strip_prefix("#/components/schemas/").expect("of ours");
            assert!(document["components"]["schemas"][name].is_object(), "{reference}");
        }
    }
}
