//! The examples of `docs/api.md`: every request runs as it is written, in the order of the page, and the response must
//! be the documented one. `UPDATE_EXPECT=1` writes the responses into the page.
//!
//! Ids and secrets differ from run to run: a documented id stands for the actual id in whose place it is first seen.
//! The clock is set to the day of the page, so only times within the first hour may differ.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::Write as _,
    fs,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
};

use redialer::{
    actions::tenants,
    app::App,
    clock::{Clock, ManualClock},
    config::Config,
    flow::{dial, due, ingest},
    http::{self, Example, Listeners, Metrics, TABLE, examples},
};
use redialer_core::{Timestamp, rng::Rng, tenant::Plan, time::from_ms};
use redialer_providers::http::{Clients, PLACE_DEADLINE};
use redialer_sim::{
    SimTime,
    retell::{Retell, Script},
};
use redialer_store::{Buckets, DispatchWriter, Inbox, Kek, Store};
use regex::Regex;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::{
    harness::{KEY, OURS, VOICE, sign},
    tidy::root,
};

/// Tuesday, 24 November 2026, 9:00 in Chicago.
const START_MS: i64 = 1_795_532_400_000;
/// The longest line of a response in the page, in characters.
const MAX_LINE: usize = 76;

/// A server without its loops on a manual clock, beside a Retell simulator.
struct Stage {
    app: Arc<App>,
    http: reqwest::Client,
    admin_key: String,
    hands: ManualClock,
    _dir: TempDir,
}

impl Stage {
    async fn new() -> Self {
        let hands = ManualClock { wall: Arc::new(AtomicI64::new(START_MS)), steady: Arc::default() };
        let clients = Clients::new(PLACE_DEADLINE).expect("clients");
        let http = clients.reading.clone();
        let now = Arc::clone(&hands.wall);
        let time = SimTime::new(move || moment(now.load(Relaxed)), |_| std::future::pending());
        let sim = Retell::new(Script::default(), time, http.clone());
        let (port, sim_port) = (listener().await, listener().await);
        let config = Config {
            public_url: Some("https://redialer.example.com".to_owned()),
            listen: port.local_addr().expect("an address").to_string(),
            ..Config::default()
        };
        let config = config.simulated_at(format!("http://{}", sim_port.local_addr().expect("an address")));
        tokio::spawn(async move { axum::serve(sim_port, sim.router()).await });

        let (dir, rng) = (tempfile::tempdir().expect("a directory"), Rng::seeded([7; 32]));
        let file = dir.path().join("redialer.db");
        let store = Store::sqlite(&file, Kek::from_bytes([1; 32])).await.expect("opened");
        store.migrate(&rng).await.expect("migrated");
        let clock = Clock::manual(hands.clone());
        clock.join(&store).await.expect("joined");
        let tenant = tenants::create(&store, &clock, &rng, "Clinic", "owner@example.com", Plan::Pro).await;
        let admin_key = tenant.expect("created").admin_key;
        let writers = (Inbox::start(store.clone()).0, DispatchWriter::start(store.clone()).0);
        let providers = config.providers(Arc::new(clients));
        let app = App::new(config, store, writers, clock, rng, providers, Buckets::all());
        let listeners = Listeners { public: port, metrics: None };
        tokio::spawn(http::serve(Arc::clone(&app), listeners, Metrics::detached()));
        Self { app, http, admin_key, hands, _dir: dir }
    }

    /// Rows that are created one after the other are listed in that order only if their times differ.
    fn a_second_passes(&self) {
        for hand in [&self.hands.wall, &self.hands.steady] {
            hand.fetch_add(1_000, Relaxed);
        }
    }

