//! The story of the demo: six people, six scenes, each with its checks.

use anyhow::{Result, bail, ensure};
use redialer_core::{Phone, callback::State, time::from_ms};
use redialer_sim::{Behavior, Fault, PROVIDER_TITLE, PlacedCall, ScriptedCall};
use redialer_store::CallbackRow;

use crate::{
    actions::callbacks::{self, ManualRequest, NotScheduled, When},
    cli::{demo::stage::Stage, say},
};

const OURS: &str = "+12025550100";
const ANA: &str = "+13125550142";
const BEN: &str = "+18085550117";
const CLEO: &str = "+16025550123";
const DAN: &str = "+17205550111";
const EVE: &str = "+13055550188";
const FINN: &str = "+12065550164";

pub(crate) async fn run(stage: &mut Stage) -> Result<()> {
    for (number, name, zone) in [
        (ANA, "Ana", "America/Chicago"),
        (BEN, "Ben", "Pacific/Honolulu"),
        (CLEO, "Cleo", "America/Phoenix"),
        (DAN, "Dan", "America/Denver"),
        (EVE, "Eve", "America/New_York"),
        (FINN, "Finn", "America/Los_Angeles"),
    ] {
        stage.cast(number, name, zone);
    }
    a_time_is_requested(stage).await?;
    a_busy_line(stage).await?;
    a_duplicate_webhook(stage).await?;
    a_crash_at_the_worst_moment(stage).await?;
    a_do_not_call(stage).await?;
    a_machine_answers(stage).await?;
    each_callback_rang_once_and_none_at_night(stage)
}

fn call(kind: &str, person: &str, behavior: Behavior) -> ScriptedCall {
    let (agent_id, number) = ("agent_sim_front_desk".to_owned(), OURS.to_owned());
    let mut scripted = ScriptedCall {
        kind: kind.to_owned(),
        agent_id,
        person: person.to_owned(),
        number,
        behavior,
        ..ScriptedCall::default()
    };
    scripted.variables.insert("clinic_name".to_owned(), "Example Clinic".into());
    scripted
}

fn rings_of<'r>(rings: &'r [PlacedCall], number: &str) -> Vec<&'r PlacedCall> {
    rings.iter().filter(|r| r.to == number).collect()
}

/// The final callbacks that were placed as one of these calls.
fn ended<'c>(rows: &'c [CallbackRow], rings: &[&PlacedCall]) -> Vec<&'c CallbackRow> {
    let of_ring =
        |row: &&CallbackRow| rings.iter().any(|r| row.provider_call_id.as_deref() == Some(r.id.as_str()));
    rows.iter().filter(of_ring).filter(|row| row.state.is_final()).collect()
}

/// Waits until that person's phone has rung `n` times and every one of those callbacks is final.
async fn rung(stage: &mut Stage, number: &str, n: usize) -> Result<()> {
    let what = format!("{n} calls to {number}");
    stage
        .until(&what, |rows, rings| {
            let rings = rings_of(rings, number);
            rings.len() >= n && ended(rows, &rings).len() >= n
        })
        .await
}

async fn a_time_is_requested(stage: &mut Stage) -> Result<()> {
    say("1 · A caller requests a callback, then changes the time");
    stage.daytime(ANA, 16).await;
    stage.narrate(ANA, "Ana calls the clinic: \"I'm driving. Can you call me back tomorrow at 10 am?\"");
    let says =
        ["User: I'm driving. Can you call me back tomorrow at 10 am?", "Agent: Of course, tomorrow at 10."];
    stage.sim.set_person(ANA, vec![Behavior::ending("user_hangup")]);
    stage.sim.start_call(&call("inbound", ANA, Behavior::asking(&says, None)));
    stage.until("Ana's first request", |rows, _| !rows.is_empty()).await?;
    stage.narrate(ANA, "Ana calls again: \"Better today, please: in two hours.\"");
    let says = ["User: Please call me back in two hours instead.", "Agent: Of course, in two hours."];
    stage.sim.start_call(&call("inbound", ANA, Behavior::asking(&says, None)));
    rung(stage, ANA, 1).await
}

async fn a_busy_line(stage: &mut Stage) -> Result<()> {
    say("2 · A busy line");
    stage.daytime(CLEO, 19).await;
    stage.narrate(CLEO, "The clinic calls Cleo, whose line is busy");
    stage.sim.set_person(CLEO, vec![Behavior::ending("user_hangup")]);
    stage.sim.start_call(&call("outbound", CLEO, Behavior::ending("dial_busy")));
    rung(stage, CLEO, 1).await
}

