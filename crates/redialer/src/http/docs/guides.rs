//! `/docs`: the guides of `docs/` as pages. They use no script and load nothing, so they work offline.
//!
//! Invariants: the pages show the files of the repository; raw HTML in them is shown as text. Links to files without a
//! page are removed.

use std::{collections::BTreeMap, fmt, sync::LazyLock};

use askama::{FastWritable, NO_VALUES, Template, filters::HtmlSafe};
use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{Html, IntoResponse as _, Response},
};
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

use crate::http::error::ApiError;

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
/// Pages run no script and load nothing.
const CSP: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";
/// Files of the repository whose page has another name.
const ELSEWHERE: [(&str, &str); 1] = [("api.md", "rest")];

#[derive(Template)]
#[template(path = "guide.html")]
struct Page {
    title: &'static str,
    links: Vec<Link>,
    body: Rendered,
}

struct Link {
    title: &'static str,
    href: String,
    here: bool,
}

/// HTML rendered here, from Markdown whose raw HTML was escaped.
struct Rendered(String);

impl HtmlSafe for Rendered {}

impl fmt::Display for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FastWritable for Rendered {
    fn write_into(&self, dest: &mut dyn fmt::Write, _: &dyn askama::Values) -> askama::Result<()> {
        Ok(dest.write_str(&self.0)?)
    }
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
    static PAGE: LazyLock<String> = LazyLock::new(|| laid_out("", "Home", Rendered(BODY.to_owned())));
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
    laid_out(name, title, Rendered(rendered(text)))
}

fn laid_out(name: &str, title: &'static str, body: Rendered) -> String {
    let link = |(other, title, _): &(&str, &'static str, &str)| Link {
        title,
        href: format!("/docs/{other}"),
        here: *other == name,
    };
    let mut links: Vec<Link> = GUIDES.iter().map(link).collect();
    links.push(Link { title: "API reference", href: "/docs/api".to_owned(), here: false });
    let page = Page { title, links, body };
    page.render_with_values(NO_VALUES).unwrap_or_default()
}

fn rendered(text: &str) -> String {
    let mut no_link = 0;
    let events = Parser::new_ext(text, Options::ENABLE_TABLES).filter_map(|event| match event {
        Event::Html(text) | Event::InlineHtml(text) => Some(Event::Text(text)),
        // Tables may be wider than a phone's screen; they scroll on their own.
        Event::Start(Tag::Table(_)) => {
            Some(Event::Html(CowStr::Borrowed("<div class=\"wide\" tabindex=\"0\"><table>")))
        }
        Event::End(TagEnd::Table) => Some(Event::Html(CowStr::Borrowed("</tbody></table></div>"))),
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => match target(&dest_url) {
            Some(dest_url) => {
                let dest_url = dest_url.into();
                Some(Event::Start(Tag::Link { link_type, dest_url, title, id }))
            }
            None => {
                no_link += 1;
                None
            }
        },
        Event::End(TagEnd::Link) if no_link > 0 => {
            no_link -= 1;
            None
        }
        other => Some(other),
    });
    let mut html = String::with_capacity(text.len() * 2);
    html::push_html(&mut html, events);
    html
}

/// The page that a link in the repository's files leads to here.
fn target(file: &str) -> Option<String> {
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
                let page = link.trim_start_matches("/docs/").split('#').next().unwrap_or_default();
                assert!(page == "api" || GUIDES.iter().any(|(known, ..)| *known == page), "{name}: {link}");
            }
            assert!(!html.contains("<script") && !html.contains("src=\""), "{name}");
            assert_eq!(html.matches("<table>").count(), html.matches("</table>").count(), "{name}");
        }
    }

    #[test]
    fn html_in_a_guide_is_text() {
        assert_eq!(rendered("a <b>c</b> [d](../ARCHITECTURE.md)").trim(), "<p>a &lt;b&gt;c&lt;/b&gt; d</p>");
    }
}
