//! Sockets: clients that do not read, idle connections, requests with two framings.

use std::sync::Mutex;

use redialer_sim::retell::Script;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

use crate::harness::{Engine, Walk, address, engines};

/// A raw connection to the server.
async fn connect(walk: &Walk) -> TcpStream {
    TcpStream::connect(walk.base.trim_start_matches("http://")).await.expect("connected")
}

/// A connection with small buffers that requests far more than they can hold, and reads nothing.
async fn connect_unread(walk: &Walk) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(2_048).expect("set");
    let address = walk.base.trim_start_matches("http://").parse().expect("an address");
    let mut stream = socket.connect(address).await.expect("connected");
    let requests = "GET /v1/openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(300);
    // The server stops reading once its responses are not read.
    assert!(stream.write(requests.as_bytes()).await.expect("written") > 0);
    stream
}

/// Everything the server sends until it closes the connection.
async fn answer(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset also closes the connection.
    drop(stream.read_to_end(&mut answer).await);
    String::from_utf8_lossy(&answer).into_owned()
}

/// Whether a new connection is served.
async fn is_served(walk: &Walk) -> bool {
    let mut stream = connect(walk).await;
    let request = "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    // A refused connection may be closed before the request is written.
    drop(stream.write_all(request.as_bytes()).await);
    answer(stream).await.starts_with("HTTP/1.1 200 ")
}