async fn a_duplicate_webhook(stage: &mut Stage) -> Result<()> {
    say("3 · Every webhook arrives five times");
    stage.daytime(DAN, 18).await;
    stage.narrate(
        DAN,
        &format!(
            "Dan calls: \"Please ring me in 45 minutes.\" {PROVIDER_TITLE} sends each webhook five times"
        ),
    );
    stage.sim.set_person(DAN, vec![Behavior::ending("user_hangup")]);
    let behavior = Behavior::asking(&["User: Please ring me in 45 minutes."], Some("in 45 minutes"));
    stage.sim.start_call(&ScriptedCall { duplicates: 4, ..call("inbound", DAN, behavior) });
    rung(stage, DAN, 1).await
}

async fn a_crash_at_the_worst_moment(stage: &mut Stage) -> Result<()> {
    say("4 · redialer is killed while the provider places a call");
    stage.daytime(EVE, 19).await;
    stage.narrate(EVE, "Eve calls: \"Try me again in half an hour.\"");
    stage.sim.set_person(EVE, vec![Behavior::ending("user_hangup")]);
    // The call is placed, but the response to its request never arrives.
    stage.sim.fail_next(Fault::Silence);
    stage.sim.start_call(&call(
        "inbound",
        EVE,
        Behavior::asking(&["User: Try me again in half an hour."], None),
    ));
    stage.until("Eve's phone to ring", |_, rings| !rings_of(rings, EVE).is_empty()).await?;
    stage.kill_server();
    stage.narrate(EVE, "✗  redialer is killed before it receives the provider's response for Eve's call");
    stage.start_server().await?;
    stage.narrate(EVE, "↻  redialer is restarted on the same database");
    rung(stage, EVE, 1).await
}

async fn a_do_not_call(stage: &mut Stage) -> Result<()> {
    say("5 · \"Do not call me again\"");
    stage.daytime(FINN, 20).await;
    stage.narrate(FINN, "The clinic calls Finn: \"Please stop calling me.\"");
    stage.sim.start_call(&call(
        "outbound",
        FINN,
        Behavior {
            says: vec!["User: Please stop calling me.".to_owned()],
            ..Behavior::ending("user_requested_dnc")
        },
    ));
    stage.until_suppressed().await?;
    stage.narrate(
        FINN,
        "   ■ Finn's number is now on the do-not-call list; a clinic employee tries to schedule a callback",
    );
    let app = stage.app()?;
    let store = app.store.for_tenant(stage.tenant());
    let workspace = store.workspace(stage.agent.workspace).await?;
    let tomorrow = When::Words("tomorrow at 3 pm".to_owned(), None);
    let manual = ManualRequest {
        to: Phone::parse(FINN)?,
        from: None,
        when: tomorrow,
        variables: [].into(),
        external_id: None,
        metadata: None,
        replaces: false,
    };
    match callbacks::schedule(&app, &store, &workspace, &stage.agent, manual).await {
        Err(NotScheduled::Note(note)) => {
            stage.narrate(FINN, &format!("   ■ refused: {}", note.description()));
        }
        Err(error) => return Err(error.into()),
        Ok(_) => bail!("a callback to a number on the do-not-call list was accepted"),
    }
    ensure!(rings_of(&stage.sim.placed_calls(), FINN).is_empty(), "Finn was called");
    Ok(())
}

async fn a_machine_answers(stage: &mut Stage) -> Result<()> {
    say("6 · Voicemail answers three times");
    stage.daytime(BEN, 14).await;
    stage.narrate(BEN, "The clinic calls Ben and reaches his voicemail");
    stage.sim.set_person(BEN, vec![Behavior::ending("voicemail_reached")]);
    stage.sim.start_call(&call("outbound", BEN, Behavior::ending("voicemail_reached")));
    rung(stage, BEN, 3).await?;
    let rings = stage.sim.placed_calls();
    let rings = rings_of(&rings, BEN);
    let finals: Vec<&str> = rings.iter().filter_map(|r| r.variable("redialer.io_is_final_attempt")).collect();
    ensure!(finals == ["false", "false", "true"], "the final flag was {finals:?}");
    let rows = stage.callbacks().await?;
    ensure!(
        ended(&rows, &rings).iter().filter(|r| r.state == State::Exhausted).count() == 1,
        "the chain did not end"
    );
    Ok(())
}

fn each_callback_rang_once_and_none_at_night(stage: &Stage) -> Result<()> {
    let rings = stage.sim.placed_calls();
    for (number, n) in [(ANA, 1), (CLEO, 1), (DAN, 1), (EVE, 1), (FINN, 0), (BEN, 3)] {
        let (rung, name) = (rings_of(&rings, number), stage.person(number).name);
        ensure!(rung.len() == n, "{name}'s phone rang {} times, not {n}", rung.len());
        for ring in rung {
            let hour = from_ms(ring.at_ms).map(|at| stage.person(number).hour_at(at));
            ensure!(hour.is_some_and(|hour| (9..21).contains(&hour)), "{name}'s phone rang at night");
        }
    }
    say("");
    say(&format!(
        "{} callbacks were dialed. No phone rang twice for one callback, and none rang at night.",
        rings.len()
    ));
    Ok(())
}
