//! `/docs/api`: the OpenAPI document as a readable page, with the examples of `docs/api.md` beside the operations. It
//! uses no script and loads nothing, so it works offline.

use std::sync::LazyLock;

use askama::Template;
use axum::response::Response;
use serde_json::Value;

use crate::http::{
    docs::{
        examples::{ErrorCode, chapter, example_of},
        guides,
        markdown::{self, Rendered},
    },
    openapi,
    routes::{Route, TABLE},
};

#[derive(Template)]
#[template(path = "api.html")]
struct Page {
    groups: Vec<Group>,
    types: Vec<Type>,
    authentication: Rendered,
    errors: Rendered,
}

struct Group {
    name: String,
    title: String,
    description: Rendered,
    operations: Vec<Operation>,
}

struct Operation {
    id: String,
    summary: String,
    method: &'static str,
    path: String,
    scope: String,
    description: Rendered,
    params: Vec<Field>,
    /// The type of the body, and its fields.
    body: Option<(String, Vec<Field>)>,
    status: String,
    answer: Option<String>,
    /// The response is a page of these.
    many: bool,
    errors: Vec<Refusal>,
    request: &'static str,
    response: Option<&'static str>,
}

/// A parameter, or a field of a body.
struct Field {
    name: String,
    /// Its type, bounds and place.
    kind: String,
    is_required: bool,
    description: Rendered,
    values: Vec<String>,
    default: Option<String>,
    /// The fields of an object, with their paths in it.
    fields: Vec<Field>,
}

struct Refusal {
    status: &'static str,
    code: &'static str,
    meaning: Rendered,
}

struct Type {
    name: String,
    description: Rendered,
    fields: Vec<Field>,
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
        Group {
            title: title(&name),
            description: prose(&tag["description"]),
            operations: operations(document, &name),
            name,
        }
    };
    let schemas = document["components"]["schemas"].as_object().into_iter().flatten();
    let types = schemas.filter(|(name, _)| !name.ends_with("Page")).map(|(name, schema)| Type {
        name: name.clone(),
        description: prose(&schema["description"]),
        fields: fields(schema, ""),
    });
    let of_guide = |title: &str| html(chapter(title).unwrap_or_default());
    Page {
        groups: tags.map(group).collect(),
        types: types.collect(),
        authentication: of_guide("Authentication"),
        errors: of_guide("Errors"),
    }
}

fn title(tag: &str) -> String {
    match tag {
        "api-keys" => "API keys".to_owned(),
        "suppressions" => "Do-not-call list".to_owned(),
        "audit" => "Audit log".to_owned(),
        tag => format!("{}{}", tag[..1].to_uppercase(), &tag[1..]),
    }
}

fn operations(document: &Value, tag: &str) -> Vec<Operation> {
    let operation = |route: &Route| {
        let path = format!("/v1{}", route.path);
        let op = &document["paths"][&path][route.method];
        (op["tags"][0] == tag).then(|| operation(document, route.method, &path, op))
    };
    TABLE.iter().filter_map(operation).collect()
}

fn operation(document: &Value, method: &'static str, path: &str, op: &Value) -> Operation {
    let mut responses = op["responses"].as_object().into_iter().flatten();
    let done = responses.find(|(status, _)| status.starts_with('2'));
    let schema = |of: &Value| of["content"]["application/json"]["schema"].clone();
    let answer = done.map(|(_, response)| schema(response)).unwrap_or_default();
    let body = name_of(&schema(&op["requestBody"]));
    let body = body.map(|name| {
        let mut fields = fields(&document["components"]["schemas"][&name], "");
        fields.sort_by_key(|field| !field.is_required);
        // In a request, null is the same as an absent field.
        fields.iter_mut().for_each(|field| field.kind = field.kind.replace(" or null", ""));
        (name, fields)
    });
    let params = op["parameters"].as_array().into_iter().flatten();
    let example = example_of(method, path);
    let description = text(&op["description"]);
    let (description, scope) = description.rsplit_once("Scope: `").unwrap_or((&description, ""));
    Operation {
        id: text(&op["operationId"]),
        summary: text(&op["summary"]),
        method,
        path: path.to_owned(),
        scope: scope.replace("`.", ""),
        description: html(description),
        params: params.map(param).collect(),
        body,
        status: done.map(|(status, _)| status.clone()).unwrap_or_default(),
        many: answer["$ref"].as_str().is_some_and(|name| name.ends_with("Page")),
        answer: name_of(&answer),
        errors: example.map_or(&[][..], |example| &example.errors).iter().map(refusal).collect(),
        request: example.map_or("", |example| example.request),
        response: example.and_then(|example| example.response),
    }
}

