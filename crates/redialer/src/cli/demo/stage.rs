//! The stage of the demo: a server that can be killed, a simulated provider, and a narrator that prints
//! events of both.

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use jiff::{civil::Weekday, tz::TimeZone};
use redialer_core::{Id, Timestamp, callback::State, id, tenant::Plan, workspace::ProviderName};
use redialer_providers::{NAMES, WebhookAuth, http::Clients};
use redialer_sim::{PROVIDER_TITLE, PlacedCall, Script, Simulator};
use redialer_store::{AgentRow, CallbackRow, ClockRow, Filter, NewWorkspace};
use serde_json::json;
use tokio::{net::TcpListener, runtime::Runtime};

use crate::{
    actions::tenants::{self, Created},
    app::App,
    cli::{Running, database, say, serve::providers, sim::time_of},
    clock::Clock,
    config::Config,
    flow::sync,
    http::Metrics,
};

/// The longest wait of a scene, in real time.
const STEP_TIMEOUT: Duration = Duration::from_secs(40);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The time zone of the simulated clinic.
const OFFICE: &str = "America/New_York";
/// The earliest hour at which the clinic calls people, on their own clocks.
const MORNING: i8 = 9;

/// A person in the story.
#[derive(Clone, Copy)]
pub(crate) struct Person {
    pub(crate) name: &'static str,
    /// The IANA zone of their number.
    zone: &'static str,
}

impl Person {
    /// The hour on their clock at that time.
    pub(crate) fn hour_at(self, at: Timestamp) -> i8 {
        at.to_zoned(rules(self.zone)).hour()
    }
}

pub(crate) struct Stage {
    config: Config,
    metrics: Metrics,
    clock: Arc<Clock>,
    pub(crate) sim: Simulator,
    server: Option<(Runtime, Running)>,
    login: Created,
    pub(crate) agent: AgentRow,
    people: HashMap<&'static str, Person>,
    shown_rings: usize,
    shown_states: HashMap<Id<id::Callback>, State>,
}

impl Stage {
    /// Sets everything up: simulated provider, server, tenant, workspace, agents, webhook URL.
    pub(crate) async fn build(mut config: Config) -> anyhow::Result<Self> {
        let metrics = Metrics::install().context("the metrics recorder could not be installed")?;
        let clock = Arc::new(on_a_weekday_morning(&config).await?);
        let script = Script::default();
        let api_key = script.api_key.clone();
        let sim = Simulator::new(script, time_of(&clock), Clients::new(config.place_deadline())?.reading);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        config = config.simulated_at(format!("http://{}", listener.local_addr()?));
        let router = sim.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let (runtime, running) = start(&config, &metrics)?;
        // The restarted server must listen on the same address.
        config.listen.clone_from(&running.app().config.listen);
        let app = Arc::clone(running.app());
        let login = tenants::create(
            &app.store,
            &app.clock,
            &app.rng,
            "Example Clinic",
            "owner@example.com",
            Plan::Unlimited,
        )
        .await?;
        let agent = connect(&app, login.tenant, &api_key).await?;
        let workspace = app.store.for_tenant(login.tenant).workspace(agent.workspace).await?;
        sim.set_webhook_url(&app.webhook_url(&workspace, &agent.slug));
        let mut stage = Self {
            config,
            metrics,
            clock,
            sim,
            server: Some((runtime, running)),
            login,
            agent,
            people: HashMap::new(),
            shown_rings: 0,
            shown_states: HashMap::new(),
        };
        stage.introduce();
        Ok(stage)
    }

    fn introduce(&mut self) {
        say(&format!(
            "redialer demo: one process, an embedded database, a simulated {PROVIDER_TITLE}, and a clock that runs half an hour per second."
        ));
        self.show_way_in();
        say("");
    }

    /// Prints the URLs and the API key with which to explore the server.
    pub(crate) fn show_way_in(&self) {
        let url = format!("http://{}", self.config.listen);
        say(&format!("  URL        {url}"));
        say(&format!("  guides     {url}/docs    API reference {url}/docs/api"));
        say(&format!("  API key    {}", self.login.admin_key));
        say(&format!(
            "  callbacks  curl -s {url}/v1/callbacks -H 'Authorization: Bearer {}'",
            self.login.admin_key
        ));
        say(&format!(
            "  activity   curl -s {url}/v1/activity -H 'Authorization: Bearer {}'",
            self.login.admin_key
        ));
    }

    pub(crate) fn app(&self) -> anyhow::Result<Arc<App>> {
        self.server.as_ref().map(|(_, running)| Arc::clone(running.app())).context("the server is down")
    }

