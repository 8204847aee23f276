//! `/docs`: the guides of `docs/` as pages. They use no script and load nothing, so they work offline.
//!
//! Invariants: the pages show the files of the repository; raw HTML in them is shown as text. Links to files without a
//! page are removed.

use std::{collections::BTreeMap, sync::LazyLock};

use askama::{NO_VALUES, Template};
use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{Html, IntoResponse as _, Response},
};

use crate::http::{
    docs::markdown::{self, Heading, Rendered},
    error::ApiError,
};

/// The guides in reading order: page name, title, text.
const GUIDES: [(&str, &str, &str); 10] = [
    ("getting-started", "Getting started", include_str!("../../../../../docs/getting-started.md")),
    ("concepts", "Concepts", include_str!("../../../../../docs/concepts.md")),
    ("rest", "REST API", include_str!("../../../../../docs/api.md")),
    ("when", "Spoken times", include_str!("../../../../../docs/when.md")),
    redialer_providers::GUIDES[0],
    ("configuration", "Configuration", include_str!("../../../../../docs/configuration.md")),
    ("operations", "Operations", include_str!("../../../../../docs/operations.md")),
    ("simulator", "Retell simulator", include_str!("../../../../../docs/simulator.md")),
    ("glossary", "Glossary", include_str!("../../../../../docs/glossary.md")),
    ("failure-model", "Failure model", include_str!("../../../../../docs/failure-model.md")),
];
/// The least number of headings for which a page has a table of contents.
const MIN_HEADINGS: usize = 6;
/// Pages run no script and load nothing.
const CSP: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";
/// Files of the repository whose page has another name.
const ELSEWHERE: [(&str, &str); 1] = [("api.md", "rest")];

#[derive(Template)]
#[template(path = "guide.html")]
struct Page {
    title: &'static str,
    links: Vec<Link>,
    /// The sections of the page; empty if it is short.
    headings: Vec<Heading>,
    /// The first heading.
    heading: Rendered,
    body: Rendered,
}

struct Link {
    title: &'static str,
    href: String,
    here: bool,
}

/// `GET /docs`: the first guide.
pub(crate) async fn first() -> Response {
    page(GUIDES[0].0)
}

/// `GET /docs/{page}`.
pub(crate) async fn show(Path(name): Path<String>) -> Response {
    page(&name)
}

/// `GET /`: links to everything this server offers.
pub(crate) async fn home() -> Response {
    const BODY: &str = "<h1>redialer</h1>
<p>This server schedules callbacks for voice-AI agents. There is no dashboard yet: use the REST API and the command line.</p>
<ul>
<li><a href=\"/docs\">Guides</a></li>
<li><a href=\"/docs/api\">API reference</a>, <a href=\"/v1/openapi.json\">OpenAPI document</a></li>
<li><a href=\"/healthz\">Liveness</a>, <a href=\"/readyz\">readiness</a></li>
</ul>";
    static PAGE: LazyLock<String> =
        LazyLock::new(|| laid_out("", "Home", markdown::trusted(BODY.to_owned()), Vec::new()));
    sent(&PAGE)
}

fn page(name: &str) -> Response {
    static PAGES: LazyLock<BTreeMap<&str, String>> = LazyLock::new(|| {
        GUIDES.iter().map(|(name, title, text)| (*name, whole(name, title, text))).collect()
    });
    let Some(html) = PAGES.get(name) else {
        return ApiError::new(StatusCode::NOT_FOUND, "not_found", "There is no such page.").into_response();
    };
    sent(html)
}

/// The response with a page.
pub(crate) fn sent(html: &'static str) -> Response {
    ([(header::CONTENT_SECURITY_POLICY, CSP)], Html(html)).into_response()
}

fn whole(name: &str, title: &'static str, text: &str) -> String {
    let (body, mut headings) = markdown::render(text, target);
    if headings.len() < MIN_HEADINGS {
        headings.clear();
    }
    laid_out(name, title, body, headings)
}

fn laid_out(name: &str, title: &'static str, body: Rendered, headings: Vec<Heading>) -> String {
    let link = |(other, title, _): &(&str, &'static str, &str)| Link {
        title,
        href: format!("/docs/{other}"),
        here: *other == name,
    };
    let mut links: Vec<Link> = GUIDES.iter().map(link).collect();
    links.push(Link { title: "API reference", href: "/docs/api".to_owned(), here: false });
    let (heading, body) = body.split_title();
    let page = Page { title, links, headings, heading, body };
    page.render_with_values(NO_VALUES).unwrap_or_default()
}

/// The page that a link in the repository's files leads to here.
pub(crate) fn target(file: &str) -> Option<String> {
    if file.starts_with('#') {
        return Some(file.to_owned());
    }
    let (file, place) = file.split_once('#').map_or((file, String::new()), |(f, p)| (f, format!("#{p}")));
    let file = file.trim_start_matches("../").trim_start_matches("docs/");
    let named = ELSEWHERE.iter().find(|(known, _)| *known == file).map(|(_, name)| *name);
    let name = named.or_else(|| file.trim_start_matches("providers/").strip_suffix(".md"))?;
    GUIDES.iter().any(|(known, ..)| *known == name).then(|| format!("/docs/{name}{place}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guide_is_a_page_whose_links_lead_to_pages_and_which_needs_nothing_else() {
        for (name, title, text) in GUIDES {
            let html = whole(name, title, text);
            assert!(html.contains("<h1>") && html.contains("aria-current=\"page\""), "{name}");
            for link in html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
                let (page, place) = link.split_once('#').unwrap_or((link, ""));
                let page = if page.is_empty() { name } else { page.trim_start_matches("/docs/") };
                let Some((_, _, text)) = GUIDES.iter().find(|(known, ..)| *known == page) else {
                    assert_eq!(page, "api", "{name}: {link}");
                    continue;
                };
                let (_, headings) = markdown::render(text, target);
                assert!(place.is_empty() || headings.iter().any(|h| h.id == place), "{name}: {link}");
            }
            assert!(!html.contains("<script") && !html.contains("src=\""), "{name}");
            assert_eq!(html.matches("<table>").count(), html.matches("</table>").count(), "{name}");
        }
    }
}
