//! Latency of `read` for calls of 7, 100 and 1000 turns.
//!
//! Goals: a median under 200 µs for seven turns and under 50 ms for a thousand, which requires linear time.

#![expect(missing_docs, reason = "what criterion's macros make has none")]

use criterion::{Criterion, criterion_group, criterion_main};
use redialer_when::{Call, Role, Turn, read};

const TALK: [(Role, &str); 7] = [
    (Role::Agent, "Hi, this is Rosa from Lakeside Heating, is this a good time?"),
    (Role::User, "Um, not really, I'm at work until four and then I pick up the kids."),
    (Role::Agent, "No problem. When would be a good time to call you back?"),
    (Role::User, "Uh, tomorrow maybe, around half past three, no wait, make it Thursday, same time."),
    (Role::Agent, "So Thursday the ninth at 3:30 in the afternoon?"),
    (Role::User, "Yeah, that works, the office closes at five anyway."),
    (Role::Agent, "Great, talk to you then. Have a good day!"),
];

fn turns(n: usize) -> Vec<Turn> {
    let turn = |(role, content): &(Role, &str)| Turn { role: *role, content: (*content).to_owned() };
    TALK.iter().cycle().take(n).map(turn).collect()
}

fn hear(c: &mut Criterion) {
    for n in [7, 100, 1000] {
        let turns = turns(n);
        let end = "2026-04-07T17:20:00Z".parse().unwrap_or_default();
        let call = Call::new(&turns, end, "America/Chicago");
        c.bench_function(&format!("{n} turns"), |b| b.iter(|| read(&call)));
    }
}

criterion_group!(benches, hear);
criterion_main!(benches);
