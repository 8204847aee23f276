//! A workspace's settings as the JSON document that the API shows and the database keeps.
//!
//! Invariant: a document that was stored has passed [`Defaults::check`], alone and under every agent's
//! overrides. An agent's overrides are a merge patch (RFC 7396) over its workspace's defaults.

use jiff::{
    civil::{Time, Weekday},
    tz::TimeZone,
};
use redialer_core::{
    policy::{MissedAction, Policy, Retries, Retry, Unclear, UnclearAction},
    tenant::Limits,
    time::minutes,
    windows::Quiet,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::spoken::{Language, SpokenHours};

/// Everything a workspace may set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// IANA name.
    pub timezone: String,
    /// When retries do not ring.
    pub quiet_hours: Option<QuietHours>,
    /// Days on which retries do not ring.
    pub quiet_days: Vec<Day>,
    /// Most dials in one chain.
    pub max_attempts: u32,
    /// What follows a call that reached nobody.
    pub retry_triggers: RetryTriggers,
    /// What follows a request without a usable time.
    pub unclear_time: UnclearTime,
    /// What vague words like "after lunch" stand for.
    #[serde(default)]
    pub spoken_hours: SpokenHours,
    /// What calls are held in.
    #[serde(default)]
    pub language: Language,
    /// A callback later than this ends as expired.
    pub missed_after_minutes: u32,
    /// Or, if that is wanted, is planned anew.
    #[serde(default)]
    pub missed_action: Missed,
    /// The extraction that asks for a callback.
    pub callback_field: String,
    /// Whether the provider's own "asked for a callback" counts.
    pub user_requested_callback: bool,
    /// Whether numbers that were only spoken may be dialled.
    pub spoken_numbers: bool,
    /// Call starts a second.
    pub calls_per_second: f64,
}

/// What becomes of a callback that was missed by too much.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missed {
    /// It ends as expired.
    #[default]
    Expire,
    /// It is dialled at the same time of day, as soon as that comes again.
    Replan,
}

/// `{"start":"21:00","end":"09:00"}`, over midnight when the start is later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    start: String,
    end: String,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Day {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

/// Each trigger's switch and delay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryTriggers {
    voicemail: RetryTrigger,
    no_answer: RetryTrigger,
    busy: RetryTrigger,
    technical_error: RetryTrigger,
    conversation_silent: RetryTrigger,
}

/// One trigger's switch and delay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryTrigger {
    enabled: bool,
    wait_minutes: u32,
}

/// What to do without a usable time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnclearTime {
    action: Action,
    wait_minutes: u32,
    min_confidence: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Delay,
    Hold,
    Schedule,
}

/// How long captured payloads are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// `default` or `minimal`.
    pub level: Level,
    /// Days.
    pub days: u32,
}

/// See [`Retention::level`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Everything, for the days set.
    Default,
    /// Nothing personal beyond the callback's end.
    Minimal,
}

impl Default for Retention {
    fn default() -> Self {
        Self { level: Level::Default, days: 30 }
    }
}

impl Retention {
    /// This with a patch laid over it, naming the field that does not fit.
    pub fn patched(&self, patch: &Value) -> Result<Self, BadSettings> {
        let mut document = serde_json::to_value(self).unwrap_or(Value::Null);
        merge(&mut document, patch);
        let retention: Self = read(document)?;
        if !(1..=3650).contains(&retention.days) {
            return bad("days", "must be from 1 to 3650");
        }
        Ok(retention)
    }
}

/// Reads a document, naming the field that does not fit.
fn read<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, BadSettings> {
    serde_path_to_error::deserialize(value).map_err(|e| {
        let path = e.path().to_string();
        BadSettings {
            field: if path == "." { String::new() } else { path },
            problem: unquoted(&e.inner().to_string()),
        }
    })
}

/// A setting that cannot be, by its path.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct BadSettings {
    /// The path, as `retry_triggers.busy.wait_minutes`.
    pub field: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}

pub(crate) fn bad<T>(field: &str, problem: impl Into<String>) -> Result<T, BadSettings> {
    Err(BadSettings { field: field.to_owned(), problem: problem.into() })
}

const YEAR_OF_MINUTES: u32 = 366 * 24 * 60;

