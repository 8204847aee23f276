//! Properties that hold for any text.

use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use proptest::prelude::*;
use redialer_when::{Call, CallbackTime, Lang, Role, Turn, read};

use crate::corpus::{Case, FILES, cases};

fn read_answer(text: &str, lang: Lang, only_the_time: bool) -> CallbackTime {
    let turns = [
        Turn { role: Role::Agent, content: "When can I call you back?".to_owned() },
        Turn { role: Role::User, content: text.to_owned() },
    ];
    let end = "2026-11-01T05:30:00Z".parse().expect("a time");
    read(&Call { only_the_time, lang, ..Call::new(&turns, end, "America/New_York") })
}

/// Texts of words that the rules match, and of a few that they do not.
fn words() -> impl Strategy<Value = String> {
    let words = "in half an hour and a 99999 12:99 next friday p m . at 26 weeks tonight noon couple of \
        call me 12 minutes quarter to one thirty the 31st february 2026-02-30 after before between until \
        not no wait monday your time eastern - / 1400 hours ish la las tres y media menos cuarto manana por \
        de que viene lunes el veintitres ? 0 00:00 24 second first last from now that end year easter 2 or \
        x ' 9.30 veinte diez treinta seis pm";
    let word = prop::sample::select(words.split(' ').collect::<Vec<_>>());
    prop::collection::vec(word, 0..16).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn no_text_panics_or_gives_a_past_time(text in ".{0,200}", only in any::<bool>(), es in any::<bool>()) {
        let lang = if es { Lang::Es } else { Lang::En };
        let time = read_answer(&text, lang, only);
        prop_assert!(time.at.is_none_or(|at| at >= "2026-11-01T05:30:00Z".parse().expect("a time")));
    }

    #[test]
    fn no_time_words_panic_or_give_two_answers(text in words(), only in any::<bool>(), es in any::<bool>()) {
        let lang = if es { Lang::Es } else { Lang::En };
        let first = read_answer(&text, lang, only);
        prop_assert_eq!(&first, &read_answer(&text, lang, only));
        prop_assert!(first.at.is_none_or(|at| at >= "2026-11-01T05:30:00Z".parse().expect("a time")));
        prop_assert!((0.0..=1.0).contains(&first.confidence));
        prop_assert!(first.earliest <= first.at && first.at <= first.latest);
    }
}

#[test]
fn long_repetitions_exhaust_no_memory_or_stack() {
    for row in ["2 days after ", "2 semanas despues de ", "three or four ", "half past ", "call me back at "]
    {
        for lang in [Lang::En, Lang::Es] {
            let text = row.repeat(5_000);
            assert_eq!(read_answer(&text, lang, true), read_answer(&text, lang, true), "{row}");
        }
    }
}

fn calls() -> impl Iterator<Item = Case> {
    FILES.iter().filter(|(file, _)| !file.contains("expressions")).flat_map(|(file, _)| cases(file))
}

fn is_english(case: &Case) -> bool {
    case.lang == Lang::En
}

#[test]
fn fillers_and_a_farewell_change_no_answer() {
    let mut changed = Vec::new();
    for mut case in calls().filter(is_english) {
        let before = case.callback_time();
        for turn in &mut case.turns {
            if turn.role == Role::User {
                turn.content = format!("um, {}", turn.content).replacen(" at ", " at uh ", 1);
            }
        }
        case.turns.push(Turn { role: Role::Agent, content: "Thank you, have a great day!".to_owned() });
        case.turns.push(Turn { role: Role::User, content: "You too, bye bye.".to_owned() });
        if case.callback_time().at != before.at {
            changed.push(format!("{}: {:?} and {:?}", case.id, before.at, case.callback_time().at));
        }
    }
    assert!(changed.is_empty(), "{}", changed.join("\n"));
}

#[test]
fn the_spelling_of_pm_changes_no_answer() {
    for mut case in calls().filter(is_english) {
        let before = case.callback_time();
        for turn in &mut case.turns {
            turn.content = turn.content.replace(" PM", " p m").replace(" AM", " a m");
        }
        assert_eq!(case.callback_time().at, before.at, "{}", case.id);
    }
}

#[test]
fn a_weekday_answer_moves_with_the_week() {
    let zone = TimeZone::get("America/New_York").expect("a zone");
    for spoken in [
        "call me friday at three",
        "next tuesday at 10 am please call me",
        "call me monday morning",
        "call me this weekend",
    ] {
        let turns = [Turn { role: Role::User, content: spoken.to_owned() }];
        let at = |end: &jiff::Zoned| {
            let call = Call::new(&turns, end.timestamp(), "America/New_York");
            read(&call).at.map(|at| at.to_zoned(zone.clone()).datetime())
        };
        let first: jiff::Zoned = "2026-01-07T10:30:00-05:00[America/New_York]".parse().expect("a time");
        let base = at(&first).expect("a time");
        for week in 1..260_i64 {
            let end = first.checked_add(week.weeks()).expect("in range");
            let want = base.checked_add(week.weeks()).expect("in range");
            assert_eq!(at(&end), Some(want), "{spoken}, {week} weeks on");
        }
    }
}

#[test]
fn clock_changes_keep_elapsed_hours_and_wall_times() {
    let from: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
    let to: Timestamp = "2031-01-01T00:00:00Z".parse().expect("a time");
    let spoken = |content: &str| [Turn { role: Role::User, content: content.to_owned() }];
    let (elapsed, wall) = (spoken("call me in three hours"), spoken("call me tomorrow at 3 pm"));
    let mut seen = 0;
    for name in jiff::tz::db().available() {
        let Ok(zone) = TimeZone::get(name.as_str()) else { continue };
        for change in zone.following(from).take_while(|c| c.timestamp() < to) {
            seen += 1;
            let end = change.timestamp() - jiff::SignedDuration::from_mins(90);
            let answer = |turns: &[Turn]| read(&Call::new(turns, end, name.as_str())).at.expect("a time");
            assert_eq!(answer(&elapsed).duration_since(end).as_hours(), 3, "{} {end}", name.as_str());
            let at = answer(&wall).to_zoned(zone.clone());
            assert_eq!((at.hour(), at.minute()), (15, 0), "{} {end}", name.as_str());
        }
    }
    assert!(seen > 1000, "only {seen} clock changes");
}
