//! Webhooks as Retell sends them: one template per kind of event, patched in place and signed for every request.
//!
//! Invariant: every request has its own call, number and signature, and building it costs little more than the
//! signature, because the client shares its cores with the server.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use anyhow::Context as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::watch::now_ms;

/// The webhook key of the benchmarks' account.
pub(crate) const KEY: &str = "key_bench_0001";
/// The account's own number.
pub(crate) const OURS: &str = "+12025550100";
/// The account's only agent.
pub(crate) const AGENT: &str = "agent_bench_front_desk";

const CALL_ID: &str = "call_000000000000000000000000000";
const NUMBER: &str = "+10000000000";
const TIME: &str = "0000-00-00T00:00:00Z";
const STAMP: &str = "0000000000000";

/// Never repeats within a run, across all loads.
static SERIAL: AtomicU64 = AtomicU64::new(0);

pub(crate) fn next_serial() -> u64 {
    SERIAL.fetch_add(1, Ordering::Relaxed)
}

/// A distinct number in an area code that has a time zone.
pub(crate) fn number(serial: u64) -> String {
    const AREAS: [u64; 8] = [212, 312, 415, 617, 713, 206, 305, 404];
    let area = AREAS[(serial % 8) as usize];
    format!("+1{area}{:07}", 2_000_000 + serial / 8 % 8_000_000)
}

/// The call's id, spread over the index like a real one.
pub(crate) fn call_id(serial: u64) -> String {
    let spread = serial.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("call_{spread:016x}{:011x}", serial & 0xfff_ffff_ffff)
}

/// One kind of event, ready to be patched.
pub(crate) struct Template {
    body: String,
    call_at: usize,
    number_at: Option<usize>,
    time_at: Option<usize>,
    times: Vec<String>,
}

impl Template {
    /// `times`: the requested callback times, used cyclically by call serial.
    pub(crate) fn new(event: &Value, times: Vec<String>) -> anyhow::Result<Arc<Self>> {
        let body = event.to_string();
        let call_at = body.find(CALL_ID).context("an event names its call")?;
        let (number_at, time_at) = (body.find(NUMBER), body.find(TIME));
        Ok(Arc::new(Self { body, call_at, number_at, time_at, times }))
    }

    /// `call_analyzed`, 10 KB: the caller requests a callback tomorrow.
    pub(crate) fn analyzed() -> anyhow::Result<Arc<Self>> {
        let mut turns = 2;
        let mut event = json!({"event": "call_analyzed", "call": call("inbound", "user_hangup")});
        event["call"]["call_analysis"] = analysis(true);
        while event.to_string().len() < 10_240 {
            turns += 1;
            event["call"]["transcript_object"] = transcript(turns, true);
            event["call"]["transcript_with_tool_calls"] = transcript(turns, false);
        }
        let tomorrow = now_ms() + 24 * 3_600_000;
        Self::new(&event, (0..4_096).map(|i| time(tomorrow + i * 5_000)).collect())
    }
}