impl Defaults {
    /// What a new workspace within those limits starts with.
    pub fn of_plan(limits: &Limits) -> Self {
        let policy = Policy::default();
        let trigger = |r: Retry| RetryTrigger { enabled: r.enabled, wait_minutes: r.wait.as_mins() as u32 };
        Self {
            timezone: policy.timezone,
            quiet_hours: None,
            quiet_days: Vec::new(),
            max_attempts: limits.default_attempts,
            retry_triggers: RetryTriggers {
                voicemail: trigger(policy.retries.voicemail),
                no_answer: trigger(policy.retries.no_answer),
                busy: trigger(policy.retries.busy),
                technical_error: trigger(policy.retries.technical_error),
                conversation_silent: trigger(policy.retries.conversation_silent),
            },
            unclear_time: UnclearTime {
                action: Action::Delay,
                wait_minutes: policy.unclear.wait.as_mins() as u32,
                min_confidence: policy.unclear.min_confidence,
            },
            spoken_hours: SpokenHours::default(),
            language: Language::Auto,
            missed_after_minutes: policy.missed_after.as_mins() as u32,
            missed_action: Missed::Expire,
            callback_field: policy.callback_field,
            user_requested_callback: policy.provider_requests,
            spoken_numbers: policy.spoken_numbers,
            calls_per_second: policy.calls_per_second,
        }
    }

    /// Reads a document, naming the field that does not fit.
    pub fn from_value(value: Value) -> Result<Self, BadSettings> {
        read(value)
    }

    /// This document with a patch laid over it.
    pub fn patched(&self, patch: &Value) -> Result<Self, BadSettings> {
        let mut document = self.to_value();
        merge(&mut document, patch);
        Self::from_value(document)
    }

    /// The document.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }

