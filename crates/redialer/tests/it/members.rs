//! Members are added, changed and removed; there is always an owner.

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Walk, engines, id};

async fn add(walk: &Walk, email: &str, role: &str) -> Value {
    let body = json!({"email": email, "role": role});
    walk.request(Method::POST, "/v1/members", Some(body), StatusCode::CREATED).await
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_added_changed_and_removed_and_each_change_is_audited() {
    for engine in engines() {
        let walk = Walk::at_speed(engine, 1).await;
        let viewer = add(&walk, " Viewer@Example.com ", "viewer").await;
        assert_eq!(viewer["email"], "viewer@example.com");
        assert!(viewer["password"].as_str().is_some_and(|p| p.len() >= 20), "told once");
        let path = format!("/v1/members/{}", id(&viewer));
        let listed = walk.get("/v1/members").await;
        assert_eq!(listed["data"].as_array().expect("a list").len(), 2, "the owner and the new one");
        assert!(!listed.to_string().contains("password"));
        let again = json!({"email": "viewer@example.com", "role": "admin"});
        walk.request(Method::POST, "/v1/members", Some(again), StatusCode::CONFLICT).await;
        for (body, param) in [
            (json!({"email": "nobody", "role": "viewer"}), "email"),
            (json!({"email": "a@b.c", "role": "king"}), "role"),
        ] {
            let refusal =
                walk.request(Method::POST, "/v1/members", Some(body), StatusCode::UNPROCESSABLE_ENTITY).await;
            assert_eq!(refusal["error"]["param"], param);
        }
        let changed =
            walk.request(Method::PATCH, &path, Some(json!({"role": "admin"})), StatusCode::OK).await;
        assert_eq!(changed["role"], "admin");
        walk.request(Method::DELETE, &path, None, StatusCode::NO_CONTENT).await;
        let acts = walk.get("/v1/audit?limit=3").await;
        let acts: Vec<&str> =
            acts["data"].as_array().expect("a list").iter().filter_map(|a| a["action"].as_str()).collect();
        assert_eq!(acts, ["member.remove", "member.change", "member.add"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_owner_stays_when_two_owners_are_removed_at_once() {
    for engine in engines() {
        let walk = Walk::at_speed(engine, 1).await;
        let second = add(&walk, "second@example.com", "owner").await;
        let owners = walk.get("/v1/members").await["data"].as_array().expect("a list").clone();
        assert_eq!(owners.len(), 2);
        let gone = join_all(owners.iter().map(|owner| {
            let path = format!("/v1/members/{}", id(owner));
            let walk = &walk;
            async move { walk.request_as(Some(&walk.admin_key), Method::DELETE, &path, None).await.0 }
        }))
        .await;
        let mut gone = gone;
        gone.sort_unstable();
        assert_eq!(gone, [StatusCode::NO_CONTENT, StatusCode::CONFLICT], "{engine:?}");
        let left = walk.get("/v1/members").await["data"][0].clone();
        let path = format!("/v1/members/{}", id(&left));
        walk.request(Method::PATCH, &path, Some(json!({"role": "viewer"})), StatusCode::CONFLICT).await;
        assert!(left["id"] == second["id"] || left["email"] == "owner@example.com");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_cannot_add_a_member_with_more_rights_than_its_own() {
    let walk = Walk::at_speed(crate::harness::Engine::Sqlite, 1).await;
    let scopes = [
        "members:read",
        "members:write",
        "workspaces:read",
        "agents:read",
        "callbacks:read",
        "suppressions:read",
        "activity:read",
        "usage:read",
    ];
    let body = json!({"name": "hr", "admin": true, "scopes": scopes});
    let key = walk.request(Method::POST, "/v1/api-keys", Some(body), StatusCode::CREATED).await;
    let key = key["secret"].as_str().expect("a key");
    let new = |role: &str| json!({"email": format!("{role}@example.com"), "role": role});
    let add =
        async |role: &str| walk.request_as(Some(key), Method::POST, "/v1/members", Some(new(role))).await;
    assert_eq!(add("viewer").await.0, StatusCode::CREATED);
    for role in ["operator", "admin", "owner"] {
        let (status, refusal) = add(role).await;
        assert_eq!(
            (status, &refusal["error"]["code"]),
            (StatusCode::FORBIDDEN, &json!("missing_scope")),
            "{role}"
        );
    }
    let owners = walk.get("/v1/members").await;
    let owner =
        owners["data"].as_array().expect("a list").iter().find(|m| m["role"] == "owner").expect("one");
    let path = format!("/v1/members/{}", id(owner));
    for (method, body) in [(Method::DELETE, None), (Method::PATCH, Some(json!({"role": "viewer"})))] {
        assert_eq!(walk.request_as(Some(key), method, &path, body).await.0, StatusCode::FORBIDDEN);
    }
}