    /// Adds a person by number, name and zone.
    pub(crate) fn cast(&mut self, number: &'static str, name: &'static str, zone: &'static str) {
        self.people.insert(number, Person { name, zone });
    }

    /// Prints a line about a person, with the simulated time on that person's clock before it.
    pub(crate) fn narrate(&self, number: &str, line: &str) {
        self.line(self.person(number).zone, line);
    }

    /// Prints a line, with the time in one zone and the zone's name before it.
    fn line(&self, zone: &str, line: &str) {
        let now = self.clock.now().to_zoned(rules(zone));
        say(&format!("  {} {zone:<20}  {line}", now.strftime("%a %H:%M")));
    }

    pub(crate) fn person(&self, number: &str) -> Person {
        self.people.get(number).copied().unwrap_or(Person { name: "A person", zone: OFFICE })
    }

    /// Waits for the morning in that person's zone if it is `latest` o'clock or later there, because a slow machine has
    /// let the story run into the evening.
    pub(crate) async fn daytime(&self, number: &str, latest: i8) {
        let zone = self.person(number).zone;
        let now = self.clock.now().to_zoned(rules(zone));
        if !(MORNING..latest).contains(&now.hour()) {
            self.narrate(number, "(the demo continues in the morning)");
            let today = if now.hour() < MORNING { Some(now.date()) } else { now.date().tomorrow().ok() };
            let morning = today.and_then(|day| day.at(MORNING, 0, 0, 0).to_zoned(rules(zone)).ok());
            if let Some(morning) = morning {
                self.clock.wait_until(morning.timestamp()).await;
            }
        }
    }

    /// Narrates until `done` returns true; fails after `STEP_TIMEOUT`.
    pub(crate) async fn until(
        &mut self,
        what: &str,
        mut done: impl FnMut(&[CallbackRow], &[PlacedCall]) -> bool,
    ) -> anyhow::Result<()> {
        let rounds = STEP_TIMEOUT.as_millis() / POLL_INTERVAL.as_millis();
        for _ in 0..rounds {
            let (rows, rings) = self.look().await?;
            if done(&rows, &rings) {
                return Ok(());
            }
            self.clock.wait(POLL_INTERVAL).await;
        }
        bail!("the demo timed out while waiting for {what}")
    }

    /// Waits until a number is on the do-not-call list.
    pub(crate) async fn until_suppressed(&self) -> anyhow::Result<()> {
        let store = self.app()?.store.for_tenant(self.login.tenant);
        let first = (Timestamp::MAX, Id::from_uuid(uuid::Uuid::max()));
        for _ in 0..STEP_TIMEOUT.as_millis() / POLL_INTERVAL.as_millis() {
            if !store.suppressions(first, 1).await?.is_empty() {
                return Ok(());
            }
            self.clock.wait(POLL_INTERVAL).await;
        }
        bail!("the demo timed out while waiting for the do-not-call list")
    }

    /// Prints new rings and state changes. Returns all callbacks and all rings.
    async fn look(&mut self) -> anyhow::Result<(Vec<CallbackRow>, Vec<PlacedCall>)> {
        let rings = self.sim.placed_calls();
        for ring in &rings[self.shown_rings..] {
            self.narrate(&ring.to, &self.describe_ring(ring));
        }
        self.shown_rings = rings.len();
        let rows = self.callbacks().await?;
        for row in rows.iter().rev() {
            if self.shown_states.insert(row.id, row.state) != Some(row.state) {
                self.describe_row(row).into_iter().for_each(|line| self.line(&row.zone.name, &line));
            }
        }
        Ok((rows, rings))
    }

    /// All callbacks, newest first.
    pub(crate) async fn callbacks(&self) -> anyhow::Result<Vec<CallbackRow>> {
        let first = (Timestamp::MAX, Id::from_uuid(uuid::Uuid::max()));
        Ok(self.app()?.store.for_tenant(self.login.tenant).callbacks(&Filter::default(), first, 200).await?)
    }

    /// The tenant of this demo.
    pub(crate) const fn tenant(&self) -> Id<id::Tenant> {
        self.login.tenant
    }

    fn describe_ring(&self, ring: &PlacedCall) -> String {
        let name = self.person(&ring.to).name;
        let of = |name: &str| ring.variable(name).unwrap_or("?").to_owned();
        let last = if of("redialer_is_final_attempt") == "true" { ", the final one" } else { "" };
        format!(
            "☎  {name}'s phone rings: {}, attempt {}{last}",
            of("redialer_redial_reason"),
            of("redialer_attempt")
        )
    }

