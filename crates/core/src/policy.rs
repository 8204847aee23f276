//! The settings that decisions read: retries, limits, quiet time, and the handling of unclear times.
//!
//! A policy is the workspace's settings with one agent's overrides applied; decisions cannot tell whether a value comes from the workspace or from the agent. The numbers in [`Policy::default`] are the published ones.

use jiff::SignedDuration;
pub use redialer_when::{Hours, Lang, Span};
use serde::{Deserialize, Serialize};

use crate::{
    phone::{Phone, country_of},
    time::minutes,
    windows::Quiet,
};

/// The settings that decisions read.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// IANA name: the callee's zone if no better one is known.
    pub timezone: String,
    /// Quiet hours and days, for callbacks whose time was not requested.
    pub quiet: Quiet,
    /// The maximum number of dials in one chain, at least 1.
    pub max_attempts: u32,
    /// Retries after calls that reached no person.
    pub retries: Retries,
    /// The handling of requests whose time was not understood.
    pub unclear: Unclear,
    /// The hours that vague words like "after lunch" stand for.
    pub hours: Hours,
    /// The language of calls; `None` to detect it.
    pub language: Option<Lang>,
    /// A callback that is later than this is not dialed.
    pub missed_after: SignedDuration,
    /// What happens to a callback that is later than that.
    pub missed: MissedAction,
    /// The extraction that contains whether a callback was requested. Names are compared ignoring case, surrounding
    /// whitespace, and whether a dot, an underscore or whitespace separates their words.
    pub callback_field: String,
    /// Whether the provider's own "asked for a callback" outcome counts as a request.
    pub provider_requests: bool,
    /// Whether a number that was only spoken may be dialed.
    pub spoken_numbers: bool,
    /// Call starts per second.
    pub calls_per_second: f64,
    /// The scope within which a person has at most one waiting callback.
    pub one_promise_per: PromiseScope,
    /// ISO 3166 codes of the countries whose numbers may be called; `None` for all.
    pub allowed_countries: Option<Vec<String>>,
}

/// The scope within which a person has at most one waiting callback.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PromiseScope {
    /// The workspace: a newer request replaces the waiting callback, whichever agent received it.
    #[default]
    Workspace,
    /// Each agent: a request to one agent does not affect callbacks of other agents.
    Agent,
}

impl Policy {
    /// Whether numbers of this number's country may be called; text that is not a number has no country.
    pub fn calls_country_of(&self, e164: &str) -> bool {
        let Some(allowed) = &self.allowed_countries else { return true };
        let country = Phone::parse(e164).ok().and_then(|phone| country_of(&phone));
        country.is_some_and(|country| allowed.iter().any(|code| code == country))
    }
}

/// A group of reasons for which no person was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// An answering machine or a phone menu.
    Voicemail,
    /// Not answered.
    NoAnswer,
    /// Busy, or declined.
    Busy,
    /// A technical fault.
    TechnicalError,
    /// Connected, but the person did not speak.
    ConversationSilent,
}

/// One trigger's switch and delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Whether a retry follows.
    pub enabled: bool,
    /// The delay from the call's end.
    pub wait: SignedDuration,
}

/// Every trigger's switch and delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// For [`Trigger::Voicemail`].
    pub voicemail: Retry,
    /// For [`Trigger::NoAnswer`].
    pub no_answer: Retry,
    /// For [`Trigger::Busy`].
    pub busy: Retry,
    /// For [`Trigger::TechnicalError`].
    pub technical_error: Retry,
    /// For [`Trigger::ConversationSilent`].
    pub conversation_silent: Retry,
}

impl Retries {
    /// The switch and delay of one trigger.
    pub const fn for_trigger(&self, trigger: Trigger) -> Retry {
        match trigger {
            Trigger::Voicemail => self.voicemail,
            Trigger::NoAnswer => self.no_answer,
            Trigger::Busy => self.busy,
            Trigger::TechnicalError => self.technical_error,
            Trigger::ConversationSilent => self.conversation_silent,
        }
    }
}

/// The handling of a request whose time was not understood with enough confidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unclear {
    /// Hold it for a person, dial after the default delay, or accept the time anyway.
    pub action: UnclearAction,
    /// The default delay, from the call's end.
    pub wait: SignedDuration,
    /// A time below this confidence (0 to 1) counts as not understood.
    pub min_confidence: f64,
}

/// What happens to a callback that is too late.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MissedAction {
    /// It ends.
    #[default]
    Expire,
    /// It is dialed at the same time of day, as soon as that time comes again.
    Replan,
}

/// See [`Unclear::action`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnclearAction {
    /// Dial after the default delay.
    Delay,
    /// Hold it until a person sets a time.
    Hold,
    /// Dial at the understood time, however uncertain; after the default delay if there is none.
    Schedule,
}

impl Default for Policy {
    fn default() -> Self {
        let after = |n| Retry { enabled: true, wait: minutes(n) };
        Self {
            timezone: "UTC".to_owned(),
            quiet: Quiet::default(),
            max_attempts: 3,
            retries: Retries {
                voicemail: after(240),
                no_answer: after(60),
                busy: after(10),
                technical_error: after(30),
                conversation_silent: after(1440),
            },
            unclear: Unclear { action: UnclearAction::Delay, wait: minutes(1440), min_confidence: 0.5 },
            hours: Hours::default(),
            language: None,
            missed_after: minutes(120),
            missed: MissedAction::Expire,
            callback_field: "redialer.io_callback".to_owned(),
            provider_requests: false,
            spoken_numbers: false,
            calls_per_second: 1.0,
            one_promise_per: PromiseScope::Workspace,
            allowed_countries: None,
        }
    }
}
