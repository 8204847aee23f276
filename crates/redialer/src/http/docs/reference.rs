//! `/docs/api`: the OpenAPI document as a readable page. It uses no script and loads nothing, so it works offline.

use std::sync::LazyLock;

use askama::Template;
use axum::response::Response;
use serde_json::{Value, json};

use crate::http::{docs::guides, openapi};

#[derive(Template)]
#[template(path = "api.html")]
struct Page {
    groups: Vec<Group>,
    types: Vec<Type>,
    error: String,
}

struct Group {
    name: String,
    title: String,
    operations: Vec<Operation>,
}

struct Operation {
    id: String,
    summary: String,
    method: &'static str,
    path: String,
    scope: String,
    params: Vec<Param>,
    body: Option<String>,
    status: String,
    answer: Option<String>,
    /// The response is a page of these.
    many: bool,
    refusals: String,
}

struct Param {
    name: String,
    says: String,
}

struct Type {
    name: String,
    schema: String,
}

/// `GET /docs/api`.
pub(crate) async fn serve() -> Response {
    static PAGE: LazyLock<String> = LazyLock::new(|| page(&openapi::document()).render().unwrap_or_default());
    guides::sent(&PAGE)
}

fn page(document: &Value) -> Page {
    let tags = document["tags"].as_array().into_iter().flatten();
    let group = |tag: &Value| {
        let name = text(&tag["name"]);
        let title = if name == "api-keys" { "API keys".to_owned() } else { name.clone() };
        Group { operations: operations(document, &name), name, title }
    };
    let schemas = document["components"]["schemas"].as_object().into_iter().flatten();
    let types = schemas
        .filter(|(name, _)| !name.ends_with("Page"))
        .map(|(name, schema)| Type { name: name.clone(), schema: pretty(schema) });
    let error = json!({"error": {
        "type": "invalid_request_error", "code": "invalid", "message": "The value of `state` is not valid.", "param": "state",
        "request_id": "req_gxj5yvs3nmb4suxr",
    }});
    Page { groups: tags.map(group).collect(), types: types.collect(), error: pretty(&error) }
}

fn operations(document: &Value, tag: &str) -> Vec<Operation> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for method in ["get", "post", "patch", "delete"] {
            let op = &item[method];
            if op["tags"][0] == tag {
                found.push(operation(method, path, op));
            }
        }
    }
    found
}

fn operation(method: &'static str, path: &str, op: &Value) -> Operation {
    let responses = op["responses"].as_object().into_iter().flatten();
    let (done, refused): (Vec<_>, Vec<_>) = responses.partition(|(status, _)| status.starts_with('2'));
    let lines = refused.iter().map(|(status, r)| format!("{status}  {}", text(&r["description"])));
    let content = |of: &Value| name_of(&of["content"]["application/json"]["schema"]);
    let params = op["parameters"].as_array().into_iter().flatten();
    Operation {
        id: text(&op["operationId"]),
        summary: text(&op["summary"]),
        method,
        path: path.to_owned(),
        scope: text(&op["description"]).rsplit("Scope: `").next().unwrap_or_default().replace("`.", ""),
        params: params.map(param).collect(),
        body: content(&op["requestBody"]),
        status: done.first().map(|(status, _)| (*status).clone()).unwrap_or_default(),
        answer: done.first().and_then(|(_, r)| content(r)),
        many: done.first().is_some_and(|(_, r)| is_page(&r["content"]["application/json"]["schema"])),
        refusals: lines.collect::<Vec<_>>().join("\n"),
    }
}

fn param(param: &Value) -> Param {
    let kind = text(&param["schema"]["type"]);
    let place = match text(&param["in"]).as_str() {
        "header" => "header",
        "path" => "in the path",
        _ => "query",
    };
    let said = text(&param["description"]);
    let says = if said.is_empty() { format!("{kind}, {place}") } else { format!("{place}. {said}") };
    Param { name: text(&param["name"]), says }
}

/// The name of the type that a schema refers to; for a page, that of its items.
fn name_of(schema: &Value) -> Option<String> {
    let name = schema["$ref"].as_str()?.rsplit('/').next()?;
    Some(name.strip_suffix("Page").unwrap_or(name).to_owned())
}

fn is_page(schema: &Value) -> bool {
    schema["$ref"].as_str().is_some_and(|name| name.ends_with("Page"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::TABLE;

    #[test]
    fn every_operation_and_type_is_on_the_page_and_every_link_leads_there() {
        let html = page(&openapi::document()).render().expect("rendered");
        assert_eq!(html.matches("<article id=").count(), TABLE.len());
        for link in html.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(html.contains(&format!("id=\"{link}\"")), "{link}");
        }
        assert!(!html.contains("<script") && !html.contains("http://") && !html.contains("https://"));
    }
}
