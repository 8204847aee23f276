//! Parses paged lists.

use super::api::unreadable;
use crate::{
    json::{Names, Object, each_element},
    read_error::ReadError,
};

/// The members of a listed call or chat that are read.
pub(super) const LISTED: Names =
    &["call_id", "chat_id", "agent_id", "to_number", "start_timestamp", "end_timestamp", "metadata"];

/// Calls `each` with the items of a page as raw text, and returns the key of the next page. The bare array of older
/// versions is one page.
pub(super) fn page_of<'a>(text: &'a str, each: impl FnMut(&'a str)) -> Result<Option<String>, ReadError> {
    let Some(page) = Object::parse(text, &["items", "has_more", "pagination_key"]) else {
        return each_element(text, each).map(|()| None).ok_or_else(unreadable);
    };
    let more = page.get::<bool>("has_more").unwrap_or(false);
    let next = page.text("pagination_key").filter(|_| more);
    if more && next.is_none() {
        return Err(unreadable());
    }
    page.raw("items").and_then(|items| each_element(items, each)).map(|()| next).ok_or_else(unreadable)
}
