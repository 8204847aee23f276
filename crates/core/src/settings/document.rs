//! The settings document: its fields, its defaults, and its conversion into a [`Policy`].

use jiff::civil::{Time, Weekday};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    check::{BadSettings, clock, read},
    merge::{Nulls, lay_known, merge},
    spoken_hours::{Language, SpokenHours},
};
use crate::{
    policy::{MissedAction, Policy, PromiseScope, Retries, Retry, Unclear, UnclearAction},
    tenant::Limits,
    time::minutes,
    windows::Quiet,
};

/// All settings of a workspace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceSettings {
    /// IANA name.
    pub timezone: String,
    /// Quiet hours, for callbacks whose time was not requested.
    pub quiet_hours: Option<QuietHours>,
    /// Quiet days, for callbacks whose time was not requested.
    pub quiet_days: Vec<Day>,
    /// The maximum number of dials in one chain.
    pub max_attempts: u32,
    /// Retries after calls that reached no person.
    pub retry_triggers: RetryTriggers,
    /// The handling of requests without a usable time.
    pub unclear_time: UnclearTime,
    /// The hours that vague words like "after lunch" stand for.
    #[serde(default)]
    pub spoken_hours: SpokenHours,
    /// The language of calls.
    #[serde(default)]
    pub language: Language,
    /// A callback that is late by more than this is handled by `missed_action`.
    pub missed_after_minutes: u32,
    /// What happens to such a callback: it expires or is rescheduled.
    #[serde(default)]
    pub missed_action: MissedAction,
    /// The extraction that contains whether a callback was requested.
    pub callback_field: String,
    /// Whether the provider's own "asked for a callback" outcome counts as a request.
    pub user_requested_callback: bool,
    /// Whether numbers that were only spoken may be dialed.
    pub spoken_numbers: bool,
    /// The maximum number of calls started per second.
    pub calls_per_second: f64,
    /// Whether a person has at most one waiting callback per workspace or per agent.
    #[serde(default)]
    pub one_promise_per: PromiseScope,
    /// Countries whose numbers may be called. `None`: those of the workspace's own numbers.
    #[serde(default)]
    pub allowed_countries: Option<Countries>,
}

/// Countries: `"*"` for all, or ISO 3166 alpha-2 codes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Countries {
    /// `"*"`.
    All(Star),
    /// `["US", "CA"]`; an entry `"*"` stands for all.
    These(Vec<String>),
}

/// The value `*`.
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

    /// The default for a workspace whose own numbers are in these countries.
    pub fn of_numbers(countries: &[String]) -> Self {
        match countries {
            [] => Self::All(Star::Star),
            some => Self::These(some.to_vec()),
        }
    }
}

/// `{"start":"21:00","end":"09:00"}`; crosses midnight if `start` is later than `end`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    pub(super) start: String,
    pub(super) end: String,
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
    pub(super) voicemail: RetryTrigger,
    pub(super) no_answer: RetryTrigger,
    pub(super) busy: RetryTrigger,
    pub(super) technical_error: RetryTrigger,
    pub(super) conversation_silent: RetryTrigger,
}

/// One trigger's switch and delay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryTrigger {
    pub(super) enabled: bool,
    pub(super) wait_minutes: u32,
}

/// The handling of requests without a usable time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnclearTime {
    pub(super) action: UnclearAction,
    pub(super) wait_minutes: u32,
    pub(super) min_confidence: f64,
}

/// How long payloads are kept. Nothing is purged yet: payloads are kept without limit, and no other value is accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// The level; only `default` is supported so far.
    pub level: Level,
    /// The number of days; -1 without limit.
    pub days: i32,
}

/// See [`Retention::level`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Everything, for the configured number of days.
    Default,
    /// No personal data after the callback has ended.
    Minimal,
}

impl Default for Retention {
    fn default() -> Self {
        Self { level: Level::Default, days: -1 }
    }
}

impl Retention {
    /// This retention with a patch applied; an error names the invalid field.
    pub fn patched(&self, patch: &Value) -> Result<Self, BadSettings> {
        let mut document = serde_json::to_value(self).unwrap_or(Value::Null);
        merge(&mut document, patch, Nulls::Kept);
        read(document)
    }

    /// Whether everything is kept, which is the only supported value.
    pub fn keeps_everything(&self) -> bool {
        *self == Self::default()
    }
}

impl WorkspaceSettings {
    /// The default settings on a plan with these limits.
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
                action: policy.unclear.action,
                wait_minutes: policy.unclear.wait.as_mins() as u32,
                min_confidence: policy.unclear.min_confidence,
            },
            spoken_hours: SpokenHours::default(),
            language: Language::Auto,
            missed_after_minutes: policy.missed_after.as_mins() as u32,
            missed_action: policy.missed,
            callback_field: policy.callback_field,
            user_requested_callback: policy.provider_requests,
            spoken_numbers: policy.spoken_numbers,
            calls_per_second: policy.calls_per_second,
            one_promise_per: policy.one_promise_per,
            allowed_countries: None,
        }
    }

    /// The effective settings of a workspace that stores only `stored`. Missing fields get their default, unknown
    /// fields (written by a later version) are ignored, and `max_attempts` is lowered to the limit of the plan.
    pub fn resolved(stored: &Value, limits: &Limits) -> Result<Self, BadSettings> {
        let mut document = Self::of_plan(limits).to_value();
        lay_known(&mut document, stored);
        let settings: Self = read(document)?;
        Ok(Self { max_attempts: settings.max_attempts.min(limits.max_attempts), ..settings })
    }

    /// These settings with a patch applied. Unlike [`Self::resolved`], it rejects unknown fields.
    pub fn patched(&self, patch: &Value) -> Result<Self, BadSettings> {
        let mut document = self.to_value();
        merge(&mut document, patch, Nulls::Kept);
        read(document)
    }

    /// The whole document.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }

    /// The countries that may be called: the setting, else those of the workspace's own numbers, else all.
    pub fn countries(&self, of_own_numbers: &[String]) -> Countries {
        self.allowed_countries.clone().unwrap_or_else(|| Countries::of_numbers(of_own_numbers))
    }

    /// The policy for decisions, in a workspace whose own numbers are in these countries.
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
                action: self.unclear_time.action,
                wait: minutes(i64::from(self.unclear_time.wait_minutes)),
                min_confidence: self.unclear_time.min_confidence,
            },
            hours: self.spoken_hours.hours(),
            language: self.language.lang(),
            missed_after: minutes(i64::from(self.missed_after_minutes)),
            missed: self.missed_action,
            callback_field: self.callback_field.clone(),
            provider_requests: self.user_requested_callback,
            spoken_numbers: self.spoken_numbers,
            calls_per_second: self.calls_per_second,
            one_promise_per: self.one_promise_per,
            allowed_countries: self.countries(of_own_numbers).codes(),
        }
    }
}

impl Day {
    pub(super) const fn weekday(self) -> Weekday {
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
