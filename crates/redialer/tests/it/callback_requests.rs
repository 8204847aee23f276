//! Small requests that dialers are known to get wrong: numbers in every notation, answers in every spelling, machines
//! that "ask", and times in two languages. Each is tested from the signed webhook to the row.

use std::collections::{BTreeMap, HashSet};

use jiff::{SignedDuration, ToSpan as _, Zoned, tz::TimeZone};
use redialer_core::time::plus;
use redialer_sim::retell::script::Behavior;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Engine, OURS, VOICE, Walk, scripted_call, time};

async fn walk() -> Walk {
    let walk = Walk::at_speed(Engine::Sqlite, 1).await;
    walk.defaults(json!({"allowed_countries": "*"})).await;
    walk
}

/// An inbound call whose analysis extracted `extracted`.
fn inbound(walk: &Walk, id: &str, person: &str, transcript: &str, extracted: &Value) -> Value {
    let end = walk.now().as_millisecond();
    json!({"event": "call_analyzed", "call": {
        "call_id": id, "call_type": "phone_call", "agent_id": VOICE, "direction": "inbound",
        "from_number": person, "to_number": OURS, "disconnection_reason": "user_hangup",
        "start_timestamp": end - 60_000, "end_timestamp": end, "transcript": transcript,
        "call_analysis": {"custom_analysis_data": extracted},
    }})
}

/// The callbacks that resulted from each of these events, by the id of its call.
async fn after(walk: &Walk, events: &[Value]) -> impl Fn(&str) -> Vec<Value> + use<> {
    for event in events {
        assert_eq!(walk.deliver(&event.to_string()).await, StatusCode::NO_CONTENT, "{event}");
    }
    walk.until_decided(events.len()).await;
    let rows = walk.all_callbacks().await;
    move |id| rows.iter().filter(|row| row["source_call_id"] == id).cloned().collect()
}

/// The codes of the notes on the events of each call, by the call's id.
async fn notes_by_call(walk: &Walk) -> BTreeMap<String, Vec<String>> {
    let feed = walk.get("/v1/activity?kind=webhook&limit=200").await;
    let mut notes = BTreeMap::<String, Vec<String>>::new();
    for event in feed["data"].as_array().expect("a list") {
        let call = event["provider_call_id"].as_str().expect("an id").to_owned();
        let codes = event["notes"].as_array().expect("a list").iter().map(|note| &note["code"]);
        notes.entry(call).or_default().extend(codes.map(|code| code.as_str().expect("a code").to_owned()));
    }
    notes
}

