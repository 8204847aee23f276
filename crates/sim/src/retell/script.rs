//! The script of a simulated world: agents, numbers, people and their behavior, and faults.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::keys::Key;

/// A simulated world, as a JSON document.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Script {
    /// The account's own key; REST requests carry it or one of `keys`.
    pub api_key: String,
    /// Other keys of the account. An entry for `api_key` restricts it; without one it has all permissions.
    pub keys: BTreeMap<String, Key>,
    /// The account's id, as returned by `get-api-key-info`.
    pub org_id: String,
    /// The key that signs webhooks; `api_key` if not set.
    pub webhook_key: Option<String>,
    /// The agents.
    pub agents: Vec<Agent>,
    /// The account's numbers.
    pub numbers: Vec<Number>,
    /// The maximum number of concurrent calls, including the lines reserved for inbound calls.
    pub concurrency_limit: u32,
    /// Lines reserved for inbound calls.
    pub reserved_inbound_concurrency: u32,
    /// The webhook URL for agents without their own.
    pub webhook_url: Option<String>,
    /// The time from "registered" to an answer, in seconds.
    pub ring_seconds: f64,
    /// The length of a conversation, in seconds.
    pub talk_seconds: f64,
    /// The time from the end to the analysis, in seconds.
    pub analysis_seconds: f64,
    /// The time from a chat's last message to its end, in seconds.
    pub chat_silence_seconds: f64,
    /// How long a new call or chat is missing from the lists, in seconds.
    pub list_lag_seconds: f64,
    /// The behavior of each person on the next calls, in order; the last entry repeats.
    pub people: BTreeMap<String, VecDeque<Behavior>>,
    /// Calls that the simulator starts by itself.
    pub calls: Vec<ScriptedCall>,
    /// The faults of the next requests to place a call, in order.
    pub faults: VecDeque<Fault>,
    /// The delay before a stalled request is placed, or a late one is answered, in seconds.
    pub slow_seconds: f64,
    /// Events that are never sent, such as `call_analyzed`.
    pub lose_events: Vec<String>,
    /// Ids of calls and chats whose record returns a 500.
    pub records_fail: Vec<String>,
    /// Whether the lists of calls and chats return a 500.
    pub lists_fail: bool,
    /// Whether the lists of calls and chats omit metadata, as with reduced storage; filters still match it.
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
    /// The agent that sends text messages from it and answers them.
    pub sms_agent_id: Option<String>,
}

/// The behavior of a person, or of the line, on one call.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Behavior {
    /// How the call ends: a `disconnection_reason`. A call that does not connect never becomes `ongoing`.
    pub ends: String,
    /// The transcript lines, as `User: …` and `Agent: …`.
    pub says: Vec<String>,
    /// The post-call extractions.
    pub extracts: Map<String, Value>,
    /// Whether the analysis reports voicemail.
    pub in_voicemail: bool,
}

impl Behavior {
    /// A call that only ends, with this `disconnection_reason`.
    pub fn ending(reason: &str) -> Self {
        Self { ends: reason.to_owned(), in_voicemail: reason == "voicemail_reached", ..Self::default() }
    }

    /// A conversation in which the person asks for a callback; `time` is the extracted time.
    pub fn asking(says: &[&str], time: Option<&str>) -> Self {
        let mut extracts = Map::new();
        extracts.insert("redialer.io_callback".to_owned(), Value::Bool(true));
        if let Some(time) = time {
            extracts.insert("redialer.io_callback_time".to_owned(), Value::from(time));
        }
        Self { says: says.iter().map(|s| (*s).to_owned()).collect(), extracts, ..Self::ending("user_hangup") }
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

/// A call that redialer did not place: a person calls the agent, or the account dials a person.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScriptedCall {
    /// When it starts, in seconds from the start of the world.
    pub after_seconds: f64,
    /// `inbound`, `outbound`, `web` or `chat`.
    pub kind: String,
    /// The agent.
    pub agent_id: String,
    /// The person's number.
    pub person: String,
    /// The agent's number.
    pub number: String,
    /// The behavior of the person.
    #[serde(rename = "does")]
    pub behavior: Behavior,
    /// The call's metadata.
    pub metadata: Map<String, Value>,
    /// The call's dynamic variables.
    pub variables: Map<String, Value>,
    /// How many extra times each of its webhooks is sent.
    pub duplicates: u32,
}

/// A fault of one request to place a call.
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
    /// Placed only after `slow_seconds`, even if the client disconnects, then answered.
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
    /// No fault.
    None,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_behavior_of_a_scripted_call_is_named_does_in_json() {
        let text = r#"{"kind":"outbound","does":{"ends":"dial_busy"}}"#;
        let call: ScriptedCall = serde_json::from_str(text).expect("a call");
        assert_eq!((call.kind.as_str(), call.behavior.ends.as_str()), ("outbound", "dial_busy"));
        let json = serde_json::to_value(&call).expect("JSON");
        assert_eq!(json["does"]["ends"], "dial_busy");
    }
}