/// Bytes in the send queue of each open server connection whose client does not read, from the kernel's own table.
fn unread(walk: &Walk) -> Vec<u64> {
    const ESTABLISHED: &str = "01";
    let (ip, port) = walk.base.trim_start_matches("http://").split_once(':').expect("an address");
    let ip: std::net::Ipv4Addr = ip.parse().expect("an address");
    let local = format!("{:08X}:{:04X}", u32::from(ip).swap_bytes(), port.parse::<u16>().expect("a port"));
    let table = std::fs::read_to_string("/proc/net/tcp").expect("read");
    let queues = table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, address, _, state, queues, ..] = fields[..] else { return None };
        let bytes = u64::from_str_radix(queues.split(':').next()?, 16).ok()?;
        (address == local && state == ESTABLISHED && bytes > 0).then_some(bytes)
    });
    queues.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_read_are_cut_off() {
    let settings = [("REDIALER_WRITE_DEADLINE_SECS", "3")];
    let walk = Walk::with_settings(Engine::Sqlite, 1, Script::default(), &settings).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(connect_unread(&walk).await);
    }
    walk.until_cut_off("their answers to wait", async |walk: &Walk| unread(walk).len() == 4).await;
    walk.until_cut_off("each of them to be cut off", async |walk: &Walk| unread(walk).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_does_not_delay_a_shutdown() {
    let settings = [("REDIALER_WRITE_DEADLINE_SECS", "600"), ("REDIALER_DRAIN_DEADLINE_SECS", "600")];
    let mut walk = Walk::with_settings(Engine::Sqlite, 1, Script::default(), &settings).await;
    let _unread = connect_unread(&walk).await;
    let last = Mutex::new(Vec::new());
    walk.until("its answers to fill the buffers", async |walk: &Walk| {
        let now = unread(walk);
        let mut last = last.lock().expect("no task panics");
        let is_steady = !now.is_empty() && *last == now;
        *last = now;
        is_steady
    })
    .await;
    walk.send_sigterm();
    assert_eq!(walk.until_ended().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_limit_idle_connections_are_closed_and_new_ones_refused_if_all_are_busy() {
    let settings = [("REDIALER_MAX_CONNECTIONS", "3"), ("REDIALER_HEAD_DEADLINE_SECS", "600")];
    let walk = Walk::with_settings(Engine::Sqlite, 1, Script::default(), &settings).await;
    let mut idle = Vec::new();
    for _ in 0..6 {
        idle.push(connect(&walk).await);
    }
    // None of them closes by itself during the test.
    walk.until_cut_off("an idle connection to be closed for a newcomer", is_served).await;
    // A connection that has sent part of a head is not idle.
    let busy = Mutex::new(Vec::new());
    walk.until_cut_off("a newcomer to be refused", async |walk: &Walk| {
        let mut newcomer = connect(walk).await;
        newcomer.write_all(b"GET /healthz HTTP/1.1\r\n").await.expect("written");
        let mut busy = busy.lock().expect("no task panics");
        busy.push(newcomer);
        let is_refused = |stream: &TcpStream| {
            let mut answer = [0; 12];
            stream.try_read(&mut answer).is_ok() && &answer == b"HTTP/1.1 503"
        };
        busy.iter().any(is_refused)
    })
    .await;
    drop(busy);
    walk.until_cut_off("the server to serve others", is_served).await;
}

/// A request with those headers to that path, followed by a second request.
fn smuggled(path: &str, headers: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_two_framings_is_refused_and_a_smuggled_one_is_not_answered() {
    let walk = Walk::at_speed(Engine::Sqlite, 1).await;
    let webhook = walk.webhook_url.trim_start_matches(&walk.base).to_owned();
    for path in ["/v1/callbacks", "/healthz", &webhook] {
        for headers in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "transfer-encoding: chunked\r\ncontent-length: 5",
            "transfer-encoding: chunked\r\ncontent-length: 0",
            "transfer-encoding: chunked, chunked",
            "transfer-encoding: gzip, chunked",
            "transfer-encoding: gzip\r\ntransfer-encoding: chunked",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
            "transfer-encoding: identity",
        ] {
            let mut stream = connect(&walk).await;
            stream.write_all(smuggled(path, headers).as_bytes()).await.expect("written");
            let answer = answer(stream).await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{path} {headers}: {answer}");
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{path} {headers}: {answer}");
        }
    }
    // The third request in a pipeline.
    let rest = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\nPOST /v1/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
    let mut stream = connect(&walk).await;
    let both = smuggled("/healthz", "content-length: 5\r\ntransfer-encoding: chunked");
    stream.write_all(format!("{rest}{both}").as_bytes()).await.expect("written");
    let answer = answer(stream).await;
    let statuses: Vec<&str> = answer.split("HTTP/1.1 ").skip(1).filter_map(|a| a.get(..3)).collect();
    assert_eq!(statuses, ["200", "404", "400"], "{answer}");
    assert!(answer.contains("bad_framing"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_slug_is_not_found() {
    for engine in engines() {
        let walk = Walk::at_speed(engine, 1).await;
        for slug in ["%00", "a%00b", "%ff", "%27", "a%2Fb", "%20", &"a".repeat(65), &"a".repeat(5_000)] {
            let url = format!("{}/api/webhooks/retell/{slug}", walk.base);
            let answer = walk.http.post(&url).body("{}").send().await.expect("answered");
            let status = answer.status().as_u16();
            // A slug that is not UTF-8 does not reach the handler.
            assert!(status == 404 || slug == "%ff" && status == 400, "{engine:?} {slug}: {status}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_can_have_their_own_listener() {
    let beside: &'static str = Box::leak(address().into_boxed_str());
    let settings = [("REDIALER_METRICS_LISTEN", beside)];
    let walk = Walk::with_settings(Engine::Sqlite, 1, Script::default(), &settings).await;
    let status = async |base: &str, path: &str| {
        walk.http.get(format!("{base}{path}")).send().await.expect("answered").status().as_u16()
    };
    let metrics = format!("http://{beside}");
    for (path, here, there) in [
        ("/metrics", 404, 200),
        ("/readyz", 200, 200),
        ("/healthz", 200, 200),
        ("/v1/agents", 401, 404),
        ("/docs", 200, 404),
    ] {
        assert_eq!((status(&walk.base, path).await, status(&metrics, path).await), (here, there), "{path}");
    }
    let webhook = walk.webhook_url.replace(&walk.base, &metrics);
    assert_eq!(walk.http.post(webhook).body("{}").send().await.expect("answered").status(), 404);
    let text = walk.http.get(format!("{metrics}/metrics")).send().await.expect("answered").text().await;
    assert!(text.expect("text").contains("redialer_callbacks_scheduled_total"));
}
