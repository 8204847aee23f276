//! Which of the times that were mentioned is the one to call at: the last one that the two sides are left with.

use jiff::{Timestamp, Zoned};

use crate::{
    Call, Role,
    expressions::{self, Found},
    tokens::{Kind, Token, tokens},
};

/// The chosen time.
pub(crate) struct Chosen {
    pub(crate) at: Timestamp,
    pub(crate) confidence: f64,
    pub(crate) evidence: String,
    pub(crate) rule: &'static str,
}

/// The last time that a sentence about calling names; failing that, the last one the person named.
pub(crate) fn choose(call: &Call<'_>, end: &Zoned) -> Option<Chosen> {
    let mut best: Option<(u8, Chosen)> = None;
    // Whether the talk has come to calling back: from then on a bare "tomorrow at three" answers it.
    let mut on_topic = call.only_the_time;
    let mut day = None;
    for turn in call.turns {
        let all = tokens(&turn.content);
        for sentence in all.split(|t| t.kind == Kind::Stop) {
            let calling = sentence.iter().any(|t| CALLING.contains(&t.word()));
            on_topic |= calling;
            let last = expressions::find(sentence, end, call.only_the_time, day)
                .into_iter()
                .rfind(|f| f.at >= end.timestamp());
            let Some(found) = last else { continue };
            if on_topic {
                day = found.day.or(day);
            }
            let rank = match (calling, on_topic, turn.role) {
                (true, ..) => 2,
                (false, true, Role::User) => 2,
                (false, true, Role::Agent) => 1,
                (false, false, _) => 0,
            };
            // "Sure, talk tomorrow" repeats "tomorrow at nine" with less in it.
            let only_repeats = best.as_ref().is_some_and(|(_, kept)| {
                let date = |at: Timestamp| at.to_zoned(end.time_zone().clone()).date();
                is_vague(found.rule) && !is_vague(kept.rule) && date(found.at) == date(kept.at)
            });
            if !only_repeats && best.as_ref().is_none_or(|(kept, _)| rank >= *kept) {
                best = Some((rank, chosen(&turn.content, sentence, &found, rank)));
            }
        }
    }
    best.map(|(_, chosen)| chosen)
}

const CALLING: [&str; 12] = [
    "call", "calling", "callback", "ring", "phone", "try", "reach", "talk", "text", "message", "back", "dial",
];

/// A day or a part of one, without an hour.
fn is_vague(rule: &str) -> bool {
    matches!(rule, "day" | "part_of_day")
}

fn chosen(text: &str, sentence: &[Token], found: &Found, rank: u8) -> Chosen {
    let evidence = match (sentence.get(found.span.0), sentence.get(found.span.1.saturating_sub(1))) {
        (Some(first), Some(last)) => text.get(first.start..last.end).unwrap_or_default().to_owned(),
        _ => String::new(),
    };
    let confidence = if rank == 0 { found.confidence * 0.6 } else { found.confidence };
    Chosen { at: found.at, confidence, evidence, rule: found.rule }
}

#[cfg(test)]
mod tests {
    use crate::{Call, Role, Turn, read};

    /// The call ends on Monday, 23 November 2026, at 10:00 in New York.
    fn check(said: &[&str], want: &str) {
        let turns: Vec<Turn> = said
            .iter()
            .map(|line| match line.strip_prefix("agent: ") {
                Some(content) => Turn { role: Role::Agent, content: content.to_owned() },
                None => Turn { role: Role::User, content: (*line).to_owned() },
            })
            .collect();
        let call = Call {
            turns: &turns,
            end: "2026-11-23T15:00:00Z".parse().expect("a time"),
            zone: "America/New_York",
            agent_zone: None,
            only_the_time: false,
        };
        let heard = read(&call);
        let zone = jiff::tz::TimeZone::get("America/New_York").expect("a zone");
        let got =
            heard.at.map_or("nothing".to_owned(), |at| at.to_zoned(zone).strftime("%a %d %H:%M").to_string());
        assert_eq!(got, want, "{said:?} ({})", heard.evidence);
    }

    #[test]
    fn offsets_count_from_the_end_of_the_call() {
        check(&["Can you call me back in two hours?"], "Mon 23 12:00");
        check(&["can you call me back in about two hours"], "Mon 23 12:00");
        check(&["call me in 20 minutes"], "Mon 23 10:20");
        check(&["call me in twenty five minutes"], "Mon 23 10:25");
        check(&["call me in half an hour"], "Mon 23 10:30");
        check(&["call me back in an hour and a half"], "Mon 23 11:30");
        check(&["call me in two and a half hours"], "Mon 23 12:30");
        check(&["try me an hour from now"], "Mon 23 11:00");
    }

    #[test]
    fn a_day_and_a_clock_time_meet() {
        check(&["Call me tomorrow at 3 pm."], "Tue 24 15:00");
        check(&["call me tomorrow at three p m"], "Tue 24 15:00");
        check(&["Could you call tomorrow at 9:30 a.m. please"], "Tue 24 09:30");
        check(&["call me today at 4"], "Mon 23 16:00");
        check(&["Call me back on Friday at 10:15 am"], "Fri 27 10:15");
        check(&["call me Monday at noon"], "Mon 30 12:00");
        check(&["call me tonight at eight"], "Mon 23 20:00");
        check(&["call me at 9"], "Mon 23 21:00");
        check(&["call me at 3:30"], "Mon 23 15:30");
        check(&["can you call tomorrow morning"], "Tue 24 09:00");
        check(&["call me tomorrow after lunch"], "Tue 24 13:30");
        check(&["call me next Wednesday at 2 pm"], "Wed 02 14:00");
    }

    #[test]
    fn the_last_time_agreed_on_counts() {
        check(
            &[
                "Can you call me tomorrow?",
                "agent: Sure, what time?",
                "Around 9 in the morning, no wait, make it 11 am.",
            ],
            "Tue 24 11:00",
        );
        check(&["call me tomorrow at 9 am", "agent: Sure, talk tomorrow."], "Tue 24 09:00");
        check(
            &["We open at 8 am.", "call me in an hour", "agent: Great, thanks for calling."],
            "Mon 23 11:00",
        );
    }

    #[test]
    fn no_time_is_no_answer() {
        check(&["Call me back."], "nothing");
        check(&["agent: Good morning, how can I help?", "please call me back some other time"], "nothing");
        check(&[], "nothing");
    }
}
