//! Small requests that dialers have been seen to get wrong: numbers in every notation, answers in every spelling,
//! machines that "ask", and times in two languages. Each goes the whole way, from the signed webhook to the row.

use jiff::{Zoned, tz::TimeZone};
use redialer_core::Timestamp;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Engine, OURS, VOICE, Walk};

async fn begin() -> Walk {
    let walk = Walk::begin(Engine::Sqlite, 1).await;
    walk.defaults(json!({"allowed_countries": "*"})).await;
    walk
}

/// An inbound call whose analysis extracted that.
fn inbound(walk: &Walk, id: &str, person: &str, said: &str, extracted: &Value) -> Value {
    let end = walk.now().as_millisecond();
    json!({"event": "call_analyzed", "call": {
        "call_id": id, "call_type": "phone_call", "agent_id": VOICE, "direction": "inbound",
        "from_number": person, "to_number": OURS, "disconnection_reason": "user_hangup",
        "start_timestamp": end - 60_000, "end_timestamp": end, "transcript": said,
        "call_analysis": {"custom_analysis_data": extracted},
    }})
}

/// The callbacks that each of those events led to, by the id of its call.
async fn after(walk: &Walk, events: &[Value]) -> impl Fn(&str) -> Vec<Value> + use<> {
    for event in events {
        assert_eq!(walk.deliver(&event.to_string()).await, StatusCode::NO_CONTENT, "{event}");
    }
    walk.until_decided(events.len()).await;
    let rows = walk.all_callbacks().await;
    move |id| rows.iter().filter(|row| row["source_call_id"] == id).cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_read_in_every_notation_and_refused_for_what_it_is() {
    let walk = begin().await;
    let table = [
        // Withheld callers, spelled on a keypad; local numbers behind a country's code.
        ("+8656696", None),
        ("+86282452253", None),
        ("+15550117", None),
        ("+8610123", None),
        ("+4420794601", None),
        // Personal, satellite and international-network numbers.
        ("+447000555012", None),
        ("+870773111632", None),
        ("+88299123456", None),
        ("+883510012345678", None),
        ("0014155550117", Some("+14155550117")),
        ("sip:+14155550120@sip.example.net", Some("+14155550120")),
        ("+14155550121;ext=12", Some("+14155550121")),
        ("\u{202a}+14155550123\u{202c}", Some("+14155550123")),
        ("+1\u{2011}415\u{2011}5550125", Some("+14155550125")),
        ("\u{ff0b}14155550126", Some("+14155550126")),
        // Mexico's old mobile prefix; numbers without a plus.
        ("+5213312345678", Some("+523312345678")),
        ("+5218112345678", Some("+528112345678")),
        ("+5216641234567", Some("+526641234567")),
        ("525588902311", Some("+525588902311")),
        ("13125550188", Some("+13125550188")),
        ("918777562720", Some("+918777562720")),
        ("<sip:+13125550189@pstn.example.com;user=phone>", Some("+13125550189")),
        ("sip:13125550187@pstn.example.com", Some("+13125550187")),
        ("+13125550186@sip.example.com", Some("+13125550186")),
    ];
    let ask = json!({"redialer.io_callback": true, "redialer.io_callback_time": "in 2 hours"});
    let events =
        table.iter().enumerate().map(|(i, (number, _))| inbound(&walk, &format!("n{i}"), number, "", &ask));
    let of = after(&walk, &events.collect::<Vec<_>>()).await;
    for (i, (number, want)) in table.iter().enumerate() {
        let rows = of(&format!("n{i}"));
        let to: Vec<_> = rows.iter().map(|row| row["to_number"].as_str().expect("a number")).collect();
        assert_eq!(to, want.iter().copied().collect::<Vec<_>>(), "{number}");
    }
    let agent = walk.agent(VOICE).await["id"].clone();
    let local = json!({"agent_id": agent, "to_number": "+15550142", "at": crate::harness::days_ahead(1)});
    walk.ask(Method::POST, "/v1/callbacks", Some(local), StatusCode::UNPROCESSABLE_ENTITY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_counts_in_every_spelling_and_a_near_miss_is_named() {
    let walk = begin().await;
    let time = |name: &str, answer: Value| json!({name: answer, "redialer.io_callback_time": "in 2 hours"});
    let table = [
        (time("redialer.io_callback", json!("yes")), true),
        (time("redialer.io_callback", json!("Yes")), true),
        (time("redialer.io_callback", json!("1")), true),
        (time("redialer.io_callback ", json!(true)), true),
        (time("redialer io callback", json!(true)), true),
        (time("redialer.io_callback", json!("maybe")), false),
        (time("callback", json!(true)), false),
    ];
    let event = |i: usize| {
        inbound(
            &walk,
            &format!("a{i}"),
            &format!("+141555501{:02}", 30 + i),
            "",
            &table.get(i).expect("a row").0,
        )
    };
    let of = after(&walk, &(0..table.len()).map(event).collect::<Vec<_>>()).await;
    for (i, (extracted, asks)) in table.iter().enumerate() {
        assert_eq!(of(&format!("a{i}")).len(), usize::from(*asks), "{extracted}");
    }
    let notes = walk.notes().await;
    assert_eq!(notes.iter().filter(|code| *code == "no_request").count(), 2, "{notes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extracted_time_is_read_in_both_languages_and_in_seconds() {
    let walk = begin().await;
    let end = walk.now().as_millisecond();
    let tomorrow = end / 1_000 + 30 * 3_600;
    let midnight = "2027-03-02T24:00:00";
    let times = [
        tomorrow.to_string(),
        midnight.to_owned(),
        "mañana a las 3 de la tarde".to_owned(),
        "mañana a las 10".to_owned(),
        "pasado mañana a las 5 de la tarde".to_owned(),
        "el jueves a las 4 de la tarde".to_owned(),
    ];
    let event = |(i, time): (usize, &String)| {
        let ask = json!({"redialer.io_callback": true, "redialer.io_callback_time": time});
        inbound(
            &walk,
            &format!("t{i}"),
            &format!("+131255501{:02}", 40 + i),
            "User: yes please call me back then",
            &ask,
        )
    };
    let of = after(&walk, &times.iter().enumerate().map(event).collect::<Vec<_>>()).await;
    let row = |i: usize| of(&format!("t{i}")).pop().unwrap_or_else(|| panic!("{}: no callback", times[i]));
    let at =
        |i: usize| row(i)["requested_for"].as_str().expect("a time").parse::<Timestamp>().expect("RFC 3339");
    assert_eq!(at(0).as_second(), tomorrow);
    assert_eq!(at(1), "2027-03-03T00:00:00-06:00".parse().expect("a time"));
    assert_eq!([2, 3, 4, 5].map(|i| on_clock(&row(i), "America/Chicago").hour()), [15, 10, 17, 16]);
}

/// When a callback was asked for, on the clock of a zone.
fn on_clock(row: &Value, zone: &str) -> Zoned {
    let at: Timestamp = row["requested_for"].as_str().expect("a time").parse().expect("RFC 3339");
    at.to_zoned(TimeZone::get(zone).expect("a zone"))
}

#[tokio::test(flavor = "multi_thread")]
async fn words_are_understood_on_the_clock_of_the_number() {
    let walk = begin().await;
    let table = [
        ("+16895550142", "America/New_York"),
        ("+14235550142", "America/New_York"),
        ("+14745550142", "America/Regina"),
        ("+18795550142", "America/St_Johns"),
        ("+14485550142", "America/Chicago"),
        ("+351912345678", "Europe/Lisbon"),
        ("+61861234567", "Australia/Perth"),
    ];
    let ask = json!({"redialer.io_callback": true});
    let said = "Agent: When may we call you?\nUser: Call me tomorrow\nat 3 pm.";
    let event =
        |(i, (number, _)): (usize, &(&str, &str))| inbound(&walk, &format!("z{i}"), number, said, &ask);
    let of = after(&walk, &table.iter().enumerate().map(event).collect::<Vec<_>>()).await;
    for (i, (number, zone)) in table.iter().enumerate() {
        let row = of(&format!("z{i}")).pop().expect("a callback");
        let at = on_clock(&row, zone);
        assert_eq!((at.hour(), at.minute()), (15, 0), "{number}: {row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_asks_for_nothing() {
    let walk = begin().await;
    let end = walk.now().as_millisecond();
    let table = [
        (
            "voicemail_reached",
            json!({"redialer.io_callback": true, "redialer.io_callback_time": "tonight at 11 PM"}),
        ),
        (
            "voicemail_reached",
            json!({"redialer.io_callback": "true", "redialer.io_callback_time": "Monday 9am"}),
        ),
        ("ivr_reached", json!({"redialer.io_callback": true})),
    ];
    let mut events = Vec::new();
    for (i, (reason, extracted)) in table.iter().enumerate() {
        for (event, analysis) in [
            ("call_ended", Value::Null),
            ("call_analyzed", json!({"in_voicemail": true, "custom_analysis_data": extracted})),
        ] {
            events.push(json!({"event": event, "call": {
                "call_id": format!("m{i}"), "call_type": "phone_call", "agent_id": VOICE, "direction": "outbound",
                "from_number": OURS, "to_number": format!("+131255501{:02}", 60 + i),
                "disconnection_reason": reason, "start_timestamp": end - 60_000, "end_timestamp": end,
                "call_analysis": analysis,
            }}));
        }
    }
    let of = after(&walk, &events).await;
    for (i, (reason, extracted)) in table.iter().enumerate() {
        let rows = of(&format!("m{i}"));
        let [row] = rows.as_slice() else { panic!("{reason} {extracted}: {rows:?}") };
        assert_eq!(row["reason"], "voicemail_followup", "{reason} {extracted}");
        let due: Timestamp = row["scheduled_for"].as_str().expect("a time").parse().expect("RFC 3339");
        assert_eq!(due.as_millisecond() - end, 4 * 3_600_000, "{reason} {extracted}");
    }
    assert!(walk.notes().await.contains(&"no_person".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_by_hand_takes_spanish_and_no_moment_that_is_gone() {
    let walk = begin().await;
    let agent = walk.agent(VOICE).await["id"].clone();
    let schedule = async |i: usize, when: Value, want: StatusCode| {
        let mut body = json!({"agent_id": agent, "to_number": format!("+131255501{:02}", 10 + i)});
        body.as_object_mut().expect("an object").extend(when.as_object().expect("an object").clone());
        walk.ask(Method::POST, "/v1/callbacks", Some(body), want).await
    };
    for (i, gone) in ["1970-01-01T00:00:00Z", &(walk.now() - jiff::SignedDuration::from_hours(3)).to_string()]
        .into_iter()
        .enumerate()
    {
        let refused = schedule(i, json!({"at": gone}), StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(refused["error"]["param"], "at");
    }
    for (i, gone) in ["yesterday at 3 pm", "last night at 8", "two days ago at 4"].into_iter().enumerate() {
        let words = json!({"text": gone, "timezone": "America/Chicago"});
        let refused = schedule(i, words, StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(refused["error"]["param"], "text", "{gone}");
    }
    for (i, (text, hour, minute)) in [
        ("el martes a las 4 de la tarde", 16, 0),
        ("pasado mañana a las 10", 10, 0),
        ("a las 4 y media de la tarde", 16, 30),
        ("el jueves a las 11 de la mañana", 11, 0),
        ("mañana a las 10", 10, 0),
        ("el 15 de diciembre a las 9", 9, 0),
    ]
    .into_iter()
    .enumerate()
    {
        let made =
            schedule(10 + i, json!({"text": text, "timezone": "Europe/Madrid"}), StatusCode::CREATED).await;
        let at = on_clock(&made, "Europe/Madrid");
        assert_eq!((at.hour(), at.minute()), (hour, minute), "{text}");
    }
    for (i, (text, minutes)) in [("en 2 horas", 120), ("dentro de 20 minutos", 20)].into_iter().enumerate() {
        let before = walk.now();
        let made =
            schedule(20 + i, json!({"text": text, "timezone": "Europe/Madrid"}), StatusCode::CREATED).await;
        let late = on_clock(&made, "UTC").timestamp().duration_since(before).as_secs() - minutes * 60;
        assert!((-60..=60).contains(&late), "{text}: {made}");
    }
}
