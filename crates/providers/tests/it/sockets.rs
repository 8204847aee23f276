//! A request that places a call is sent once, counted at the socket.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use redialer_core::{
    agent::Channel,
    order::{Refusal, Reply},
};
use redialer_providers::{
    Placement, Provider,
    http::{Clients, PLACE_DEADLINE, ReadyCheck},
    retell::api::Api,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::answers::place;

/// Places a call if `ready` still returns true once the connection is up.
async fn place_if(api: &dyn Provider, ready: ReadyCheck<'_>) -> Reply {
    let body = b"{}".to_vec();
    let placement = Placement { channel: Channel::Voice, dispatch: "dp_1", body, ready: Some(ready) };
    api.place("key", placement).await
}

/// A listener, and a client for its port.
async fn listening(deadline: Duration) -> (TcpListener, Api) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let api = Api::new(Arc::new(Clients::new(deadline).expect("clients")), &base);
    (listener, api)
}

/// A server that answers `answers` requests per connection, and hangs up on the next one.
async fn hang_up(answers: usize) -> (Api, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let (listener, api) = listening(PLACE_DEADLINE).await;
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
    let reply = place(&api, Channel::Voice).await;
    assert!(matches!(reply, Reply::Uncertain { .. }), "{reply:?}");
    assert_eq!(requests.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn no_connection_is_used_twice() {
    let (api, requests, connections) = hang_up(1).await;
    for _ in 0..3 {
        let reply = place(&api, Channel::Voice).await;
        assert!(matches!(reply, Reply::Placed { .. }), "{reply:?}");
    }
    assert_eq!((requests.load(Ordering::SeqCst), connections.load(Ordering::SeqCst)), (3, 3));
}

/// A server that counts requests, answers the first one on each connection with these bytes, then hangs up.
async fn always(answer: &'static [u8]) -> (Api, Arc<AtomicUsize>) {
    let (listener, api) = listening(PLACE_DEADLINE).await;
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

/// The first frame of a server that only speaks HTTP/2: its settings.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
/// Settings, then a refused stream, which an HTTP/2 client may send again.
const REFUSED_STREAM: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 7];
/// Settings, then a GOAWAY: no stream was processed.
const GOAWAY: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

#[tokio::test]
async fn an_answer_in_http2_is_no_answer_and_no_reason_to_ask_again() {
    for answer in [SETTINGS, REFUSED_STREAM, GOAWAY] {
        let (api, requests) = always(answer).await;
        let reply = place(&api, Channel::Voice).await;
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
        let reply = place(&api, Channel::Voice).await;
        assert!(matches!(reply, Reply::Uncertain { .. }), "{reply:?}");
        assert_eq!(requests.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_behind_its_answer_gets_the_next_request_on_a_new_connection() {
    let body = b"HTTP/1.1 201 Created\r\nconnection: keep-alive\r\ncontent-length: 20\r\n\r\n{\"call_id\":\"call_1\"}";
    let (api, requests) = always(body).await;
    for n in 1..4 {
        let reply = place(&api, Channel::Voice).await;
        assert!(matches!(reply, Reply::Placed { .. }), "{reply:?}");
        assert_eq!(requests.load(Ordering::SeqCst), n);
    }
}

/// A server that counts connections and received bytes, answers the first bytes it receives with `answer`, then stays
/// silent.
async fn silent_behind(
    answer: &'static [u8],
    deadline: Duration,
) -> (Api, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let (listener, api) = listening(deadline).await;
    let (connections, bytes) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (opened, read) = (Arc::clone(&connections), Arc::clone(&bytes));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            opened.fetch_add(1, Ordering::SeqCst);
            let read = Arc::clone(&read);
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while let Ok(n @ 1..) = stream.read(&mut buffer).await {
                    if read.fetch_add(n, Ordering::SeqCst) == 0 {
                        stream.write_all(answer).await.expect("written");
                    }
                }
            });
        }
    });
    (api, connections, bytes)
}

