//! Finds the listed call or chat that a dispatch became.
//!
//! Invariant: a possible match that does not show its dispatch leaves doubt; only a list without any possible match
//! proves absence.

use jiff::{SignedDuration, Timestamp};
use redialer_core::{agent::Channel, decide::Finding, time::plus};

use super::{facts::time, pages::LISTED};
use crate::json::Object;

/// How far the provider's clock may be behind ours, even if our database server's clock is wrong.
const SKEW: SignedDuration = SignedDuration::from_mins(15);

/// The search over the pages read so far.
pub(super) struct Search<'a> {
    channel: Channel,
    dispatch: &'a str,
    to: &'a str,
    sent_at: Timestamp,
    call_id: Option<String>,
    /// The id of a call that hides its metadata but matches in everything else.
    fits: Option<String>,
    /// Whether there are possible matches.
    doubt: bool,
}

/// Whose dispatch an item's metadata names.
enum Whose {
    Ours,
    Another,
    NotShown,
}

impl<'a> Search<'a> {
    pub(super) const fn new(channel: Channel, dispatch: &'a str, to: &'a str, sent_at: Timestamp) -> Self {
        Self { channel, dispatch, to, sent_at, call_id: None, fits: None, doubt: false }
    }

    /// Examines one item of the list, as raw text.
    pub(super) fn look_at(&mut self, raw: &str) {
        let Some(item) = Object::parse(raw, LISTED) else {
            self.doubt = true;
            return;
        };
        let id = item.text(match self.channel {
            Channel::Voice => "call_id",
            Channel::Chat => "chat_id",
        });
        match (self.whose(&item), self.channel) {
            (Whose::Another, _) => {}
            (Whose::Ours, _) => {
                self.doubt |= id.is_none();
                self.call_id = self.call_id.take().or(id);
            }
            (Whose::NotShown, Channel::Voice) => self.unshown_call(&item, id),
            // Every chat with this number is listed: one that started earlier cannot be it.
            (Whose::NotShown, Channel::Chat) => self.doubt |= self.may_have_begun_since(&item),
        }
    }

    /// The list contains only calls that the provider found by this dispatch in their metadata. A single one is that
    /// call if everything it shows matches.
    fn unshown_call(&mut self, item: &Object<'_>, id: Option<String>) {
        let agrees = item.text("to_number").as_deref() == Some(self.to) && self.may_have_begun_since(item);
        match id.filter(|_| agrees && self.fits.is_none()) {
            Some(id) => self.fits = Some(id),
            None => self.doubt = true,
        }
    }

    fn may_have_begun_since(&self, item: &Object<'_>) -> bool {
        time(item, "start_timestamp").is_none_or(|began| plus(began, SKEW) >= self.sent_at)
    }

    fn whose(&self, item: &Object<'_>) -> Whose {
        let Some(raw) = item.raw("metadata") else { return Whose::NotShown };
        let Some(metadata) = Object::parse(raw, &["redialer_dispatch"]) else { return Whose::NotShown };
        match metadata.text("redialer_dispatch") {
            Some(dispatch) if dispatch == self.dispatch => Whose::Ours,
            Some(_) => Whose::Another,
            // Empty metadata may be hidden; any other metadata belongs to another dispatch.
            None if raw.trim_matches(['{', '}']).trim().is_empty() => Whose::NotShown,
            None => Whose::Another,
        }
    }

    pub(super) const fn is_found(&self) -> bool {
        self.call_id.is_some()
    }

    /// The finding, after the whole list was read.
    pub(super) fn finding(self) -> Finding {
        match (self.call_id, self.fits) {
            (Some(id), _) => Finding::Call(id),
            (None, _) if self.doubt => Finding::NoAnswer,
            (None, Some(id)) => Finding::Call(id),
            (None, None) => Finding::Absent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT_AT_MS: i64 = 1_757_500_000_000;

    fn check(channel: Channel, items: &[&str], want: Finding) {
        let sent_at = Timestamp::from_millisecond(SENT_AT_MS).expect("a time");
        let mut search = Search::new(channel, "dp_1", "+13125550142", sent_at);
        for item in items {
            search.look_at(item);
        }
        assert_eq!(search.finding(), want, "{channel:?} {items:?}");
    }

    fn call(id: &str) -> Finding {
        Finding::Call(id.to_owned())
    }

    #[test]
    fn a_call_is_found_by_its_metadata() {
        let ours = r#"{"call_id":"c1","metadata":{"redialer_dispatch":"dp_1"}}"#;
        let another = r#"{"call_id":"c2","metadata":{"redialer_dispatch":"dp_2"}}"#;
        let users = r#"{"call_id":"c3","metadata":{"crm":7}}"#;
        check(Channel::Voice, &[another, users, ours], call("c1"));
        check(Channel::Voice, &[another, users], Finding::Absent);
        check(Channel::Voice, &[], Finding::Absent);
        let nameless = r#"{"metadata":{"redialer_dispatch":"dp_1"}}"#;
        check(Channel::Voice, &[nameless], Finding::NoAnswer);
    }

    #[test]
    fn the_only_call_behind_the_filter_needs_no_metadata_if_all_else_agrees() {
        let bare = r#"{"call_id":"c1","to_number":"+13125550142"}"#;
        check(Channel::Voice, &[bare], call("c1"));
        check(
            Channel::Voice,
            &[bare, r#"{"call_id":"c2","metadata":{"redialer_dispatch":"dp_2"}}"#],
            call("c1"),
        );
        check(
            Channel::Voice,
            &[bare, r#"{"call_id":"c2","metadata":{"redialer_dispatch":"dp_1"}}"#],
            call("c2"),
        );
        for doubtful in [
            &[bare, r#"{"call_id":"c2","to_number":"+13125550142","metadata":{}}"#][..],
            &[r#"{"call_id":"c1"}"#],
            &[r#"{"call_id":"c1","to_number":"+13125550143","metadata":null}"#],
            &[r#"{"to_number":"+13125550142","metadata":"text"}"#],
            &[r#"{"call_id":"c1","to_number":"+13125550142","start_timestamp":1757400000000}"#],
            &["7"],
            &[bare, "7"],
        ] {
            check(Channel::Voice, doubtful, Finding::NoAnswer);
        }
    }

    #[test]
    fn a_chat_begun_since_that_does_not_show_its_metadata_is_doubt() {
        let began = |ms: i64| format!(r#"{{"chat_id":"c1","start_timestamp":{ms}}}"#);
        check(Channel::Chat, &[&began(SENT_AT_MS + 60_000)], Finding::NoAnswer);
        check(Channel::Chat, &[&began(SENT_AT_MS - 14 * 60_000)], Finding::NoAnswer);
        check(Channel::Chat, &[&began(SENT_AT_MS - 16 * 60_000)], Finding::Absent);
        check(Channel::Chat, &[r#"{"chat_id":"c1","metadata":{ }}"#], Finding::NoAnswer);
        let users = r#"{"chat_id":"c1","start_timestamp":1757500001000,"metadata":{"crm":7}}"#;
        check(Channel::Chat, &[users], Finding::Absent);
        let ours = r#"{"chat_id":"c2","metadata":{"redialer_dispatch":"dp_1"}}"#;
        check(Channel::Chat, &[&began(SENT_AT_MS + 1), ours], call("c2"));
    }
}
