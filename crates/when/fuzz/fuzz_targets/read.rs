//! For any text, `read` terminates, is deterministic, and returns no time before the call's end.
#![no_main]

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use redialer_when::{Call, Lang, Role, Turn, read};

const ZONES: [&str; 6] =
    ["America/New_York", "Europe/London", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia", "UTC"];

fuzz_target!(|input: (u32, u8, &str)| {
    let (seconds, choice, text) = input;
    // Each line is a turn; a leading space marks a turn of the agent.
    let turns: Vec<Turn> = text
        .lines()
        .map(|line| match line.strip_prefix(' ') {
            Some(content) => Turn { role: Role::Agent, content: content.to_owned() },
            None => Turn { role: Role::User, content: line.to_owned() },
        })
        .collect();
    let end = Timestamp::from_second(i64::from(seconds)).expect("within jiff's years");
    let call = Call {
        agent_zone: (choice & 8 != 0).then_some("America/Los_Angeles"),
        only_the_time: choice & 16 != 0,
        lang: if choice & 32 == 0 { Lang::En } else { Lang::Es },
        ..Call::new(&turns, end, ZONES[usize::from(choice) % ZONES.len()])
    };
    let time = read(&call);
    assert_eq!(time, read(&call));
    if let Some(at) = time.at {
        assert!(at >= end);
        assert!(time.earliest.is_some_and(|earliest| earliest <= at));
        assert!(time.latest.is_some_and(|latest| latest >= at));
        assert!(turns[time.turn].content.contains(&time.evidence));
        assert!((0.0..=1.0).contains(&time.confidence));
    }
});
