//! Key permissions, and metadata in lists.

use redialer_core::{
    agent::Channel,
    decide::Finding,
    order::{Refusal, Reply},
    permission::Permission,
};
use redialer_providers::{
    DispatchQuery, Placement, Provider, ReadError, ReadFailure,
    http::{Clients, PLACE_DEADLINE},
};
use redialer_sim::retell::{Key, KeyState, Script};

use crate::world::{KEY, PERSON, now, order, serve};

/// Changes the world through the control API, as a script outside this process would.
async fn put(base: &str, path: &str, body: &str) {
    let http = Clients::new(PLACE_DEADLINE).expect("clients").reading;
    let request = http.put(format!("{base}{path}")).header("content-type", "application/json");
    let answer = request.body(body.to_owned()).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{path} {body}: {}", answer.status());
}

async fn place(api: &dyn Provider, key: &str, channel: Channel, dispatch: &str) -> Reply {
    api.place(key, Placement { channel, dispatch, body: order(channel, dispatch), ready: None }).await
}

/// Looks up a dispatch in the lists.
async fn find(api: &dyn Provider, key: &str, channel: Channel, dispatch: &str) -> Result<Finding, ReadError> {
    api.find(key, DispatchQuery { channel, dispatch, to: PERSON, sent_at: now() }).await
}

/// The failure of a read that must fail.
fn failure<T>(read: Result<T, ReadError>) -> ReadFailure {
    read.map(|_| ()).expect_err("refused").failure
}

/// The missing permission of every read, as the client reports it; `None` for a read that succeeds.
async fn missing(api: &dyn Provider, key: &str) -> [Option<Permission>; 6] {
    fn lacks<T>(read: Result<T, ReadError>) -> Option<Permission> {
        match read {
            Ok(_) => None,
            Err(error) => match error.failure {
                ReadFailure::Forbidden { what, message } => {
                    assert_eq!(message, "Forbidden");
                    Some(what)
                }
                other => panic!("{other:?}"),
            },
        }
    }
    [
        lacks(api.agents(key).await),
        lacks(api.calls(key, Channel::Voice, None).await),
        lacks(find(api, key, Channel::Chat, "dp_1").await),
        lacks(api.numbers(key).await),
        lacks(api.free_lines(key).await),
        lacks(api.account(key).await),
    ]
}

#[tokio::test]
async fn a_key_with_the_two_documented_permissions_reads_the_roster_and_dials() {
    let (sim, api, base) = serve(Script::default()).await;
    assert_eq!(missing(&*api, KEY).await, [None; 6]);
    sim.set_key_permissions("key_two", &[Permission::Agents, Permission::Calls]);
    put(&base, "/sim/keys/key_three", r#"{"permissions":["Agent: Read","Call: Edit"]}"#).await;
    for key in ["key_two", "key_three"] {
        let want = [
            None,
            Some(Permission::History),
            Some(Permission::History),
            Some(Permission::Numbers),
            Some(Permission::Concurrency),
            Some(Permission::KeyInfo),
        ];
        assert_eq!(missing(&*api, key).await, want);
        let reply = place(&*api, key, Channel::Voice, key).await;
        assert!(matches!(reply, Reply::Placed { .. }), "{reply:?}");
        assert_eq!(api.probe(key).await, Ok(()));
    }
    sim.set_key_permissions("key_two", &[Permission::Agents]);
    let reply = place(&*api, "key_two", Channel::Chat, "dp_2").await;
    let message = "Forbidden".to_owned();
    assert_eq!(reply, Reply::Refused(Refusal::Key { status: 403, message }));
}

#[tokio::test]
async fn a_key_can_be_revoked_or_unpaid_while_the_world_runs() {
    let (sim, api, base) = serve(Script::default()).await;
    assert!(matches!(failure(api.agents("key_nobody").await), ReadFailure::KeyRefused { .. }));
    assert_eq!(api.account(KEY).await, Ok(Some("org_sim_0001".to_owned())));
    sim.set_key_state(KEY, KeyState::Revoked);
    let revoked = "API key is missing or invalid.".to_owned();
    assert!(
        matches!(failure(api.agents(KEY).await), ReadFailure::KeyRefused { message, .. } if message == revoked)
    );
    let reply = place(&*api, KEY, Channel::Voice, "dp_1").await;
    assert_eq!(reply, Reply::Refused(Refusal::Key { status: 401, message: revoked }));
    put(&base, &format!("/sim/keys/{KEY}"), r#"{"state":"unpaid"}"#).await;
    let unpaid = "Trial has ended, please add payment method.".to_owned();
    assert_eq!(failure(api.probe(KEY).await), ReadFailure::Payment { message: unpaid.clone() });
    let reply = place(&*api, KEY, Channel::Voice, "dp_1").await;
    assert_eq!(reply, Reply::Refused(Refusal::Payment { message: unpaid }));
    assert!(sim.placed_calls().is_empty());
    put(&base, &format!("/sim/keys/{KEY}"), "{}").await;
    assert_eq!(api.probe(KEY).await, Ok(()));
}

#[tokio::test]
async fn a_script_configures_keys_and_the_account() {
    let text =
        r#"{"api_key":"key_a","org_id":"org_a","keys":{"key_b":{"permissions":["get-api-key-info"]}}}"#;
    let script: Script = serde_json::from_str(text).expect("a script");
    assert_eq!(script.keys["key_b"], Key { permissions: Some(vec![Permission::KeyInfo]), ..Key::default() });
    let (_, api, _) = serve(script).await;
    for key in ["key_a", "key_b"] {
        assert_eq!(api.account(key).await, Ok(Some("org_a".to_owned())));
    }
    assert!(matches!(failure(api.numbers("key_b").await), ReadFailure::Forbidden { .. }));
}

#[tokio::test]
async fn a_list_without_metadata_proves_no_absence() {
    let (sim, api, base) = serve(Script::default()).await;
    let find = async |channel, dispatch| find(&*api, KEY, channel, dispatch).await;
    let mut placed = Vec::new();
    for (channel, dispatch) in [(Channel::Voice, "dp_v"), (Channel::Chat, "dp_c")] {
        let Reply::Placed { call_id } = place(&*api, KEY, channel, dispatch).await else {
            panic!("not placed")
        };
        assert_eq!(find(channel, dispatch).await, Ok(Finding::Call(call_id.clone())));
        placed.push(call_id);
    }
    assert_eq!(find(Channel::Chat, "dp_x").await, Ok(Finding::Absent));
    put(&base, "/sim/hide-metadata", "true").await;
    assert_eq!(find(Channel::Voice, "dp_v").await, Ok(Finding::Call(placed[0].clone())));
    assert_eq!(find(Channel::Voice, "dp_x").await, Ok(Finding::Absent), "the filter knows it still");
    assert_eq!(find(Channel::Chat, "dp_c").await, Ok(Finding::NoAnswer));
    sim.edit_script(|script| script.lists_hide_metadata = false);
    assert_eq!(find(Channel::Chat, "dp_c").await, Ok(Finding::Call(placed[1].clone())));
}
