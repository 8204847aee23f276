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