/// A timestamp in the format of a callback request, always of the same length.
pub(crate) fn time(at_ms: i64) -> String {
    let at = Timestamp::from_millisecond(at_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A call object without its analysis.
pub(crate) fn call(direction: &str, reason: &str) -> Value {
    let (from, to) = if direction == "inbound" { (NUMBER, OURS) } else { (OURS, NUMBER) };
    let start = now_ms() - 60_000;
    json!({"call_id": CALL_ID, "call_type": "phone_call", "agent_id": AGENT, "agent_version": 7,
        "agent_name": "Front desk", "call_status": "ended", "direction": direction, "from_number": from,
        "to_number": to, "telephony_identifier": {"twilio_call_sid": "CA00000000000000000000000000000001"},
        "start_timestamp": start, "end_timestamp": start + 42_000, "duration_ms": 42_000, "metadata": {},
        "retell_llm_dynamic_variables": {"clinic_name": "Example Clinic"}, "disconnection_reason": reason,
        "transcript": "Agent: Thanks for calling Example Clinic, how can I help?\nUser: Please call me back.\n",
        "transcript_object": transcript(2, true), "opt_in_signed_url": false,
        "latency": {"e2e": {"p50": 900, "p90": 1260, "p95": 1350, "p99": 1530, "max": 1530, "min": 630, "num": 3}},
        "call_cost": {"product_costs": [{"product": "elevenlabs_tts", "unit_price": 0.1166667, "cost": 2.1}],
            "total_duration_seconds": 42, "combined_cost": 3.45}})
}

/// An analysis, with a callback request if `asks` is true.
pub(crate) fn analysis(asks: bool) -> Value {
    let mut extracted = json!({"redialer.io_callback": asks, "caller_name": "Jordan"});
    if asks {
        extracted["redialer.io_callback_time"] = TIME.into();
    }
    json!({"call_summary": "The caller was driving and asked to be called back.", "in_voicemail": false,
        "user_sentiment": "Positive", "call_successful": true, "custom_analysis_data": extracted})
}

fn transcript(turns: usize, with_words: bool) -> Value {
    let turn = |i: usize| {
        let (role, content) = match i % 2 {
            0 => ("agent", "Thanks for calling Example Clinic, how can I help you today?"),
            _ => ("user", "Hello, I am driving right now, could you please call me back tomorrow?"),
        };
        let word = |(n, word): (usize, &str)| {
            let start = (i * 60 + n * 3) as f64 / 10.0;
            json!({"word": word, "start": start, "end": start + 0.28})
        };
        let words: Vec<Value> =
            if with_words { content.split(' ').enumerate().map(word).collect() } else { Vec::new() };
        json!({"role": role, "content": content, "words": words})
    };
    (0..turns).map(turn).collect()
}

/// The request of one connection, patched for every send.
pub(crate) struct Request {
    bytes: Vec<u8>,
    body_at: usize,
    stamp_at: usize,
    digest_at: usize,
    mac: Hmac<Sha256>,
    template: Arc<Template>,
}

impl Request {
    pub(crate) fn new(template: &Arc<Template>, host: &str, path: &str) -> anyhow::Result<Self> {
        let digest = "0".repeat(64);
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             x-retell-signature: v={STAMP},d={digest}\r\n\r\n",
            template.body.len()
        );
        let stamp_at = head.find(STAMP).context("a stamp")?;
        let digest_at = head.find(&digest).context("a digest")?;
        let mac = Hmac::new_from_slice(KEY.as_bytes()).context("HMAC takes any key")?;
        let (body_at, template) = (head.len(), Arc::clone(template));
        let bytes = [head.as_bytes(), template.body.as_bytes()].concat();
        Ok(Self { bytes, body_at, stamp_at, digest_at, mac, template })
    }

    /// Patches the request with this call, this person and the template's next time, and signs it with the current
    /// time.
    pub(crate) fn patched(&mut self, call: u64, person: u64) -> &[u8] {
        let template = Arc::clone(&self.template);
        let time = call.checked_rem(template.times.len() as u64).map(|i| &template.times[i as usize]);
        self.patched_for(call, person, time.map(String::as_str))
    }

    /// The same with the given time.
    pub(crate) fn patched_for(&mut self, call: u64, person: u64, time: Option<&str>) -> &[u8] {
        self.put(self.body_at + self.template.call_at, call_id(call).as_bytes());
        if let Some(at) = self.template.number_at {
            self.put(self.body_at + at, number(person).as_bytes());
        }
        if let (Some(at), Some(time)) = (self.template.time_at, time) {
            self.put(self.body_at + at, time.as_bytes());
        }
        let stamp = now_ms().to_string();
        let mut mac = self.mac.clone();
        mac.update(&self.bytes[self.body_at..]);
        mac.update(stamp.as_bytes());
        let mut hex = [0_u8; 64];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(mac.finalize().into_bytes()) {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        self.put(self.stamp_at, stamp.as_bytes());
        self.put(self.digest_at, &hex);
        &self.bytes
    }

    fn put(&mut self, at: usize, text: &[u8]) {
        self.bytes[at..at + text.len()].copy_from_slice(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_one_of_its_own() {
        let template = Template::analyzed().expect("a template");
        assert!((10_240..12_000).contains(&template.body.len()), "{}", template.body.len());
        let mut request = Request::new(&template, "127.0.0.1:1", "/x").expect("a request");
        let first = request.patched(1, 1).to_vec();
        let second = request.patched(2, 2).to_vec();
        assert_eq!(first.len(), second.len());
        let text = String::from_utf8(second).expect("text");
        assert!(text.contains(&call_id(2)) && text.contains(&number(2)) && !text.contains(TIME));
        let body = text.split("\r\n\r\n").nth(1).expect("a body");
        let event: Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(event["call"]["from_number"], number(2));
    }
}
