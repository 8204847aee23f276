//! Renders Markdown as HTML: raw HTML becomes text, headings get ids, and tables can be shown as lists on a phone.

use std::fmt;

use askama::{FastWritable, filters::HtmlSafe};
use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

/// HTML that was rendered here, with everything in it escaped.
pub(crate) struct Rendered(String);

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

impl Rendered {
    /// The title of a page, and its body; the title is empty if there is none.
    pub(crate) fn split_title(self) -> (Self, Self) {
        let at = self.0.find("</h1>\n").map_or(0, |at| at + "</h1>\n".len());
        let (title, body) = self.0.split_at(at);
        (Self(title.to_owned()), Self(body.to_owned()))
    }
}

/// A heading below the title of a page.
pub(crate) struct Heading {
    pub(crate) id: String,
    pub(crate) title: String,
    /// Whether it is a section of a section.
    pub(crate) is_nested: bool,
}

/// A page of Markdown. `target` maps the links; a link without a target becomes text.
pub(crate) fn render(text: &str, target: impl Fn(&str) -> Option<String>) -> (Rendered, Vec<Heading>) {
    let mut events: Vec<Event<'_>> = Parser::new_ext(text, Options::ENABLE_TABLES).collect();
    let headings = name_headings(&mut events);
    let (mut links, mut table) = (Links { target, without: 0 }, Table::default());
    let events = events.into_iter().filter_map(|event| links.map(event)).map(|event| table.map(event));
    let mut html = String::with_capacity(text.len() * 2);
    html::push_html(&mut html, events);
    (Rendered(html), headings)
}

/// HTML written in this crate, not by its users.
pub(crate) const fn trusted(html: String) -> Rendered {
    Rendered(html)
}

/// Gives each heading below the title an id made of its words.
fn name_headings(events: &mut [Event<'_>]) -> Vec<Heading> {
    let mut headings = Vec::new();
    for start in 0..events.len() {
        let text: String = events[start + 1..].iter().map_while(text_of).collect();
        let Event::Start(Tag::Heading { level, id, .. }) = &mut events[start] else { continue };
        let is_word = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        let name = text.to_lowercase().chars().filter(is_word).collect::<String>().replace(' ', "-");
        if *level > HeadingLevel::H1 {
            *id = Some(CowStr::from(name.clone()));
            headings.push(Heading { id: name, title: text, is_nested: *level > HeadingLevel::H2 });
        }
    }
    headings
}

/// The text of a part of a heading; `None` at its end.
fn text_of<'e>(event: &'e Event<'_>) -> Option<&'e str> {
    match event {
        Event::End(TagEnd::Heading(_)) => None,
        Event::Text(text) | Event::Code(text) => Some(text),
        _ => Some(""),
    }
}

struct Links<F> {
    target: F,
    /// The number of open links that have no target.
    without: usize,
}

impl<F: Fn(&str) -> Option<String>> Links<F> {
    fn map<'e>(&mut self, event: Event<'e>) -> Option<Event<'e>> {
        match event {
            Event::Html(text) | Event::InlineHtml(text) => Some(Event::Text(text)),
            Event::Start(Tag::Link { link_type, dest_url, title, id }) => match (self.target)(&dest_url) {
                Some(target) => {
                    Some(Event::Start(Tag::Link { link_type, dest_url: target.into(), title, id }))
                }
                None => {
                    self.without += 1;
                    None
                }
            },
            Event::End(TagEnd::Link) if self.without > 0 => {
                self.without -= 1;
                None
            }
            other => Some(other),
        }
    }
}

/// The open table. Each cell has the title of its column, which a narrow page shows in front of it.
#[derive(Default)]
struct Table {
    columns: Vec<String>,
    column: usize,
    is_head: bool,
}

impl Table {
    fn map<'e>(&mut self, event: Event<'e>) -> Event<'e> {
        match &event {
            Event::Start(Tag::Table(_)) => {
                self.columns.clear();
                return Event::Html(CowStr::Borrowed("<div class=\"wide\" tabindex=\"0\"><table>"));
            }
            Event::End(TagEnd::Table) => return Event::Html(CowStr::Borrowed("</tbody></table></div>\n")),
            Event::Start(Tag::TableHead) => self.is_head = true,
            Event::End(TagEnd::TableHead) => self.is_head = false,
            Event::Start(Tag::TableRow) => self.column = 0,
            Event::Start(Tag::TableCell) if self.is_head => self.columns.push(String::new()),
            Event::Start(Tag::TableCell) => {
                let title = self.columns.get(self.column).map_or("", String::as_str);
                self.column += 1;
                return Event::Html(format!("<td data-title=\"{}\">", escaped(title)).into());
            }
            Event::End(TagEnd::TableCell) if !self.is_head => return Event::Html(CowStr::Borrowed("</td>")),
            Event::Text(text) | Event::Code(text) if self.is_head => {
                self.columns.last_mut().into_iter().for_each(|title| title.push_str(text));
            }
            _ => {}
        }
        event
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_is_text_and_a_link_without_a_target_too() {
        let (html, _) = render("a <b>c</b> [d](../ARCHITECTURE.md)", |_| None);
        assert_eq!(html.to_string().trim(), "<p>a &lt;b&gt;c&lt;/b&gt; d</p>");
    }

    #[test]
    fn headings_have_ids_and_cells_the_titles_of_their_columns() {
        let (html, headings) =
            render("# T\n\n## Needs `x`: a look\n\n| a | b |\n|---|---|\n| 1 | 2 |\n", |_| None);
        assert_eq!(
            headings.iter().map(|h| (h.id.as_str(), h.title.as_str())).collect::<Vec<_>>(),
            [("needs-x-a-look", "Needs x: a look")]
        );
        let html = html.to_string();
        assert!(html.contains("<h2 id=\"needs-x-a-look\">"), "{html}");
        assert!(html.contains("<td data-title=\"b\">2</td>"), "{html}");
    }
}