    /// Runs a `curl` command. Returns the status and the body of the response.
    async fn run(&self, command: &str) -> (u16, String) {
        self.a_second_passes();
        let base = format!("http://{}", self.app.config.listen);
        let command = command.replace("$REDIALER_URL", &base).replace("$KEY", &self.admin_key);
        let mut words = words(&command).into_iter();
        assert_eq!(words.next().as_deref(), Some("curl"), "{command}");
        let (mut method, mut url, mut headers, mut body) = (None, String::new(), Vec::new(), None);
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| panic!("{word} needs a value: {command}"));
            match word.as_str() {
                "-X" => method = Some(value()),
                "-d" => body = Some(value()),
                "-H" => headers.push(value()),
                _ if url.is_empty() && word.starts_with(&base) => url = word,
                _ => panic!("`{word}` is not expected: {command}"),
            }
        }
        let method = method.as_deref().unwrap_or(if body.is_some() { "POST" } else { "GET" });
        let mut request = self.http.request(Method::from_bytes(method.as_bytes()).expect("a method"), url);
        for (name, value) in headers.iter().map(|header| header.split_once(": ").expect("a header")) {
            request = request.header(name, value);
        }
        let response = request.body(body.unwrap_or_default()).send().await.expect("answered");
        (response.status().as_u16(), response.text().await.expect("text"))
    }

    /// Two people call the agent: one asks for a callback at a time, the other at no time in particular.
    async fn two_people_call(&self, webhook_url: &str) {
        let requests = [
            ("call_5f1c", "+13125550142", "Can you call me back tomorrow at 3 pm?"),
            ("call_8a20", "+14155550117", "I can't talk now, please call me back."),
        ];
        for (call, person, words) in requests {
            self.a_second_passes();
            let now = self.hands.wall.load(Relaxed);
            let body = json!({"event": "call_analyzed", "call": {
                "call_id": call, "call_type": "phone_call", "agent_id": VOICE, "direction": "inbound",
                "from_number": person, "to_number": OURS, "disconnection_reason": "user_hangup",
                "start_timestamp": START_MS - 45_000, "end_timestamp": START_MS,
                "transcript": format!("Agent: How can I help?\nUser: {words}"),
                "call_analysis": {"custom_analysis_data": {"redialer.io_callback": true}},
            }});
            let body = body.to_string();
            let path = webhook_url.strip_prefix("https://redialer.example.com").expect("the public URL");
            let request = self.http.post(format!("http://{}{path}", self.app.config.listen));
            let request = request.header("x-retell-signature", sign(KEY, body.as_bytes(), now));
            assert_eq!(request.body(body).send().await.expect("answered").status(), 204);
        }
        assert_eq!(ingest::drain(&self.app).await.expect("decided"), requests.len());
    }

    /// One round of the dial loop.
    async fn dial(&self) {
        due::read(&self.app).await.expect("read");
        for (workspace, rows) in dial::due_by_workspace(&self.app, self.app.clock.now()) {
            for ready in dial::prepare(&self.app, workspace, &rows).await.expect("prepared") {
                dial::send(&self.app, ready).await;
            }
        }
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a port")
}

fn moment(ms: i64) -> Timestamp {
    from_ms(ms).expect("in range")
}

/// The words of a shell command.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut quote) = (vec![String::new()], None);
    for c in command.replace("\\\n", " ").chars() {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None, c) if c.is_whitespace() => words.push(String::new()),
            (_, c) => words.last_mut().expect("one").push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Ids, secrets and hashes.
static VOLATILE: LazyLock<Regex> = LazyLock::new(|| {
    let patterns = [
        r"\b(?:ws|ag|cb|dl|dp|key|mb|nt|sp|req)_[0-9a-z]{16,26}",
        r"rdl_(?:live|test)_[0-9a-z]+",
        r"/webhooks/retell/[0-9a-z]+",
        r"\b[0-9a-f]{64}\b",
    ];
    Regex::new(&patterns.join("|")).expect("a pattern")
});

/// The documented ids and secrets, with the actual ones that they stand for.
#[derive(Default)]
struct Bound(HashMap<String, String>);

