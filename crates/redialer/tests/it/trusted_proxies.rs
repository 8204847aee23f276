//! The address of a client behind a proxy, as recorded in the audit log.

use redialer_sim::retell::Script;
use serde_json::json;

use crate::harness::{Engine, Walk};

/// The address in the audit log for a request with that header.
async fn audited(settings: &[(&'static str, &'static str)], forwarded: &str) -> String {
    let walk = Walk::with_settings(Engine::Sqlite, 1, Script::default(), settings).await;
    let request = walk.http.post(format!("{}/v1/suppressions", walk.base)).bearer_auth(&walk.admin_key);
    let request = request.header("x-forwarded-for", forwarded).json(&json!({"number": "+13125550143"}));
    assert_eq!(request.send().await.expect("answered").status(), 201);
    let newest = &walk.get("/v1/audit?limit=1").await["data"][0];
    newest["ip"].as_str().expect("an address").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_of_a_client_is_taken_only_from_trusted_proxies() {
    let forwarded = "203.0.113.9, 198.51.100.7, 127.0.0.9";
    assert!(audited(&[], forwarded).await.starts_with("127."));
    let settings = [("REDIALER_TRUSTED_PROXIES", "10.0.0.0/8, 127.0.0.0/8")];
    assert_eq!(audited(&settings, forwarded).await, "198.51.100.7");
}
