//! Paginated lists: newest first, with an opaque cursor for the next page.
//!
//! Invariant: a cursor holds only the key of the last row shown; anything else is an error.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use redialer_core::{Id, Timestamp, time::from_ms};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use crate::http::error::ApiError;

const DEFAULT: i64 = 50;
const MAX_PAGE_SIZE: i64 = 200;

/// The query parameters of a list without filters.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    limit: Option<i64>,
    cursor: Option<String>,
}

impl ListQuery {
    pub(crate) fn page_request<N>(&self) -> Result<PageRequest<N>, ApiError> {
        PageRequest::read(self.limit, self.cursor.as_deref())
    }

    /// Whether this is a later page than the first.
    pub(crate) const fn goes_on(&self) -> bool {
        self.cursor.is_some()
    }
}

/// One page of a list.
#[derive(Serialize)]
pub(crate) struct Page<T> {
    data: Vec<T>,
    next_cursor: Option<String>,
}

/// The number of rows, and the row before which they start.
pub(crate) struct PageRequest<N> {
    pub(crate) limit: i64,
    pub(crate) before: (Timestamp, Id<N>),
}

impl<N> PageRequest<N> {
    pub(crate) fn read(limit: Option<i64>, cursor: Option<&str>) -> Result<Self, ApiError> {
        let limit = limit.unwrap_or(DEFAULT);
        if !(1..=MAX_PAGE_SIZE).contains(&limit) {
            return Err(ApiError::invalid("limit", format!("must be from 1 to {MAX_PAGE_SIZE}")));
        }
        let first = (Timestamp::MAX, Id::from_uuid(uuid::Uuid::max()));
        let before = match cursor {
            None => first,
            Some(text) => decode(text).ok_or_else(not_a_cursor)?,
        };
        Ok(Self { limit, before })
    }
}

/// 422: a cursor that is not from this list.
pub(crate) fn not_a_cursor() -> ApiError {
    ApiError::invalid("cursor", "is not a cursor of this list")
}

impl<T> Page<T> {
    /// Builds a page. `rows` contains one row more than requested if there are more.
    pub(crate) fn from_rows<R, N>(
        mut rows: Vec<R>,
        page_request: &PageRequest<N>,
        key: impl Fn(&R) -> (Timestamp, Id<N>),
        show: impl FnMut(R) -> T,
    ) -> Self {
        let more = rows.len() as i64 > page_request.limit;
        rows.truncate(usize::try_from(page_request.limit).unwrap_or(usize::MAX));
        let next_cursor = rows.last().filter(|_| more).map(|last| encode(key(last)));
        Self { data: rows.into_iter().map(show).collect(), next_cursor }
    }

    /// The items, and the cursor of the next page.
    pub(crate) fn into_parts(self) -> (Vec<T>, Option<String>) {
        (self.data, self.next_cursor)
    }

    /// A page with all items and no cursor.
    pub(crate) const fn complete(data: Vec<T>) -> Self {
        Self { data, next_cursor: None }
    }
}

fn encode<N>((at, id): (Timestamp, Id<N>)) -> String {
    let mut bytes = at.as_millisecond().to_be_bytes().to_vec();
    bytes.extend_from_slice(id.uuid().as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode<N>(text: &str) -> Option<(Timestamp, Id<N>)> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (ms, id) = bytes.split_at_checked(8)?;
    let at = from_ms(i64::from_be_bytes(ms.try_into().ok()?))?;
    Some((at, Id::from_uuid(uuid::Uuid::from_slice(id).ok()?)))
}
