//! Who lives in the pretend world: agents, numbers, people and what they do, and what will go wrong.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::keys::Key;

/// A whole world, as a JSON document.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Script {
    /// The account's own key: REST requests carry it, or one of `keys`.
    pub api_key: String,
    /// Other keys of the account, and the account's own one if it is not a key that may do everything.
    pub keys: BTreeMap<String, Key>,
    /// The account's id, as `get-api-key-info` tells it.
    pub org_id: String,
    /// The key that webhooks are signed with; else `api_key`.
    pub webhook_key: Option<String>,
    /// The agents.
    pub agents: Vec<Agent>,
    /// The account's numbers.
    pub numbers: Vec<Number>,
    /// Calls at once, those kept for inbound included.
    pub concurrency_limit: u32,
    /// Lines kept for inbound calls.
    pub reserved_inbound_concurrency: u32,
    /// Where webhooks of agents without a URL of their own go.
    pub webhook_url: Option<String>,
    /// From "registered" to an answer, in seconds.
    pub ring_seconds: f64,
    /// A conversation's length, in seconds.
    pub talk_seconds: f64,
    /// From the end to the analysis, in seconds.
    pub analysis_seconds: f64,
    /// From a chat's last message to its end, in seconds.
    pub chat_silence_seconds: f64,
    /// How long a new call or chat is missing from the lists, in seconds.
    pub list_lag_seconds: f64,
    /// What each person does on the next calls, in order; the last one is repeated.
    pub people: BTreeMap<String, VecDeque<Does>>,
    /// Calls that happen by themselves.
    pub calls: Vec<ScriptedCall>,
    /// What goes wrong with the next requests to place a call, in order.
    pub faults: VecDeque<Fault>,
    /// How long a stalled request waits to be placed, or a late one to be answered, in seconds.
    pub slow_seconds: f64,
    /// Events that are never told, as `call_analyzed`.
    pub lose_events: Vec<String>,
    /// Calls and chats whose record answers 500.
    pub records_fail: Vec<String>,
    /// The lists of calls and chats answer 500.
    pub lists_fail: bool,
    /// The lists of calls and chats show no metadata, as with reduced storage; filters still know it.
    pub lists_hide_metadata: bool,
}

impl Default for Script {
    fn default() -> Self {
        let agent = |id: &str, name: &str, channel: &str| Agent {
            agent_id: id.to_owned(),
            agent_name: name.to_owned(),
            channel: channel.to_owned(),
            ..Agent::default()
        };
        Self {
            api_key: "key_sim_0001".to_owned(),
            keys: BTreeMap::new(),
            org_id: "org_sim_0001".to_owned(),
            webhook_key: None,
            agents: vec![
                agent("agent_sim_front_desk", "Front desk", "voice"),
                agent("agent_sim_sms_desk", "SMS desk", "chat"),
            ],
            numbers: vec![Number {
                phone_number: "+12025550100".to_owned(),
                agent_id: Some("agent_sim_front_desk".to_owned()),
                sms_agent_id: Some("agent_sim_sms_desk".to_owned()),
            }],
            concurrency_limit: 20,
            reserved_inbound_concurrency: 5,
            webhook_url: None,
            ring_seconds: 15.0,
            talk_seconds: 45.0,
            analysis_seconds: 5.0,
            chat_silence_seconds: 3_600.0,
            list_lag_seconds: 0.0,
            people: BTreeMap::new(),
            calls: Vec::new(),
            faults: VecDeque::new(),
            slow_seconds: 180.0,
            lose_events: Vec::new(),
            records_fail: Vec::new(),
            lists_fail: false,
            lists_hide_metadata: false,
        }
    }
}

