//! A workspace's settings as the JSON document that the API shows and the database keeps.
//!
//! Invariant: a document that was stored has passed [`Defaults::check`], alone and under every agent's
//! overrides. An agent's overrides are a merge patch (RFC 7396) over its workspace's defaults.

use jiff::{
    civil::{Time, Weekday},
    tz::TimeZone,
};
use redialer_core::{
    policy::{MissedAction, Policy, PromiseScope, Retries, Retry, Unclear, UnclearAction},
    tenant::{Limits, Plan},
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
    /// When callbacks whose moment the callee did not name do not ring.
    pub quiet_hours: Option<QuietHours>,
    /// Days on which they do not ring either.
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
    /// Whether a person has at most one waiting callback in the workspace, or with each agent.
    #[serde(default)]
    pub one_promise_per: PromisePer,
    /// Countries whose numbers are called. `None`: those of the workspace's own numbers.
    #[serde(default)]
    pub allowed_countries: Option<Countries>,
}

/// Within what a person has at most one waiting callback.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PromisePer {
    /// The workspace.
    #[default]
    Workspace,
    /// Each agent.
    Agent,
}

/// Countries: `"*"` for all, or ISO 3166 alpha-2 codes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Countries {
    /// `"*"`.
    All(Star),
    /// `["US", "CA"]`; `"*"` among them stands for all.
    These(Vec<String>),
}

/// The word `*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Star {
    /// `*`.
    #[serde(rename = "*")]
    Star,
}

impl Countries {
    /// The codes; `None` for all countries.
    fn codes(&self) -> Option<Vec<String>> {
        match self {
            Self::These(codes) if !codes.iter().any(|code| code == "*") => Some(codes.clone()),
            Self::All(_) | Self::These(_) => None,
        }
    }

    /// The setting of a workspace whose own numbers are in those countries, until it is set.
    pub fn of_numbers(countries: &[String]) -> Self {
        match countries {
            [] => Self::All(Star::Star),
            some => Self::These(some.to_vec()),
        }
    }
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

/// How long payloads are kept. There is no purge yet: they are kept without limit, and no other value is accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// `default`.
    pub level: Level,
    /// Days; -1 without limit.
    pub days: i32,
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
        Self { level: Level::Default, days: -1 }
    }
}

impl Retention {
    /// This with a patch laid over it, naming the field that does not fit.
    pub fn patched(&self, patch: &Value) -> Result<Self, BadSettings> {
        let mut document = serde_json::to_value(self).unwrap_or(Value::Null);
        merge(&mut document, patch);
        read(document)
    }

    /// Whether it is what is done today: everything is kept.
    pub fn keeps_everything(&self) -> bool {
        *self == Self::default()
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
        let text = |time: Time| time.strftime("%H:%M").to_string();
        let trigger = |r: Retry| RetryTrigger { enabled: r.enabled, wait_minutes: r.wait.as_mins() as u32 };
        Self {
            timezone: policy.timezone,
            quiet_hours: policy
                .quiet
                .hours
                .map(|(start, end)| QuietHours { start: text(start), end: text(end) }),
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
            one_promise_per: PromisePer::Workspace,
            allowed_countries: None,
        }
    }

    /// Reads a document, naming the field that does not fit.
    pub fn from_value(value: Value) -> Result<Self, BadSettings> {
        read(value)
    }

