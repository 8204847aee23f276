//! Parsing untrusted input takes memory in proportion to its size, regardless of its shape.
//!
//! A separate binary with one test, because its allocator counts the memory of all threads.

use peak_alloc::PeakAlloc;
use redialer_core::agent::Channel;
use redialer_providers::retell::{
    conversation::{MAX_SPOKEN_BYTES, MAX_TURNS},
    webhook,
};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// The size of each body.
const SIZE: usize = 1_000_000;
/// Maximum peak memory, as a multiple of the body's size.
const MAX_FACTOR: usize = 12;

/// Peak memory during `work`, beyond what was allocated before.
fn peak_of(work: impl FnOnce()) -> usize {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    work();
    ALLOCATOR.peak_usage().saturating_sub(before)
}

/// Copies of `piece`, separated by commas, up to `SIZE`.
fn many(piece: impl Fn(usize) -> String) -> String {
    let mut all = String::with_capacity(SIZE + 100);
    for n in 0.. {
        all.push_str(&piece(n));
        if all.len() >= SIZE {
            return all;
        }
        all.push(',');
    }
    all
}

fn call(members: &str) -> String {
    format!(r#"{{"event":"call_analyzed","call":{{"call_id":"c1","agent_id":"a1",{members}}}}}"#)
}

fn chat(members: &str) -> String {
    format!(r#"{{"event":"chat_analyzed","chat":{{"chat_id":"c1","agent_id":"a1",{members}}}}}"#)
}

fn same(piece: &'static str) -> String {
    many(|_| piece.to_owned())
}

/// Bodies of that size, each designed to take as much memory as possible when parsed.
fn bodies() -> Vec<(&'static str, String)> {
    let numbered = |value: &'static str| many(move |n| format!("\"{n:x}\":{value}"));
    let deep = format!("{}{}", "[".repeat(SIZE / 2), "]".repeat(SIZE / 2));
    let deep_objects = format!("{}1{}", r#"{"a":"#.repeat(SIZE / 6), "}".repeat(SIZE / 6));
    let escapes = r"\n".repeat(SIZE / 2);
    let letters = r"\u00e9".repeat(SIZE / 6);
    let data = |inside: &str| call(&format!(r#""call_analysis":{{"custom_analysis_data":{inside}}}"#));
    let turns = |entries: &str| call(&format!(r#""transcript_object":[{entries}]"#));
    let messages = |entries: &str| chat(&format!(r#""message_with_tool_calls":[{entries}]"#));
    let variables = |members: &str| call(&format!(r#""retell_llm_dynamic_variables":{{{members}}}"#));
    vec![
        ("empty objects as turns", turns(&same("{}"))),
        ("a number, then empty objects, as turns", turns(&format!("7,{}", same("{}")))),
        ("numbers as turns", turns(&same("7"))),
        ("short turns", turns(&same(r#"{"role":"user","content":"a"}"#))),
        ("turns with repeated keys", turns(&same(r#"{"role":"user","role":"agent","content":"b"}"#))),
        ("one turn of many keys", turns(&format!("{{{}}}", numbered("0")))),
        ("one turn of repeated keys", turns(&format!("{{{}}}", same(r#""content":"a""#)))),
        ("one long turn", turns(&format!(r#"{{"role":"user","content":"{}"}}"#, "a ".repeat(SIZE / 2)))),
        ("one long turn of line breaks", turns(&format!(r#"{{"role":"user","content":"a{escapes}b"}}"#))),
        ("one long turn of escapes", turns(&format!(r#"{{"role":"user","content":"{letters}"}}"#))),
        ("empty objects as messages", messages(&same("{}"))),
        ("short messages", messages(&same(r#"{"role":"user","content":"a","created_timestamp":1}"#))),
        ("lists as messages", messages(&same("[]"))),
        ("a flat transcript of line breaks", call(&format!(r#""transcript":"User: a{escapes}""#))),
        (
            "a flat transcript of short turns",
            call(&format!(r#""transcript":"{}""#, r"User:a\n".repeat(SIZE / 8))),
        ),
        ("many dynamic variables", variables(&numbered("\"v\""))),
        ("dynamic variables that are lists", variables(&numbered("[0,0,0,0,0,0]"))),
        ("one repeated dynamic variable", variables(&same(r#""a":"b""#))),
        ("one long dynamic variable", variables(&format!(r#""a":"{letters}""#))),
        ("a long name of a dynamic variable", variables(&format!(r#""{letters}":"a""#))),
        ("many keys at the root", format!(r#"{{"event":"call_ended",{}}}"#, numbered("0"))),
        ("the shortest keys at the root", format!(r#"{{"event":"call_ended",{}}}"#, same(r#""":0"#))),
        ("repeated calls", format!(r#"{{"event":"call_ended",{}}}"#, same(r#""call":{"call_id":"c"}"#))),
        ("many keys in the call", call(&numbered("0"))),
        ("repeated keys in the call", call(&same(r#""agent_id":"a""#))),
        ("a long key", call(&format!(r#""{letters}":1"#))),
        ("many keys in metadata", call(&format!(r#""metadata":{{{}}}"#, numbered("0")))),
        ("many extractions", data(&format!("{{{}}}", numbered("true")))),
        (
            "many spellings",
            data(&format!("{{{}}}", many(|n| format!("\"redialer.io_callback{}\":1", " ".repeat(n % 999))))),
        ),
        ("a long time", data(&format!(r#"{{"redialer.io_callback_time":"{letters}"}}"#))),
        ("long ids", call(&format!(r#""from_number":"{letters}","direction":"inbound""#))),
        ("a long reason", call(&format!(r#""disconnection_reason":"{letters}""#))),
        ("a long event", format!(r#"{{"event":"{letters}"}}"#)),
        ("deep lists", call(&format!(r#""transcript_object":[{deep}],"metadata":{{"a":{deep}}}"#))),
        ("deep objects", messages(&deep_objects)),
        ("a deep call", format!(r#"{{"event":"call_ended","call":{deep}}}"#)),
        ("a list", format!("[{}]", same("{}"))),
        ("no JSON", same("{}")),
    ]
}

#[test]
fn reading_takes_at_most_twelve_times_the_body() {
    let mut worst = (0, "");
    for (name, body) in bodies() {
        let record = body.find(r#":{"c"#).map(|at| &body[at + 1..body.len() - 1]);
        let peak = peak_of(|| {
            if let Ok(event) = webhook::read(body.as_bytes()) {
                let facts = event.content.facts("redialer.io_callback");
                let turns = event.content.conversation();
                let spoken: usize = turns.iter().map(|turn| turn.content.len()).sum();
                assert!(turns.len() <= MAX_TURNS && spoken <= MAX_SPOKEN_BYTES, "{name}");
                drop(facts);
            }
        });
        let fetched = peak_of(|| {
            for channel in [Channel::Voice, Channel::Chat] {
                drop(record.and_then(|record| webhook::fetched(record, channel)));
            }
        });
        let times = peak.max(fetched).div_ceil(body.len());
        assert!(times <= MAX_FACTOR, "{name}: {peak} and {fetched} bytes for {}", body.len());
        worst = worst.max((times, name));
    }
    println!("at most {} times the body: {}", worst.0, worst.1);
    let control = peak_of(|| drop(std::hint::black_box(vec![1_u8; SIZE])));
    assert!(control >= SIZE, "the allocator counts");
    assert!(worst.0 >= 1, "something was read");
    let usual = call(r#""transcript_object":[{"role":"user","content":"hello"}]"#);
    let turns = webhook::read(usual.as_bytes()).expect("JSON").content.conversation();
    assert_eq!(turns.first().expect("a turn").content, "hello");
}
