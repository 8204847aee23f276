//! The examples of `docs/api.md`: a request to each operation, and the response to it.
//!
//! Invariant: `docs/api.md` is their only source. A test runs every request and compares the response, so the API
//! reference and the OpenAPI document show only examples that work.

use std::sync::LazyLock;

const GUIDE: &str = include_str!("../../../../../docs/api.md");

/// A section of the guide that has a request.
pub struct Example {
    /// The method, in lower case, and the path of the operation that the section describes; `None` for any other section.
    pub operation: Option<(String, &'static str)>,
    /// The description of the operation, in Markdown.
    pub description: String,
    /// A `curl` command.
    pub request: &'static str,
    /// The status of the response.
    pub status: u16,
    /// The body of the response; `None` if it has none.
    pub response: Option<&'static str>,
    /// The operation's own errors.
    pub errors: Vec<ErrorCode>,
}

/// An error of an operation.
pub struct ErrorCode {
    /// Its status.
    pub status: &'static str,
    /// Its code.
    pub code: &'static str,
    /// Its meaning, in Markdown.
    pub meaning: &'static str,
}

/// Every example, in the order of the guide: a later request may use ids of an earlier response.
pub fn examples() -> &'static [Example] {
    static ALL: LazyLock<Vec<Example>> = LazyLock::new(|| {
        GUIDE.split("\n## ").flat_map(|chapter| chapter.split("\n### ")).filter_map(parse).collect()
    });
    &ALL
}

/// The text of a chapter of the guide that has no operations.
pub(crate) fn chapter(title: &str) -> Option<&'static str> {
    let begins = |chapter: &&str| chapter.strip_prefix(title).is_some_and(|rest| rest.starts_with('\n'));
    GUIDE.split("\n## ").find(begins).map(|chapter| chapter[title.len()..].trim())
}

/// The example of an operation.
pub(crate) fn example_of(method: &str, path: &str) -> Option<&'static Example> {
    let is_it = |example: &&Example| {
        example
            .operation
            .as_ref()
            .is_some_and(|(its_method, its_path)| its_method == method && *its_path == path)
    };
    examples().iter().find(is_it)
}

fn parse(section: &'static str) -> Option<Example> {
    let (text, rest) = section.split_once("\n```sh\n")?;
    let (request, rest) = rest.split_once("\n```\n")?;
    let (status, rest) = rest.split_once("Response `")?.1.split_once('`')?;
    let response = rest.split_once("```json\n").and_then(|(_, json)| json.split_once("\n```"));
    let route = text.split_once("\n\n`").and_then(|(_, route)| route.split_once('`'));
    let operation =
        route.and_then(|(route, _)| route.split_once(' ')).filter(|(_, path)| path.starts_with("/v1/"));
    let lines = text.lines().skip(3).filter(|line| !line.starts_with('|')).collect::<Vec<_>>().join("\n");
    let admin = if text.contains("(admin keys only)") { "\n\nAdmin keys only." } else { "" };
    Some(Example {
        operation: operation.map(|(method, path)| (method.to_lowercase(), path)),
        description: format!("{}{admin}", lines.trim()),
        request,
        status: status.parse().ok()?,
        response: response.map(|(json, _)| json),
        errors: rest.lines().filter_map(error).collect(),
    })
}

/// Parses a line such as "- `409 final`: the callback has ended".
fn error(line: &'static str) -> Option<ErrorCode> {
    let (name, meaning) = line.strip_prefix("- `")?.split_once("`: ")?;
    let (status, code) = name.split_once(' ')?;
    Some(ErrorCode { status, code, meaning })
}