fn refusal(error: &ErrorCode) -> Refusal {
    Refusal { status: error.status, code: error.code, meaning: html(error.meaning) }
}

fn param(param: &Value) -> Field {
    let place = match text(&param["in"]).as_str() {
        "header" => "header",
        "path" => "in the path",
        _ => "in the query",
    };
    let field = field(&text(&param["name"]), &param["schema"], param["required"] == true);
    Field { kind: format!("{}, {place}", field.kind), description: prose(&param["description"]), ..field }
}

/// The fields of an object; `within` is the path of the object.
fn fields(schema: &Value, within: &str) -> Vec<Field> {
    let required = schema["required"].as_array().into_iter().flatten();
    let required: Vec<&str> = required.filter_map(Value::as_str).collect();
    let properties = schema["properties"].as_object().into_iter().flatten();
    let one = |(name, schema): (&String, &Value)| {
        field(&format!("{within}{name}"), schema, required.contains(&name.as_str()))
    };
    properties.map(one).collect()
}

fn field(name: &str, schema: &Value, is_required: bool) -> Field {
    let words = schema["enum"].as_array().or(schema["items"]["enum"].as_array()).into_iter().flatten();
    let described =
        schema["oneOf"].as_array().into_iter().flatten().find(|one| one["description"].is_string());
    Field {
        name: name.to_owned(),
        kind: kind(schema),
        is_required,
        description: prose(&described.unwrap_or(schema)["description"]),
        values: words.filter_map(Value::as_str).map(str::to_owned).collect(),
        default: schema
            .get("default")
            .map(|default| default.as_str().map_or(default.to_string(), str::to_owned)),
        fields: flat(fields(schema, &format!("{name}."))),
    }
}

/// Replaces objects by their fields.
fn flat(fields: Vec<Field>) -> Vec<Field> {
    let parts = |mut field: Field| match std::mem::take(&mut field.fields) {
        inner if inner.is_empty() => vec![field],
        inner => inner,
    };
    fields.into_iter().flat_map(parts).collect()
}

/// A type in words, with its bounds.
fn kind(schema: &Value) -> String {
    if let Some(name) = name_of(schema) {
        return name;
    }
    if let Some(options) = schema["oneOf"].as_array() {
        let options: Vec<String> = options.iter().map(kind).collect();
        return options.join(" or ");
    }
    let types = schema["type"].as_array().cloned().unwrap_or_else(|| vec![schema["type"].clone()]);
    let types: Vec<String> = types.iter().map(text).map(|name| named(&name, schema)).collect();
    let bound = |least: &str, most: &str, unit: &str| match (&schema[least], &schema[most]) {
        (Value::Number(least), Value::Number(most)) => format!(", {least} to {most}{unit}"),
        (Value::Null, Value::Number(most)) => format!(", at most {most}{unit}"),
        (Value::Number(least), Value::Null) => format!(", at least {least}{unit}"),
        _ => String::new(),
    };
    let characters = bound("minLength", "maxLength", " characters");
    format!("{}{}{characters}", types.join(" or "), bound("minimum", "maximum", ""))
}

fn named(name: &str, schema: &Value) -> String {
    match name {
        "array" => format!("list of {}", kind(&schema["items"])),
        "string" if schema["format"] == "date-time" => "time".to_owned(),
        "" => schema["const"].as_str().unwrap_or("any").to_owned(),
        name => name.to_owned(),
    }
}

/// The name of the type that a schema refers to; for a page, that of its items.
fn name_of(schema: &Value) -> Option<String> {
    let name = schema["$ref"].as_str()?.rsplit('/').next()?;
    Some(name.strip_suffix("Page").unwrap_or(name).to_owned())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn prose(value: &Value) -> Rendered {
    html(value.as_str().unwrap_or_default())
}

fn html(markdown: &str) -> Rendered {
    markdown::render(markdown, guides::target).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_and_type_is_on_the_page_and_every_link_leads_there() {
        let html = page(&openapi::document()).render().expect("rendered");
        assert_eq!(html.matches("<article id=").count(), TABLE.len());
        assert_eq!(html.matches("<code>curl ").count(), TABLE.len(), "each operation has a request");
        for link in html.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(html.contains(&format!("id=\"{link}\"")), "{link}");
        }
        for loads in ["<script", "src=\"", "href=\"http", "url("] {
            assert!(!html.contains(loads), "{loads}");
        }
    }
}
