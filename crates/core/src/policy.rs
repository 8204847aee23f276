//! What a workspace wants: retries, ceilings, quiet time, and what to do when a time was not clear.
//!
//! A policy is the workspace's defaults with one agent's overrides laid over them; which is which is the
//! settings' business, not the decisions'. The numbers in [`Policy::default`] are the published ones.

use jiff::SignedDuration;
pub use redialer_when::{Hours, Lang, Span};
use serde::{Deserialize, Serialize};

use crate::{
    phone::{Phone, country_of},
    time::minutes,
    windows::Quiet,
};

/// Everything a decision asks of the settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// IANA name: the callee's zone when nothing better is known.
    pub timezone: String,
    /// Quiet hours and days, for callbacks without a named moment.
    pub quiet: Quiet,
    /// Most dials in one chain, at least 1.
    pub max_attempts: u32,
    /// What follows a call in which nobody was reached.
    pub retries: Retries,
    /// What follows a request whose time was not understood.
    pub unclear: Unclear,
    /// What vague words like "after lunch" stand for.
    pub hours: Hours,
    /// What calls are held in; `None`: whichever language something is heard in.
    pub language: Option<Lang>,
    /// A callback later than this is not dialled any more.
    pub missed_after: SignedDuration,
    /// What becomes of it then.
    pub missed: MissedAction,
    /// The extraction that says "this person asked to be called back"; an alias without `.io` also counts.
    pub callback_field: String,
    /// Whether the provider's own "asked for a callback" reason counts as a request.
    pub provider_requests: bool,
    /// Whether a number that was only spoken may be dialled.
    pub spoken_numbers: bool,
    /// Call starts a second.
    pub calls_per_second: f64,
    /// Whose callbacks count as one promise to a person.
    pub one_promise_per: PromiseScope,
    /// ISO 3166 codes of the countries whose numbers are called; `None` for all.
    pub allowed_countries: Option<Vec<String>>,
}

/// Within what a person has at most one waiting callback.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PromiseScope {
    /// The workspace: a newer request replaces what waits, whichever agent heard it.
    #[default]
    Workspace,
    /// Each agent: what one agent was asked leaves the promises of others alone.
    Agent,
}

impl Policy {
    /// Whether numbers of that number's country are called; one that is no number is of no country.
    pub fn calls_country_of(&self, e164: &str) -> bool {
        let Some(allowed) = &self.allowed_countries else { return true };
        let country = Phone::parse(e164).ok().and_then(|phone| country_of(&phone));
        country.is_some_and(|country| allowed.iter().any(|code| code == country))
    }
}

/// A group of reasons for which nobody was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// An answering machine or a phone menu.
    Voicemail,
    /// It rang out.
    NoAnswer,
    /// Busy, or declined.
    Busy,
    /// A fault on the way.
    TechnicalError,
    /// Connected, and nobody spoke.
    ConversationSilent,
}

/// One trigger's switch and delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Whether a retry follows at all.
    pub enabled: bool,
    /// From the call's end.
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

/// What to do with a request whose time was not understood well enough.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unclear {
    /// Hold it for a person, dial after the default delay, or take what was heard all the same.
    pub action: UnclearAction,
    /// The default delay, from the call's end.
    pub wait: SignedDuration,
    /// A reading below this confidence (0 to 1) counts as not understood.
    pub min_confidence: f64,
}

/// What becomes of a callback that was missed by too much.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MissedAction {
    /// It ends.
    #[default]
    Expire,
    /// It is dialled at the same time of day, on the next day that has that time still ahead.
    Replan,
}

/// See [`Unclear::action`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnclearAction {
    /// Dial after the default delay.
    Delay,
    /// Wait for a person to name a time.
    Hold,
    /// Dial at the time that was heard, however uncertain; after the default delay if none was.
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
