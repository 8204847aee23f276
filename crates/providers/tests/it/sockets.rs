//! A request that places a call leaves once, counted at the socket.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use redialer_core::{agent::Channel, order::Reply};
use redialer_providers::{
    http::{Clients, PLACE_DEADLINE},
    retell::api::Api,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

/// A server that answers the first request on a connection and hangs up on the second, or at once.
async fn hang_up(answers: usize) -> (Api, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let api = Api::new(
        Clients::new(PLACE_DEADLINE).expect("clients"),
        &format!("http://{}", listener.local_addr().expect("an address")),
    );
    let (requests, connections) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (seen, opened) = (Arc::clone(&requests), Arc::clone(&connections));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            opened.fetch_add(1, Ordering::SeqCst);
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                let mut served = 0;
                while stream.read(&mut buffer).await.is_ok_and(|n| n > 0) {
                    seen.fetch_add(1, Ordering::SeqCst);
                    if served == answers {
                        return;
                    }
                    served += 1;
                    let body = r#"{"call_id":"call_1"}"#;
                    let answer =
                        format!("HTTP/1.1 201 Created\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                    stream.write_all(answer.as_bytes()).await.expect("written");
                }
            });
        }
    });
    (api, requests, connections)
}

#[tokio::test]
async fn a_connection_that_closes_without_an_answer_is_not_tried_again() {
    let (api, requests, _) = hang_up(0).await;
    let reply = api.place("key", Channel::Voice, b"{}".to_vec()).await;
    assert!(matches!(reply, Reply::Uncertain { .. }), "{reply:?}");
    assert_eq!(requests.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn no_connection_is_used_twice() {
    let (api, requests, connections) = hang_up(1).await;
    for _ in 0..3 {
        let reply = api.place("key", Channel::Voice, b"{}".to_vec()).await;
        assert!(matches!(reply, Reply::Placed { .. }), "{reply:?}");
    }
    assert_eq!((requests.load(Ordering::SeqCst), connections.load(Ordering::SeqCst)), (3, 3));
}

/// A server that counts what reaches it and answers everything on every connection with these bytes, then hangs up.
async fn always(answer: &'static [u8]) -> (Api, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let api = Api::new(
        Clients::new(PLACE_DEADLINE).expect("clients"),
        &format!("http://{}", listener.local_addr().expect("an address")),
    );
    let requests = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 4096];
            if stream.read(&mut buffer).await.is_ok_and(|n| n > 0) {
                seen.fetch_add(1, Ordering::SeqCst);
            }
            stream.write_all(answer).await.expect("written");
        }
    });
    (api, requests)
}

/// What a server of HTTP/2 alone begins with: its settings.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
/// Settings, then a stream that was refused: a client of HTTP/2 would be free to send it again.
const REFUSED_STREAM: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 7];
/// Settings, then a farewell that says no stream was looked at.
const GOAWAY: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

#[tokio::test]
async fn an_answer_in_http2_is_no_answer_and_no_reason_to_ask_again() {
    for answer in [SETTINGS, REFUSED_STREAM, GOAWAY] {
        let (api, requests) = always(answer).await;
        let reply = api.place("key", Channel::Voice, b"{}".to_vec()).await;
        assert!(matches!(reply, Reply::Uncertain { .. }), "{reply:?}");
        assert_eq!(requests.load(Ordering::SeqCst), 1, "{answer:?}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_busy_is_not_tried_again() {
    for answer in [
        &b"HTTP/1.1 307 Temporary Redirect\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n"[..],
        &b"HTTP/1.1 308 Permanent Redirect\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n"[..],
        &b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n"[..],
    ] {
        let (api, requests) = always(answer).await;
        let reply = api.place("key", Channel::Voice, b"{}".to_vec()).await;
        assert!(matches!(reply, Reply::Uncertain { .. }), "{reply:?}");
        assert_eq!(requests.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_behind_its_answer_gets_the_next_request_on_a_new_connection() {
    let body = b"HTTP/1.1 201 Created\r\nconnection: keep-alive\r\ncontent-length: 20\r\n\r\n{\"call_id\":\"call_1\"}";
    let (api, requests) = always(body).await;
    for n in 1..4 {
        let reply = api.place("key", Channel::Voice, b"{}".to_vec()).await;
        assert!(matches!(reply, Reply::Placed { .. }), "{reply:?}");
        assert_eq!(requests.load(Ordering::SeqCst), n);
    }
}