    /// Reads a stored document: what it does not have is as by default, and what a later version put into it is left
    /// out.
    pub fn from_stored(stored: &Value) -> Result<Self, BadSettings> {
        let mut document = Self::of_plan(&Plan::Unlimited.limits()).to_value();
        lay_known(&mut document, stored);
        read(document)
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
        if !is_zone(&self.timezone) {
            return bad("timezone", "The time zone is not an IANA name, as Europe/Berlin.");
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
        self.check_countries()?;
        if self.callback_field.trim().is_empty() || self.callback_field.len() > 200 {
            return bad("callback_field", "must be the name of an extraction, at most 200 characters");
        }
        Ok(())
    }

    fn check_countries(&self) -> Result<(), BadSettings> {
        let Some(Countries::These(codes)) = &self.allowed_countries else { return Ok(()) };
        if codes.is_empty() {
            return bad(
                "allowed_countries",
                "At least one country must be allowed; send \"*\" for all of them.",
            );
        }
        match codes.iter().find(|code| *code != "*" && !redialer_core::phone::is_country_code(code)) {
            Some(_) => bad(
                "allowed_countries",
                "Every country must be an ISO 3166 alpha-2 code in capitals, as \"US\", or \"*\" for all.",
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

    /// The countries that are called: what is set, else those of the workspace's own numbers, else all.
    pub fn countries(&self, of_own_numbers: &[String]) -> Countries {
        self.allowed_countries.clone().unwrap_or_else(|| Countries::of_numbers(of_own_numbers))
    }

    /// The settings as the decisions ask for them, in a workspace whose own numbers are in those countries.
    pub fn policy(&self, of_own_numbers: &[String]) -> Policy {
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
            one_promise_per: match self.one_promise_per {
                PromisePer::Workspace => PromiseScope::Workspace,
                PromisePer::Agent => PromiseScope::Agent,
            },
            allowed_countries: self.countries(of_own_numbers).codes(),
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

/// Whether a name is of a zone that people live in: an IANA name, spelled as it is there.
pub fn is_zone(name: &str) -> bool {
    name != "Etc/Unknown" && TimeZone::get(name).is_ok_and(|zone| zone.iana_name() == Some(name))
}

pub(crate) fn clock(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let is_pair = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
    if !is_pair(hour) || !is_pair(minute) {
        return None;
    }
    Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
}

/// Lays over `base` what `stored` has of its members. A member that is no object in `base` is taken as it is.
fn lay_known(base: &mut Value, stored: &Value) {
    match (base, stored) {
        (Value::Object(base), Value::Object(stored)) => {
            for (name, value) in base.iter_mut() {
                if let Some(stored) = stored.get(name) {
                    lay_known(value, stored);
                }
            }
        }
        (base, stored) => *base = stored.clone(),
    }
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
        check(&json!({"timezone": "Etc/Unknown"}), Err("timezone"));
        check(&json!({"timezone": "europe/berlin"}), Err("timezone"));
        check(&json!({"quiet_hours": {"start": "+1:00", "end": "09:00"}}), Err("quiet_hours.start"));
        check(&json!({"one_promise_per": "agent", "allowed_countries": ["US", "DE"]}), Ok(()));
        check(&json!({"allowed_countries": "*"}), Ok(()));
        check(&json!({"allowed_countries": ["*"]}), Ok(()));
        check(&json!({"allowed_countries": []}), Err("allowed_countries"));
        check(&json!({"allowed_countries": ["usa"]}), Err("allowed_countries"));
        check(&json!({"one_promise_per": "person"}), Err("one_promise_per"));
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
    fn a_stored_document_may_be_of_another_version() {
        let read = |stored: Value| Defaults::from_stored(&stored).expect("readable");
        let usual = read(json!({}));
        assert_eq!(usual.policy(&[]), Policy::default());
        assert_eq!(
            read(json!({"later": 1, "quiet_hours": {"start": "22:00", "end": "08:00", "later": 2}})).timezone,
            "UTC"
        );
        assert_eq!(read(json!({"quiet_hours": null})).quiet_hours, None);
        assert!(Defaults::from_stored(&json!({"max_attempts": "many"})).is_err());
    }

    #[test]
    fn the_defaults_are_the_published_ones() {
        let policy = Defaults::of_plan(&redialer_core::tenant::Plan::Unlimited.limits()).policy(&[]);
        assert_eq!(policy, Policy::default());
    }
}
