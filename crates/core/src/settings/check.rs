//! Validation of settings, and its error messages.

use jiff::{
    civil::{Time, Weekday},
    tz::TimeZone,
};
use serde_json::Value;

use super::{Countries, WorkspaceSettings};
use crate::tenant::Limits;

/// An invalid setting, by its path.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct BadSettings {
    /// The path, such as `retry_triggers.busy.wait_minutes`.
    pub field: String,
    /// The problem, and a valid value.
    pub problem: String,
}

pub(super) fn bad<T>(field: &str, problem: impl Into<String>) -> Result<T, BadSettings> {
    Err(BadSettings { field: field.to_owned(), problem: problem.into() })
}

/// Deserializes a document; an error names the invalid field.
pub(super) fn read<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, BadSettings> {
    serde_path_to_error::deserialize(value).map_err(|e| {
        let (field, problem) = parse_problem(&e.path().to_string(), &e.inner().to_string());
        BadSettings { field, problem }
    })
}

const YEAR_OF_MINUTES: u32 = 366 * 24 * 60;

impl WorkspaceSettings {
    /// Validates every value within the limits of a plan.
    pub fn check(&self, limits: &Limits) -> Result<(), BadSettings> {
        if !is_zone(&self.timezone) {
            return bad("timezone", "must be an IANA time zone such as Europe/Berlin");
        }
        if let Some(hours) = &self.quiet_hours {
            for (field, text) in [("quiet_hours.start", &hours.start), ("quiet_hours.end", &hours.end)] {
                if clock(text).is_none() {
                    return bad(field, "must be a time of day such as \"21:00\"");
                }
            }
        }
        let mut days: Vec<Weekday> = self.quiet_days.iter().map(|d| d.weekday()).collect();
        days.sort_by_key(|d| d.to_monday_one_offset());
        days.dedup();
        if days.len() == 7 {
            return bad("quiet_days", "must leave at least one day to call on");
        }
        if !(1..=limits.max_attempts).contains(&self.max_attempts) {
            return bad("max_attempts", format!("must be from 1 to {} on this plan", limits.max_attempts));
        }
        for (field, minutes) in self.minutes() {
            if minutes > YEAR_OF_MINUTES {
                return bad(field, format!("must be at most {YEAR_OF_MINUTES} minutes (a year)"));
            }
        }
        if !(0.0..=1.0).contains(&self.unclear_time.min_confidence) {
            return bad("unclear_time.min_confidence", "must be from 0 to 1");
        }
        if !(0.01..=10_000.0).contains(&self.calls_per_second) {
            return bad("calls_per_second", "must be from 0.01 to 10000");
        }
        self.spoken_hours.check()?;
        self.check_countries()?;
        if self.callback_field.trim().is_empty() || self.callback_field.len() > 200 {
            return bad("callback_field", "must be the name of an extraction, at most 200 characters");
        }
        Ok(())
    }

    fn check_countries(&self) -> Result<(), BadSettings> {
        let Some(Countries::These(codes)) = &self.allowed_countries else { return Ok(()) };
        if codes.is_empty() {
            return bad("allowed_countries", "must contain at least one country; send \"*\" to allow all");
        }
        match codes.iter().find(|code| *code != "*" && !crate::phone::is_country_code(code)) {
            Some(_) => bad(
                "allowed_countries",
                "must contain ISO 3166 alpha-2 codes in capitals, such as \"US\", or be \"*\" for all countries",
            ),
            None => Ok(()),
        }
    }

    fn minutes(&self) -> [(&'static str, u32); 7] {
        let t = &self.retry_triggers;
        [
            ("retry_triggers.voicemail.wait_minutes", t.voicemail.wait_minutes),
            ("retry_triggers.no_answer.wait_minutes", t.no_answer.wait_minutes),
            ("retry_triggers.busy.wait_minutes", t.busy.wait_minutes),
            ("retry_triggers.technical_error.wait_minutes", t.technical_error.wait_minutes),
            ("retry_triggers.conversation_silent.wait_minutes", t.conversation_silent.wait_minutes),
            ("unclear_time.wait_minutes", self.unclear_time.wait_minutes),
            ("missed_after_minutes", self.missed_after_minutes),
        ]
    }
}

/// Restates a parser's message: the field that it is about, and a predicate of that field that names the valid values.
/// The rejected value is left out, because it may be personal data. `path` is where the parser stopped, `.` for the
/// whole document.
pub fn parse_problem(path: &str, message: &str) -> (String, String) {
    // serde names an unknown or a missing field only in the message.
    let named = |prefix: &str| message.strip_prefix(prefix)?.split_once('`');
    let path = if path == "." { "" } else { path };
    let child = |name: &str| match path {
        "" => name.to_owned(),
        path if path == name || path.ends_with(&format!(".{name}")) => path.to_owned(),
        path => format!("{path}.{name}"),
    };
    if let Some((name, _)) = named("missing field `") {
        return (child(name), "is required".to_owned());
    }
    if let Some((name, rest)) = named("unknown field `") {
        let valid = rest.strip_prefix(", expected ").map(|fields| fields.trim_start_matches("one of "));
        return (child(name), format!("does not exist; valid fields: {}", valid.unwrap_or("none")));
    }
    (path.to_owned(), value_problem(message))
}

/// The requirement that a value violates, from a parser's message about it.
fn value_problem(message: &str) -> String {
    const QUOTES_THE_VALUE: [&str; 4] =
        ["invalid type: ", "invalid value: ", "unknown variant `", "invalid length "];
    const OF_TEXTS: [(&str, &str); 6] = [
        ("invalid digit found", "must be a whole number"),
        ("cannot parse integer", "must be a whole number"),
        ("number too large", "must be a smaller number"),
        ("number too small", "must be a larger number"),
        ("invalid float literal", "must be a number"),
        ("provided string was not", "must be true or false"),
    ];
    if let Some((_, problem)) = OF_TEXTS.iter().find(|(start, _)| message.starts_with(start)) {
        return (*problem).to_owned();
    }
    match message.split_once(", expected ") {
        Some((_, expected)) if QUOTES_THE_VALUE.iter().any(|m| message.contains(m)) => {
            format!("must be {expected}")
        }
        _ => message.to_owned(),
    }
}

/// Whether a name is an IANA zone in its exact spelling, except `Etc/Unknown`.
pub fn is_zone(name: &str) -> bool {
    name != "Etc/Unknown" && TimeZone::get(name).is_ok_and(|zone| zone.iana_name() == Some(name))
}

/// A time of day, such as `21:00`.
pub(super) fn clock(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let is_pair = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
    if !is_pair(hour) || !is_pair(minute) {
        return None;
    }
    Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
}