impl Bound {
    /// A text of the page with the actual ids.
    fn actual(&self, documented: &str) -> String {
        let of = |found: &regex::Captures<'_>| {
            self.0.get(&found[0]).cloned().unwrap_or_else(|| found[0].to_owned())
        };
        VOLATILE.replace_all(documented, of).into_owned()
    }

    /// An actual text with the ids of the page.
    fn documented(&self, actual: &str) -> String {
        let back: HashMap<&str, &str> =
            self.0.iter().map(|(doc, actual)| (actual.as_str(), doc.as_str())).collect();
        let of = |found: &regex::Captures<'_>| (*back.get(&found[0]).unwrap_or(&&found[0])).to_owned();
        VOLATILE.replace_all(actual, of).into_owned()
    }

    /// Whether a documented text stands for an actual one; binds the ids that are new on both sides.
    fn matches(&mut self, documented: &str, actual: &str) -> bool {
        for (of_page, found) in VOLATILE.find_iter(documented).zip(VOLATILE.find_iter(actual)) {
            let (of_page, found) = (of_page.as_str(), found.as_str());
            let is_same_kind = of_page.split('_').next() == found.split('_').next();
            let is_new = !self.0.contains_key(of_page) && self.0.values().all(|bound| bound != found);
            if is_same_kind && is_new {
                self.0.insert(of_page.to_owned(), found.to_owned());
            }
        }
        self.actual(documented) == actual
    }

    /// The differences between a documented response and the actual one at a path.
    fn differences(&mut self, at: &str, documented: &Value, actual: &Value) -> Vec<String> {
        match (documented, actual) {
            (Value::Object(documented), Value::Object(actual)) => {
                let names: BTreeSet<&String> = documented.keys().chain(actual.keys()).collect();
                let of = |name: &String| match (documented.get(name), actual.get(name)) {
                    (Some(documented), Some(actual)) => {
                        self.differences(&format!("{at}.{name}"), documented, actual)
                    }
                    (Some(_), None) => vec![format!("{at}.{name} is documented, and not in the response")],
                    _ => vec![format!("{at}.{name} is not documented")],
                };
                names.into_iter().flat_map(of).collect()
            }
            (Value::Array(documented), Value::Array(actual)) if documented.len() == actual.len() => {
                let pairs = documented.iter().zip(actual).enumerate();
                pairs.flat_map(|(n, (doc, act))| self.differences(&format!("{at}[{n}]"), doc, act)).collect()
            }
            (Value::String(documented), Value::String(actual)) if self.is_alike(at, documented, actual) => {
                Vec::new()
            }
            (documented, actual) if documented == actual => Vec::new(),
            _ => vec![format!("{at} is documented as {documented}, and is {actual}")],
        }
    }

    fn is_alike(&mut self, at: &str, documented: &str, actual: &str) -> bool {
        let is_any_text = [".next_cursor", ".password"].iter().any(|name| at.ends_with(name));
        let is_present = |text: &str| {
            text.parse::<Timestamp>()
                .is_ok_and(|at| (0..3_600_000).contains(&(at.as_millisecond() - START_MS)))
        };
        is_any_text || is_present(documented) && is_present(actual) || self.matches(documented, actual)
    }
}