    fn describe_row(&self, row: &CallbackRow) -> Option<String> {
        let outcome = row.outcome.as_deref().unwrap_or_default();
        let at = |at: Timestamp| at.to_zoned(row.zone.rules()).strftime("%a %H:%M").to_string();
        Some(match row.state {
            State::Scheduled => format!(
                "   → scheduled for {}: {} (zone from the {}), attempt {} of {}",
                at(row.scheduled_for),
                row.reason.as_str(),
                row.zone.source.as_str(),
                row.attempt,
                row.max_attempts
            ),
            State::Dispatching | State::Dialing => return None,
            State::Unconfirmed => {
                "   ? unconfirmed: the call may have been placed, so it is not dialed again; redialer looks it up at the provider"
                    .to_owned()
            }
            State::Superseded => {
                "   ■ superseded: replaced by a newer request of the same person".to_owned()
            }
            state if outcome.is_empty() => format!("   ■ {}", state.as_str()),
            state => format!("   ■ {} ({outcome})", state.as_str()),
        })
    }

    /// Kills the server like a crash: its tasks stop wherever they are.
    pub(crate) fn kill_server(&mut self) {
        if let Some((runtime, running)) = self.server.take() {
            drop(running);
            runtime.shutdown_background();
        }
    }

    /// Restarts the server on the same database.
    pub(crate) async fn start_server(&mut self) -> anyhow::Result<()> {
        // The killed server's sockets and file lock take a moment to be released.
        for _ in 0..100 {
            match start(&self.config, &self.metrics) {
                Ok(server) => {
                    self.server = Some(server);
                    return Ok(());
                }
                Err(_) => self.clock.wait(POLL_INTERVAL).await,
            }
        }
        self.server = Some(start(&self.config, &self.metrics)?);
        Ok(())
    }

    /// Ends the demo with an orderly shutdown.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        if let Some((runtime, running)) = self.server.take() {
            runtime.spawn(running.stop()).await??;
            runtime.shutdown_background();
        }
        Ok(())
    }
}

/// The clock of the whole demo. It starts on a midweek morning, so that no one in the story is called at night or on a
/// Sunday, whenever the demo is run. The server reads it from the database.
async fn on_a_weekday_morning(config: &Config) -> anyhow::Result<Clock> {
    let store = database::find(config).await?.create().await?;
    let real = Clock::start(1);
    let mut day = real.now().to_zoned(rules(OFFICE)).date().tomorrow()?;
    while !matches!(day.weekday(), Weekday::Tuesday | Weekday::Wednesday | Weekday::Thursday) {
        day = day.tomorrow()?;
    }
    let begins = day.at(10, 30, 0, 0).to_zoned(rules(OFFICE))?;
    let speed = i64::from(config.clock_speed);
    let virtual_ms = begins.timestamp().as_millisecond();
    store.set_clock(ClockRow { real_ms: real.real_ms(), virtual_ms, speed }).await?;
    let clock = Clock::follow_stored(&store).await?;
    store.close().await;
    Ok(clock)
}

fn rules(zone: &str) -> TimeZone {
    TimeZone::get(zone).unwrap_or(TimeZone::UTC)
}

/// Starts a server on its own runtime, so that it can be killed by itself.
fn start(config: &Config, metrics: &Metrics) -> anyhow::Result<(Runtime, Running)> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let start = Running::start(config.clone(), providers(config)?, metrics.clone());
    match tokio::task::block_in_place(|| runtime.block_on(start)) {
        Ok(running) => Ok((runtime, running)),
        Err(error) => {
            runtime.shutdown_background();
            Err(error)
        }
    }
}

/// Connects the simulated account and syncs its agents. Returns the agent that places the calls.
async fn connect(app: &App, tenant: Id<id::Tenant>, api_key: &str) -> anyhow::Result<AgentRow> {
    // Two hours instead of four after voicemail, so that a chain of three fits into one day.
    let settings = json!({"retry_triggers": {"voicemail": {"wait_minutes": 120}}});
    let id = Id::new(app.clock.now(), &app.rng);
    let new = NewWorkspace {
        id,
        provider: &ProviderName::new(NAMES[0]),
        name: &format!("Simulated {PROVIDER_TITLE}"),
        api_key,
        webhook_auth: &WebhookAuth::of_key(api_key).to_stored(),
        account: None,
        settings: &settings,
    };
    let key = app.store.open_key(tenant).await?;
    let store = app.store.for_tenant(tenant);
    store.create_workspace(&new, u32::MAX, &key, app.clock.now(), &app.rng).await?;
    let row = app.store.tenant(tenant).await?;
    sync::pull(app, &store, &row, &store.workspace(id).await?).await?;
    let agent = store.agent_by_provider_id(id, "agent_sim_front_desk").await?;
    agent.context("the simulated account has no front desk agent")
}
