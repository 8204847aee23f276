//! The settings for understanding spoken times: the language, and the hours that vague words stand for.
//!
//! Invariant: a span that passed [`SpokenHours::check`] contains its nominal time.

use serde::{Deserialize, Serialize};

use super::check::{BadSettings, bad, clock};
use crate::policy::{Hours, Lang, Span};

/// The language of calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Detected, English first.
    #[default]
    Auto,
    /// English.
    En,
    /// Spanish.
    Es,
}

impl Language {
    pub(super) const fn lang(self) -> Option<Lang> {
        match self {
            Self::Auto => None,
            Self::En => Some(Lang::En),
            Self::Es => Some(Lang::Es),
        }
    }
}

/// The hours of vague words, each as `{"from","to","nominal"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpokenHours {
    day: SpokenSpan,
    morning: SpokenSpan,
    lunch: SpokenSpan,
    after_lunch: SpokenSpan,
    afternoon: SpokenSpan,
    end_of_day: SpokenSpan,
    evening: SpokenSpan,
    night: SpokenSpan,
    after_dinner: SpokenSpan,
}

/// Times within one day, such as `"13:30"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SpokenSpan {
    from: String,
    to: String,
    nominal: String,
}

impl Default for SpokenHours {
    fn default() -> Self {
        let hours = Hours::default();
        Self {
            day: SpokenSpan::from_span(hours.day),
            morning: SpokenSpan::from_span(hours.morning),
            lunch: SpokenSpan::from_span(hours.lunch),
            after_lunch: SpokenSpan::from_span(hours.after_lunch),
            afternoon: SpokenSpan::from_span(hours.afternoon),
            end_of_day: SpokenSpan::from_span(hours.end_of_day),
            evening: SpokenSpan::from_span(hours.evening),
            night: SpokenSpan::from_span(hours.night),
            after_dinner: SpokenSpan::from_span(hours.after_dinner),
        }
    }
}

impl SpokenHours {
    pub(super) fn check(&self) -> Result<(), BadSettings> {
        let spans = [
            ("day", &self.day),
            ("morning", &self.morning),
            ("lunch", &self.lunch),
            ("after_lunch", &self.after_lunch),
            ("afternoon", &self.afternoon),
            ("end_of_day", &self.end_of_day),
            ("evening", &self.evening),
            ("night", &self.night),
            ("after_dinner", &self.after_dinner),
        ];
        spans.into_iter().try_for_each(|(name, span)| span.check(&format!("spoken_hours.{name}")))
    }

    /// The hours as the parser takes them; a span with an invalid time falls back to its default.
    pub(super) fn hours(&self) -> Hours {
        let usual = Hours::default();
        Hours {
            day: self.day.span(usual.day),
            morning: self.morning.span(usual.morning),
            lunch: self.lunch.span(usual.lunch),
            after_lunch: self.after_lunch.span(usual.after_lunch),
            afternoon: self.afternoon.span(usual.afternoon),
            end_of_day: self.end_of_day.span(usual.end_of_day),
            evening: self.evening.span(usual.evening),
            night: self.night.span(usual.night),
            after_dinner: self.after_dinner.span(usual.after_dinner),
        }
    }
}

impl SpokenSpan {
    fn from_span(span: Span) -> Self {
        let text = |minutes: i32| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        Self { from: text(span.from), to: text(span.to), nominal: text(span.nominal) }
    }

    fn check(&self, path: &str) -> Result<(), BadSettings> {
        for (field, text) in [("from", &self.from), ("to", &self.to), ("nominal", &self.nominal)] {
            if minute(text).is_none() {
                return bad(
                    &format!("{path}.{field}"),
                    format!("must be a time of day such as \"13:30\", not `{text}`"),
                );
            }
        }
        let (from, to, nominal) = (minute(&self.from), minute(&self.to), minute(&self.nominal));
        if from >= to {
            return bad(&format!("{path}.to"), "must be later than `from`");
        }
        if nominal < from || nominal > to {
            return bad(&format!("{path}.nominal"), "must lie between `from` and `to`");
        }
        Ok(())
    }

    fn span(&self, usual: Span) -> Span {
        let read = || {
            Some(Span { from: minute(&self.from)?, to: minute(&self.to)?, nominal: minute(&self.nominal)? })
        };
        read().unwrap_or(usual)
    }
}

fn minute(text: &str) -> Option<i32> {
    clock(text).map(|time| i32::from(time.hour()) * 60 + i32::from(time.minute()))
}