#[tokio::test]
async fn whether_it_may_leave_is_asked_when_the_connection_is_up_and_before_a_byte_leaves() {
    let created = b"HTTP/1.1 201 Created\r\ncontent-length: 20\r\n\r\n{\"call_id\":\"call_1\"}";
    let (api, connections, bytes) = silent_behind(created, PLACE_DEADLINE).await;
    let requests = AtomicUsize::new(0);
    let lost = || {
        requests.fetch_add(1, Ordering::SeqCst);
        false
    };
    let reply = place_if(&api, &lost).await;
    assert!(matches!(reply, Reply::NotSent { .. }), "{reply:?}");
    // A second request to the same server: by now, any bytes of the first one would have been counted.
    let held = || {
        requests.fetch_add(1, Ordering::SeqCst);
        bytes.load(Ordering::SeqCst) == 0
    };
    let reply = place_if(&api, &held).await;
    assert!(matches!(reply, Reply::Placed { .. }), "{reply:?}");
    assert_eq!((requests.load(Ordering::SeqCst), connections.load(Ordering::SeqCst)), (2, 2));
}

#[tokio::test]
async fn whether_it_may_leave_is_not_asked_where_nothing_is_connected() {
    let (listener, api) = listening(PLACE_DEADLINE).await;
    drop(listener);
    let requests = AtomicUsize::new(0);
    let ready = || requests.fetch_add(1, Ordering::SeqCst) == 0;
    let reply = place_if(&api, &ready).await;
    assert_eq!(reply, Reply::NotSent { why: "could not connect".to_owned() });
    assert_eq!(requests.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_deadline_says_how_far_the_request_got() {
    let deadline = Duration::from_millis(100);
    let place = async |answer| {
        let (api, _, bytes) = silent_behind(answer, deadline).await;
        let reply = place(&api, Channel::Voice).await;
        assert!(bytes.load(Ordering::SeqCst) > 0, "the request left");
        reply
    };
    assert_eq!(place(b"").await, Reply::Uncertain { why: "timed out".to_owned() });
    assert!(matches!(
        place(b"HTTP/1.1 201 Created\r\ncontent-length: 20\r\n\r\n{").await,
        Reply::Uncertain { .. }
    ));
    // A refusal is a refusal, even if its body never arrives.
    let refused = place(b"HTTP/1.1 422 Unprocessable\r\ncontent-length: 20\r\n\r\n{").await;
    assert_eq!(refused, Reply::Refused(Refusal::Permanent { status: 422, message: String::new() }));
}

#[tokio::test]
async fn a_request_is_written_as_the_provider_expects_it() {
    let (listener, api) = listening(PLACE_DEADLINE).await;
    let address = listener.local_addr().expect("an address");
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut text = Vec::new();
        while !text.ends_with(b"{\"a\":1}") {
            stream.read_buf(&mut text).await.expect("bytes");
        }
        stream.write_all(b"HTTP/1.1 402 Pay\r\ncontent-length: 0\r\n\r\n").await.expect("written");
        String::from_utf8(text).expect("text")
    });
    let body = br#"{"a":1}"#.to_vec();
    let placement = Placement { channel: Channel::Voice, dispatch: "dp_1", body, ready: None };
    Provider::place(&api, "key_1", placement).await;
    let sent = serving.await.expect("served").to_lowercase();
    let mut lines: Vec<_> = sent.lines().collect();
    let version = concat!("user-agent: redialer/", env!("CARGO_PKG_VERSION"));
    let host = format!("host: {address}");
    lines[1..6].sort_unstable();
    assert_eq!(
        lines,
        [
            "post /v2/create-phone-call http/1.1",
            "authorization: bearer key_1",
            "content-length: 7",
            "content-type: application/json",
            &host,
            version,
            "",
            r#"{"a":1}"#,
        ]
    );
}
