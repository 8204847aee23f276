//! Calls without stored state: the outcome is a function of the request that placed the call.
//!
//! Invariants: nothing is stored, so a restart or another replica returns the same outcome; every request places a call; the
//! last two digits of the number select the outcome, as listed in `docs/api.md`.

use redialer_core::{Timestamp, agent::Channel, time::plus};
use serde_json::{Value, json};

use super::{
    calls::{ms, write_analysis, write_end, write_messages},
    script::Behavior,
};

const RING_TIME: jiff::SignedDuration = jiff::SignedDuration::from_secs(5);
const TALK_TIME: jiff::SignedDuration = jiff::SignedDuration::from_secs(10);

/// The behavior of the person at a number. A person who asked for a callback does not ask again when called back.
fn behavior_of(number: &str, is_first: bool) -> Behavior {
    match number.get(number.len().saturating_sub(2)..) {
        Some("01") => Behavior::ending("dial_no_answer"),
        Some("02") => Behavior::ending("dial_busy"),
        Some("03") => Behavior { in_voicemail: true, ..Behavior::ending("voicemail_reached") },
        Some("04") => Behavior::ending("error_unknown"),
        Some("05") if is_first => Behavior::asking(
            &["Agent: Is this a good time?", "User: No, call me in an hour."],
            Some("in an hour"),
        ),
        _ => Behavior {
            says: vec!["Agent: Hello!".to_owned(), "User: Thanks, bye.".to_owned()],
            ..Behavior::ending("user_hangup")
        },
    }
}

/// The id of the call that a dispatch places.
pub fn call_id(dispatch: &str) -> String {
    format!("test_{dispatch}")
}

/// The record of the call or chat that `request` placed at `placed_at`, ended and analyzed. `None` if the request is not
/// JSON or has no `to_number`.
pub fn record(request: &[u8], channel: Channel, call_id: &str, placed_at: Timestamp) -> Option<String> {
    let request: Value = serde_json::from_slice(request).ok()?;
    let number = request["to_number"].as_str()?;
    let behavior = behavior_of(number, request["metadata"]["redialer_attempt"] == "1");
    let (started, ended) = (plus(placed_at, RING_TIME), plus(plus(placed_at, RING_TIME), TALK_TIME));
    let mut record = json!({
        "agent_id": request["override_agent_id"], "metadata": request["metadata"],
        "retell_llm_dynamic_variables": request["retell_llm_dynamic_variables"], "start_timestamp": ms(started),
    });
    match channel {
        Channel::Voice => {
            record["call_id"] = call_id.into();
            record["call_type"] = "phone_call".into();
            record["direction"] = "outbound".into();
            record["from_number"] = request["from_number"].clone();
            record["to_number"] = number.into();
            write_end(&mut record, &behavior, behavior.connects(), started, ended);
        }
        Channel::Chat => {
            record["chat_id"] = call_id.into();
            record["chat_type"] = "sms_chat".into();
            record["chat_status"] = "ended".into();
            record["end_timestamp"] = ms(ended).into();
            write_messages(&mut record, &behavior, started);
        }
    }
    write_analysis(&mut record, &behavior, channel == Channel::Chat);
    Some(record.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_selects_the_outcome_and_a_repeated_request_gets_the_same() {
        let ends = |number: &str| {
            let request =
                json!({"to_number": number, "from_number": "+12025550100", "override_agent_id": "a"});
            let record =
                || record(request.to_string().as_bytes(), Channel::Voice, "test_1", Timestamp::UNIX_EPOCH);
            assert_eq!(record(), record());
            let record: Value = serde_json::from_str(&record().expect("a request")).expect("JSON");
            record["disconnection_reason"].as_str().expect("it is over").to_owned()
        };
        assert_eq!(ends("+13125550101"), "dial_no_answer");
        assert_eq!(ends("+13125550102"), "dial_busy");
        assert_eq!(ends("+13125550142"), "user_hangup");
        assert!(record(b"{}", Channel::Voice, "test_1", Timestamp::UNIX_EPOCH).is_none());
    }
}