    /// Checks every value against what it may be within those limits.
    pub fn check(&self, limits: &Limits) -> Result<(), BadSettings> {
        if TimeZone::get(&self.timezone).is_err() {
            return bad("timezone", "is not an IANA time zone, as Europe/Berlin");
        }
        if let Some(hours) = &self.quiet_hours {
            for (field, text) in [("quiet_hours.start", &hours.start), ("quiet_hours.end", &hours.end)] {
                if clock(text).is_none() {
                    return bad(field, "is not a time of day, as \"21:00\"");
                }
            }
        }
        let mut days: Vec<Weekday> = self.quiet_days.iter().map(|d| d.weekday()).collect();
        days.sort_by_key(|d| d.to_monday_one_offset());
        days.dedup();
        if days.len() == 7 {
            return bad("quiet_days", "at least one day must be left to call on");
        }
        if !(1..=limits.max_attempts).contains(&self.max_attempts) {
            return bad("max_attempts", format!("must be from 1 to {} on this plan", limits.max_attempts));
        }
        for (field, minutes) in self.minutes() {
            if minutes > YEAR_OF_MINUTES {
                return bad(field, format!("must be at most {YEAR_OF_MINUTES} (a year)"));
            }
        }
        if !(0.0..=1.0).contains(&self.unclear_time.min_confidence) {
            return bad("unclear_time.min_confidence", "must be from 0 to 1");
        }
        if !(0.01..=10_000.0).contains(&self.calls_per_second) {
            return bad("calls_per_second", "must be from 0.01 to 10000");
        }
        self.spoken_hours.check()?;
        if self.callback_field.trim().is_empty() || self.callback_field.len() > 200 {
            return bad("callback_field", "must be the name of an extraction, at most 200 characters");
        }
        Ok(())
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

    /// The settings as the decisions ask for them.
    pub fn policy(&self) -> Policy {
        let retry = |t: &RetryTrigger| Retry { enabled: t.enabled, wait: minutes(i64::from(t.wait_minutes)) };
        let t = &self.retry_triggers;
        Policy {
            timezone: self.timezone.clone(),
            quiet: Quiet {
                hours: self.quiet_hours.as_ref().and_then(|h| Some((clock(&h.start)?, clock(&h.end)?))),
                days: self.quiet_days.iter().map(|d| d.weekday()).collect(),
            },
            max_attempts: self.max_attempts,
            retries: Retries {
                voicemail: retry(&t.voicemail),
                no_answer: retry(&t.no_answer),
                busy: retry(&t.busy),
                technical_error: retry(&t.technical_error),
                conversation_silent: retry(&t.conversation_silent),
            },
            unclear: Unclear {
                action: match self.unclear_time.action {
                    Action::Delay => UnclearAction::Delay,
                    Action::Hold => UnclearAction::Hold,
                    Action::Schedule => UnclearAction::Schedule,
                },
                wait: minutes(i64::from(self.unclear_time.wait_minutes)),
                min_confidence: self.unclear_time.min_confidence,
            },
            hours: self.spoken_hours.hours(),
            language: self.language.lang(),
            missed_after: minutes(i64::from(self.missed_after_minutes)),
            missed: match self.missed_action {
                Missed::Expire => MissedAction::Expire,
                Missed::Replan => MissedAction::Replan,
            },
            callback_field: self.callback_field.clone(),
            provider_requests: self.user_requested_callback,
            spoken_numbers: self.spoken_numbers,
            calls_per_second: self.calls_per_second,
        }
    }
}

impl Day {
    const fn weekday(self) -> Weekday {
        match self {
            Self::Mon => Weekday::Monday,
            Self::Tue => Weekday::Tuesday,
            Self::Wed => Weekday::Wednesday,
            Self::Thu => Weekday::Thursday,
            Self::Fri => Weekday::Friday,
            Self::Sat => Weekday::Saturday,
            Self::Sun => Weekday::Sunday,
        }
    }
}

/// What a parser complains of, without the value that it met: that may be personal.
pub fn unquoted(message: &str) -> String {
    let met = ["invalid type: ", "invalid value: ", "unknown variant `", "invalid length "];
    match message.split_once(", expected ") {
        Some((_, expected)) if met.iter().any(|m| message.contains(m)) => format!("must be {expected}"),
        _ => message.to_owned(),
    }
}

pub(crate) fn clock(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    if hour.len() != 2 || minute.len() != 2 {
        return None;
    }
    Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
}

/// Lays `patch` over `base`: objects merge, null removes, everything else replaces (RFC 7396).
///
/// A null for one of our own optional settings stays a null, so that it can be unset.
pub fn merge(base: &mut Value, patch: &Value) {
    match (base, patch) {
        (Value::Object(base), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (base, patch) => *base = patch.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(patch: &Value, want: Result<(), &str>) {
        let got = Defaults::of_plan(&redialer_core::tenant::Plan::Free.limits())
            .patched(patch)
            .and_then(|d| d.check(&redialer_core::tenant::Plan::Free.limits()));
        assert_eq!(got.as_ref().map_err(|e| e.field.as_str()).copied(), want, "{patch} {got:?}");
    }

    #[test]
    fn a_setting_that_cannot_be_is_named() {
        check(&json!({}), Ok(()));
        check(&json!({"quiet_hours": {"start": "21:00", "end": "09:00"}}), Ok(()));
        check(&json!({"quiet_hours": null, "retry_triggers": {"busy": {"enabled": false}}}), Ok(()));
        check(&json!({"timezone": "Mars/Olympus"}), Err("timezone"));
        check(&json!({"quiet_hours": {"start": "9pm", "end": "09:00"}}), Err("quiet_hours.start"));
        check(&json!({"quiet_days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}), Err("quiet_days"));
        check(&json!({"quiet_days": ["someday"]}), Err("quiet_days[0]"));
        check(&json!({"max_attempts": 4}), Err("max_attempts"));
        check(&json!({"max_attempts": 0}), Err("max_attempts"));
        check(
            &json!({"retry_triggers": {"busy": {"wait_minutes": "ten"}}}),
            Err("retry_triggers.busy.wait_minutes"),
        );
        check(
            &json!({"retry_triggers": {"busy": {"wait_minutes": 9_999_999}}}),
            Err("retry_triggers.busy.wait_minutes"),
        );
        check(&json!({"missed_action": "replan"}), Ok(()));
        check(&json!({"missed_action": "forget"}), Err("missed_action"));
        check(&json!({"language": "es", "spoken_hours": {"after_lunch": {"nominal": "14:15"}}}), Ok(()));
        check(&json!({"language": "fr"}), Err("language"));
        check(&json!({"spoken_hours": {"brunch": {}}}), Err("spoken_hours.brunch"));
        check(&json!({"spoken_hours": {"lunch": {"from": "noon"}}}), Err("spoken_hours.lunch.from"));
        check(&json!({"spoken_hours": {"lunch": {"to": "11:00"}}}), Err("spoken_hours.lunch.to"));
        check(&json!({"spoken_hours": {"lunch": {"nominal": "15:00"}}}), Err("spoken_hours.lunch.nominal"));
        check(&json!({"unclear_time": {"min_confidence": 2}}), Err("unclear_time.min_confidence"));
    }

    #[test]
    fn the_defaults_are_the_published_ones() {
        let policy = Defaults::of_plan(&redialer_core::tenant::Plan::Unlimited.limits()).policy();
        assert_eq!(policy, Policy::default());
    }
}