/// An agent of the account.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Agent {
    /// Its id.
    pub agent_id: String,
    /// Its name.
    pub agent_name: String,
    /// `voice` or `chat`.
    pub channel: String,
    /// IANA zone.
    pub timezone: Option<String>,
    /// Its own webhook URL, which replaces the account's.
    pub webhook_url: Option<String>,
    /// Its published version.
    pub version: i64,
    /// Its environment tag.
    pub tag: Option<String>,
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            agent_id: String::new(),
            agent_name: String::new(),
            channel: "voice".to_owned(),
            timezone: Some("America/Los_Angeles".to_owned()),
            webhook_url: None,
            version: 1,
            tag: Some("prod".to_owned()),
        }
    }
}

/// A number of the account.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Number {
    /// E.164.
    pub phone_number: String,
    /// The agent that calls from it and answers on it.
    pub agent_id: Option<String>,
    /// The agent that texts.
    pub sms_agent_id: Option<String>,
}

/// What a person, or the line, does when called.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Does {
    /// How the call ends: a `disconnection_reason`. Unconnected ones never start.
    pub ends: String,
    /// What is said, as `User: …` and `Agent: …`.
    pub says: Vec<String>,
    /// The post-call extractions.
    pub extracts: Map<String, Value>,
    /// Whether the analysis finds a machine.
    pub in_voicemail: bool,
}

impl Does {
    /// The call just ends like this.
    pub fn end(reason: &str) -> Self {
        Self { ends: reason.to_owned(), in_voicemail: reason == "voicemail_reached", ..Self::default() }
    }

    /// The person talks, and asks for a callback in these words.
    pub fn ask(says: &[&str], time: Option<&str>) -> Self {
        let mut extracts = Map::new();
        extracts.insert("redialer.io_callback".to_owned(), Value::Bool(true));
        if let Some(time) = time {
            extracts.insert("redialer.io_callback_time".to_owned(), Value::from(time));
        }
        Self { says: says.iter().map(|s| (*s).to_owned()).collect(), extracts, ..Self::end("user_hangup") }
    }

    pub(crate) fn connects(&self) -> bool {
        !(self.ends.starts_with("dial_")
            || matches!(
                self.ends.as_str(),
                "user_declined"
                    | "invalid_destination"
                    | "concurrency_limit_reached"
                    | "no_valid_payment"
                    | "telephony_provider_unavailable"
                    | "sip_routing_error"
                    | "registered_call_timeout"
            ))
    }
}

/// A call that happens without us: somebody rings the agent, or the account dials somebody.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScriptedCall {
    /// When, in seconds from the world's beginning.
    pub after_seconds: f64,
    /// `inbound`, `outbound`, `web` or `chat`.
    pub kind: String,
    /// The agent.
    pub agent_id: String,
    /// The person's number.
    pub person: String,
    /// The agent's number.
    pub number: String,
    /// What the person does.
    pub does: Does,
    /// The metadata the call was made with.
    pub metadata: Map<String, Value>,
    /// The dynamic variables the call was made with.
    pub variables: Map<String, Value>,
    /// Every webhook of it is sent so many more times.
    pub duplicates: u32,
}

/// What goes wrong with one request to place a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// 500, nothing placed.
    ErrorBefore,
    /// Placed, then 500.
    ErrorAfter,
    /// Placed, then the connection closes without an answer.
    DropReply,
    /// The connection closes, nothing placed.
    DropRequest,
    /// Placed, and never answered.
    Silence,
    /// Placed, and answered only after `slow_seconds`.
    Late,
    /// Placed only after `slow_seconds`, whether the asker is still there or not, then answered.
    Stall,
    /// 502 with a page of HTML, nothing placed.
    Html,
    /// 200 with a page of HTML, placed.
    HtmlOk,
    /// 429 with `RateLimit-Reset: 2`.
    Throttled,
    /// 402.
    Payment,
    /// 401.
    Key,
    /// 403.
    Forbidden,
    /// 400 because of the account's own do-not-call list.
    DoNotCall,
    /// 422.
    Unprocessable,
    /// Nothing goes wrong with this one.
    None,
}