#[tokio::test(flavor = "multi_thread")]
async fn phone_numbers_are_parsed_in_every_notation_and_refused_by_kind() {
    let walk = walk().await;
    let table = [
        // Withheld callers, spelled on a keypad; local numbers after a country code.
        ("+8656696", Err("bad_number")),
        ("+86282452253", Err("bad_number")),
        ("+15550117", Err("bad_number")),
        ("+8610123", Err("bad_number")),
        ("+4420794601", Err("bad_number")),
        // Personal, satellite and international-network numbers.
        ("+447000555012", Err("premium_number")),
        ("+870773111632", Err("premium_number")),
        ("+88299123456", Err("premium_number")),
        ("+883510012345678", Err("premium_number")),
        ("0014155550117", Ok("+14155550117")),
        ("sip:+14155550120@sip.example.net", Ok("+14155550120")),
        ("+14155550121;ext=12", Ok("+14155550121")),
        ("\u{202a}+14155550123\u{202c}", Ok("+14155550123")),
        ("+1\u{2011}415\u{2011}5550125", Ok("+14155550125")),
        ("\u{ff0b}14155550126", Ok("+14155550126")),
        // Mexico's old mobile prefix; numbers without a plus.
        ("+5213312345678", Ok("+523312345678")),
        ("+5218112345678", Ok("+528112345678")),
        ("+5216641234567", Ok("+526641234567")),
        ("525588902311", Ok("+525588902311")),
        ("13125550188", Ok("+13125550188")),
        ("918777562720", Ok("+918777562720")),
        ("<sip:+13125550189@pstn.example.com;user=phone>", Ok("+13125550189")),
        ("sip:13125550187@pstn.example.com", Ok("+13125550187")),
        ("+13125550186@sip.example.com", Ok("+13125550186")),
    ];
    let ask = json!({"redialer.io_callback": true, "redialer.io_callback_time": "in 2 hours"});
    let events =
        table.iter().enumerate().map(|(i, (number, _))| inbound(&walk, &format!("n{i}"), number, "", &ask));
    let of = after(&walk, &events.collect::<Vec<_>>()).await;
    let notes = notes_by_call(&walk).await;
    for (i, (number, want)) in table.iter().enumerate() {
        let rows = of(&format!("n{i}"));
        let to: Vec<_> = rows.iter().map(|row| row["to_number"].as_str().expect("a number")).collect();
        assert_eq!(to, want.iter().copied().collect::<Vec<_>>(), "{number}");
        let codes = notes.get(&format!("n{i}")).expect("an event");
        assert_eq!(*codes, want.err().into_iter().collect::<Vec<_>>(), "{number}");
    }
    let agent = walk.agent_id(VOICE).await;
    let local = json!({"agent_id": agent, "to_number": "+15550142", "at": crate::harness::days_ahead(1)});
    walk.request(Method::POST, "/v1/callbacks", Some(local), StatusCode::UNPROCESSABLE_ENTITY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extracted_boolean_counts_in_every_spelling_and_a_near_miss_gets_a_note() {
    let walk = walk().await;
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
async fn an_extracted_time_is_parsed_in_english_in_spanish_and_in_epoch_seconds() {
    let walk = walk().await;
    let end = walk.now().as_millisecond();
    let tomorrow = end / 1_000 + 30 * 3_600;
    let last_day = walk.now().to_zoned(zone("America/Chicago")).date() + 30.days();
    let times = [
        tomorrow.to_string(),
        format!("{last_day}T24:00:00"),
        "mañana a las 3 de la tarde".to_owned(),
        "mañana a las 10".to_owned(),
        "pasado mañana a las 5 de la tarde".to_owned(),
        "el jueves a las 4 de la tarde".to_owned(),
    ];
    // The tests of `core` assert the date of each, with a fixed end of the call.
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
    let at = |i: usize| time(&row(i)["requested_for"]);
    assert_eq!(at(0).as_second(), tomorrow);
    let chicago = |i: usize, format: &str| on_clock(&row(i), "America/Chicago").strftime(format).to_string();
    assert_eq!(chicago(1, "%F %H:%M"), format!("{} 00:00", last_day.tomorrow().expect("a day")));
    assert_eq!([2, 3, 4].map(|i| chicago(i, "%H:%M")), ["15:00", "10:00", "17:00"]);
    assert_eq!(chicago(5, "%a %H:%M"), "Thu 16:00");
}

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).expect("a zone")
}

/// The requested time of a callback, in a zone.
fn on_clock(row: &Value, name: &str) -> Zoned {
    time(&row["requested_for"]).to_zoned(zone(name))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoken_time_is_resolved_in_the_time_zone_of_the_number() {
    let walk = walk().await;
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
    let transcript = "Agent: When may we call you?\nUser: Call me tomorrow\nat 3 pm.";
    let event =
        |(i, (number, _)): (usize, &(&str, &str))| inbound(&walk, &format!("z{i}"), number, transcript, &ask);
    let of = after(&walk, &table.iter().enumerate().map(event).collect::<Vec<_>>()).await;
    for (i, (number, zone)) in table.iter().enumerate() {
        let row = of(&format!("z{i}")).pop().expect("a callback");
        let at = on_clock(&row, zone);
        assert_eq!((at.hour(), at.minute()), (15, 0), "{number}: {row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn voicemails_and_phone_menus_request_no_callback() {
    let walk = walk().await;
    let end = walk.now().as_millisecond();
    // Four hours from now is outside quiet hours, twelve hours from now is inside.
    let clock = |hours: i64| {
        let at = plus(walk.now(), SignedDuration::from_hours(hours));
        at.to_zoned(zone("America/Chicago")).strftime("%H:%M").to_string()
    };
    walk.defaults(json!({"quiet_hours": {"start": clock(8), "end": clock(18)}})).await;
    let asks = |time: &str| json!({"redialer.io_callback": true, "redialer.io_callback_time": time});
    let both = ["call_ended", "call_analyzed"].as_slice();
    let table = [
        ("voicemail_reached", true, asks("tonight at 11 PM"), both),
        ("voicemail_reached", true, asks("in 12 hours"), both),
        (
            "voicemail_reached",
            true,
            json!({"redialer.io_callback": "true", "redialer.io_callback_time": "Monday 9am"}),
            both,
        ),
        ("ivr_reached", true, json!({"redialer.io_callback": true}), both),
        ("ivr_reached", false, json!({"redialer.io_callback": true}), both),
        ("voicemail_reached", true, asks("Monday at 9 AM"), &["call_analyzed"]),
        ("voicemail_reached", false, asks("Monday at 9 AM"), &["call_analyzed"]),
    ];
    let mut events = Vec::new();
    for (i, (reason, in_voicemail, extracted, kinds)) in table.iter().enumerate() {
        for kind in *kinds {
            let analysis = json!({"in_voicemail": in_voicemail, "custom_analysis_data": extracted});
            events.push(json!({"event": kind, "call": {
                "call_id": format!("m{i}"), "call_type": "phone_call", "agent_id": VOICE, "direction": "outbound",
                "from_number": OURS, "to_number": format!("+131255501{:02}", 60 + i),
                "disconnection_reason": reason, "start_timestamp": end - 60_000, "end_timestamp": end,
                "call_analysis": if *kind == "call_analyzed" { analysis } else { Value::Null },
            }}));
        }
    }
    let of = after(&walk, &events).await;
    let notes = notes_by_call(&walk).await;
    for (i, (reason, in_voicemail, extracted, _)) in table.iter().enumerate() {
        let what = format!("{reason} {in_voicemail} {extracted}");
        let rows = of(&format!("m{i}"));
        let [row] = rows.as_slice() else { panic!("{what}: {rows:?}") };
        assert_eq!(row["reason"], "voicemail_followup", "{what}");
        assert_eq!(time(&row["scheduled_for"]).as_millisecond() - end, 4 * 3_600_000, "{what}");
        assert_eq!(notes.get(&format!("m{i}")).expect("an event"), &["no_person"], "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voicemail_that_requests_a_callback_each_time_is_dialed_three_times() {
    let walk = Walk::at_speed(Engine::Sqlite, 20_000).await;
    let verified = walk.run(&["audit", "verify"]);
    let tenant = verified.split(' ').next().expect("an id");
    walk.run(&["tenant", "change-plan", "--tenant", tenant, "--plan", "starter"]);
    let workspace = walk.get(&format!("/v1/workspaces/{}", walk.workspace)).await;
    assert_eq!(workspace["plan"], "starter");
    // A call that the agent hangs up counts as a conversation until the analysis reports a voicemail.
    let people = [("+13125550142", "voicemail_reached"), ("+13125550143", "agent_hangup")];
    for (person, ends) in people {
        let does = Behavior { in_voicemail: true, ends: ends.to_owned(), ..Behavior::asking(&[], None) };
        walk.sim.set_person(person, vec![does.clone()]);
        walk.sim.start_call(&scripted_call("outbound", person, does));
    }
    walk.until("every dial to be analyzed", async |walk: &Walk| {
        let feed = walk.get("/v1/activity?kind=webhook&limit=200").await;
        let events = feed["data"].as_array().expect("a list");
        // A late analysis is fetched too, so one call may have two events for it.
        let analyzed = events.iter().filter(|e| e["event"] == "call_analyzed" && e["state"] == "done");
        let calls: HashSet<_> = analyzed.map(|e| e["provider_call_id"].as_str()).collect();
        calls.len() == people.len() * 4
    })
    .await;
    let rows = walk.callbacks().await;
    for (person, ends) in people {
        let own: Vec<_> = rows.iter().filter(|row| row["to_number"] == person).collect();
        let attempts: Vec<_> = own.iter().map(|row| (&row["reason"], &row["attempt"])).collect();
        let reason = json!("voicemail_followup");
        assert_eq!(attempts, [json!(1), json!(2), json!(3)].each_ref().map(|n| (&reason, n)), "{ends}");
        assert!(own.iter().all(|row| row["chain_root_id"] == own[0]["id"]), "{ends}: {own:?}");
        assert_eq!(walk.rings(person).len(), 3, "{ends}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manual_callback_accepts_spanish_and_no_time_in_the_past() {
    let walk = walk().await;
    let agent = walk.agent_id(VOICE).await;
    let schedule = async |i: usize, when: Value, want: StatusCode| {
        let mut body = json!({"agent_id": agent, "to_number": format!("+131255501{:02}", 10 + i)});
        body.as_object_mut().expect("an object").extend(when.as_object().expect("an object").clone());
        walk.request(Method::POST, "/v1/callbacks", Some(body), want).await
    };
    for (i, gone) in ["1970-01-01T00:00:00Z", &(walk.now() - SignedDuration::from_hours(3)).to_string()]
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
    // The tests of `core` assert the date of each, with a fixed time of the request.
    for (i, (text, format, want)) in [
        ("el martes a las 4 de la tarde", "%a %H:%M", "Tue 16:00"),
        ("pasado mañana a las 10", "%H:%M", "10:00"),
        ("a las 4 y media de la tarde", "%H:%M", "16:30"),
        ("el jueves a las 11 de la mañana", "%a %H:%M", "Thu 11:00"),
        ("mañana a las 10", "%H:%M", "10:00"),
        ("el 15 de diciembre a las 9", "%d %b %H:%M", "15 Dec 09:00"),
    ]
    .into_iter()
    .enumerate()
    {
        let made =
            schedule(10 + i, json!({"text": text, "timezone": "Europe/Madrid"}), StatusCode::CREATED).await;
        assert_eq!(on_clock(&made, "Europe/Madrid").strftime(format).to_string(), want, "{text}");
    }
    for (i, (text, minutes)) in [("en 2 horas", 120), ("dentro de 20 minutos", 20)].into_iter().enumerate() {
        let before = walk.now();
        let made =
            schedule(20 + i, json!({"text": text, "timezone": "Europe/Madrid"}), StatusCode::CREATED).await;
        let late = on_clock(&made, "UTC").timestamp().duration_since(before).as_secs() - minutes * 60;
        assert!((-60..=60).contains(&late), "{text}: {made}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agents_own_extraction_field_requests_a_callback_and_a_hold_is_explained_first() {
    let walk = walk().await;
    walk.defaults(json!({"unclear_time": {"action": "hold"}})).await;
    let agent = format!("/v1/agents/{}", walk.agent_id(VOICE).await);
    let own = json!({"overrides": {"callback_field": "call_me"}});
    walk.request(Method::PATCH, &agent, Some(own), StatusCode::OK).await;
    let asks = inbound(&walk, "c1", "+13125550142", "User: Sometime.", &json!({"call_me": true}));
    let rows = after(&walk, &[asks]).await("c1");
    assert_eq!((rows.len(), &rows[0]["held_for"]), (1, &json!("unclear_time")));
    let why = walk.get(&format!("/v1/callbacks/{}/explain", rows[0]["id"].as_str().expect("an id"))).await;
    let first = &why["gates"][0];
    assert_eq!(
        (&first["gate"], &first["input"], &first["verdict"]),
        (&json!("held"), &json!("unclear_time"), &json!("hold"))
    );
    assert!(!first["message"].as_str().expect("a sentence").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_contradict_an_agents_overrides_are_refused() {
    let walk = walk().await;
    walk.defaults(json!({"quiet_hours": {"start": "21:00", "end": "09:00"}})).await;
    let agent = format!("/v1/agents/{}", walk.agent_id(VOICE).await);
    let own = json!({"overrides": {"quiet_hours": {"start": "18:00"}}});
    walk.request(Method::PATCH, &agent, Some(own), StatusCode::OK).await;
    let workspace = format!("/v1/workspaces/{}", walk.workspace);
    let patch = json!({"defaults": {"quiet_hours": null}});
    let refused =
        walk.request(Method::PATCH, &workspace, Some(patch.clone()), StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(refused["error"]["param"], "defaults.quiet_hours");
    let inherits = json!({"overrides": {"quiet_hours": null}});
    walk.request(Method::PATCH, &agent, Some(inherits), StatusCode::OK).await;
    walk.request(Method::PATCH, &workspace, Some(patch), StatusCode::OK).await;
}