/// A compact JSON text, split at the commas or colons of its outermost object or array.
fn split(json: &str, at: char) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut is_text, mut is_escaped) = (Vec::new(), 0, 0, false, false);
    for (i, c) in json.char_indices() {
        match c {
            '"' if !is_escaped => is_text = !is_text,
            '{' | '[' if !is_text => depth += 1,
            '}' | ']' if !is_text => depth -= 1,
            c if c == at && !is_text && depth == 0 => {
                parts.push(&json[start..i]);
                start = i + 1;
            }
            _ => {}
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    parts.push(&json[start..]);
    parts
}

/// Lays out a compact JSON text that begins in `column`: an object or array that fits is on one line.
fn laid_out(json: &str, indent: usize, column: usize) -> String {
    let is_nested = json.len() > 2 && json.starts_with(['{', '[']);
    if !is_nested {
        return json.to_owned();
    }
    let (open, inside, close) = (&json[..1], &json[1..json.len() - 1], &json[json.len() - 1..]);
    let member = |part: &str, indent: usize| match split(part, ':').as_slice() {
        [name, value] => format!("{name}: {}", laid_out(value, indent, indent + name.len() + 2)),
        _ => laid_out(part, indent, indent),
    };
    let parts = split(inside, ',');
    let all = |indent: usize| parts.iter().map(move |part| member(part, indent)).collect::<Vec<_>>();
    let line = format!("{open}{}{close}", all(indent).join(", "));
    if indent > 0 && column + line.chars().count() <= MAX_LINE && !line.contains('\n') {
        return line;
    }
    let margin = format!("\n{}", " ".repeat(indent + 2));
    format!("{open}{margin}{}\n{}{close}", all(indent + 2).join(&format!(",{margin}")), " ".repeat(indent))
}

/// Writes a response into the page.
fn update(page: &mut String, example: &Example, response: &str) {
    let Some(documented) = example.response else { return };
    let place = page.find(example.request).expect("in the page") + example.request.len();
    let rest = page.split_off(place);
    *page += &rest.replacen(documented, &laid_out(response, 0, 0), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_of_the_page_gets_the_documented_response() {
    let (stage, mut bound, mut wrong) = (Stage::new().await, Bound::default(), String::new());
    let file = root().join("docs/api.md");
    let mut page = fs::read_to_string(&file).expect("text");
    let is_update = std::env::var_os("UPDATE_EXPECT").is_some();
    for example in examples() {
        let (status, response) = stage.run(&bound.actual(example.request)).await;
        let value = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
        let documented = value(example.response.unwrap_or_default());
        let mut found = bound.differences("", &documented, &value(&response));
        if status != example.status {
            found = vec![format!("the status is documented as {}, and is {status}", example.status)];
        } else if is_update {
            update(&mut page, example, &bound.documented(&response));
            found.clear();
        }
        if !found.is_empty() {
            let title = example.request.lines().next().unwrap_or_default();
            writeln!(wrong, "{title}\n  {}\n{response}", found.join("\n  ")).expect("written");
        }
        match example.operation.as_ref().map_or("", |(_, path)| path) {
            "/v1/agents/{id}/webhook-url" => {
                let url = value(&response)["webhook_url"].as_str().expect("a URL").to_owned();
                stage.two_people_call(&url).await;
            }
            "/v1/callbacks/{id}/force" => stage.dial().await,
            _ => {}
        }
    }
    if is_update {
        fs::write(&file, page).expect("written");
    }
    assert!(
        wrong.is_empty(),
        "docs/api.md is not what the server does; UPDATE_EXPECT=1 updates the responses.\n{wrong}"
    );
}

#[test]
fn every_operation_has_a_section_and_every_section_an_operation() {
    let operation = |method: &str, path: &str| format!("{} {path}", method.to_uppercase());
    let sections = examples().iter().filter_map(|example| example.operation.as_ref());
    let documented: Vec<String> = sections.map(|(method, path)| operation(method, path)).collect();
    let set: BTreeSet<&String> = documented.iter().collect();
    assert_eq!(set.len(), documented.len(), "an operation has two sections: {documented:?}");
    let described = http::document();
    let paths = described["paths"].as_object().expect("paths").iter();
    let operations = paths.flat_map(|(path, item)| {
        item.as_object().expect("methods").keys().map(move |method| operation(method, path))
    });
    let operations: BTreeSet<String> = operations.collect();
    let without: Vec<_> = operations.iter().filter(|operation| !set.contains(operation)).collect();
    assert!(without.is_empty(), "docs/api.md has no section with a request for {without:?}");
    let unknown: Vec<_> = set.into_iter().filter(|operation| !operations.contains(*operation)).collect();
    assert!(unknown.is_empty(), "docs/api.md describes operations that do not exist: {unknown:?}");
    let page = fs::read_to_string(root().join("docs/api.md")).expect("text");
    for example in examples() {
        let Some((method, path)) = &example.operation else { continue };
        let url = format!("\\$REDIALER_URL{}[?\"]", path.replace("{id}", "[a-z]+_[0-9a-z]+"));
        assert!(
            Regex::new(&url).expect("a pattern").is_match(example.request),
            "{path}: {}",
            example.request
        );
        let without = if example.request.contains(" -d ") { "POST" } else { "GET" };
        let verb = example.request.strip_prefix("curl -X ").and_then(|rest| rest.split(' ').next());
        assert_eq!(verb.unwrap_or(without), method.to_uppercase(), "{}", example.request);
    }
    for route in TABLE {
        let operation = operation(route.method, &format!("/v1{}", route.path));
        let line = format!("`{operation}` with the scope `{}`", route.scope.as_str());
        assert!(page.contains(&line), "docs/api.md has no line {line}");
    }
}
