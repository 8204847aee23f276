//! Parses and processes inbound events: steps 4 to 6 of a call's journey.
//!
//! The webhook handler records each event and queues it in memory ([`crate::state::event_queue`]). The loop here processes
//! waiting events in batches. It reads from the database the events that are not in memory: those of an earlier
//! process, those from the provider's records, and those that failed.
//! Invariants: a failing event does not stop the events behind it. A batch that fails is processed in halves, down to one
//! event; an event that keeps failing is postponed and, after five tries, set aside with a note (I33). All effects of
//! an event become visible at once.

mod batch;
mod prepared;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use redialer_core::{
    Id,
    call::{CallFacts, Turn},
    decide::{self, EventNote},
    id,
    inbound_event::InboundEvent,
    timing::{MAX_EVENT_TRIES, event_retry},
};
use redialer_kek::KeyError;
use redialer_providers::Content;
use redialer_store::{EventRow, NewInboundEvent, PendingRow, StoreError, TenantKey, bucket_of};

use self::prepared::{EventContext, EventContexts};
use crate::{
    app::App,
    state::event_queue::{MAX_PER_WORKSPACE, QueuedEvent},
};

/// The maximum number of events per transaction.
const MAX_BATCH: usize = 256;
/// How long events are gathered before they are processed as a batch. Fewer transactions cost less, and no request waits
/// for the batch.
const GATHER_INTERVAL: Duration = Duration::from_millis(5);
/// How often the database is read for events that are not in memory.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Processes events until the program shuts down.
pub async fn run(app: Arc<App>) {
    let mut polled = app.clock.steady();
    while !app.is_draining() {
        let bell = app.inbox_bell.notified();
        let is_due = app.clock.steady().saturating_sub(polled) >= POLL_INTERVAL;
        let round = async {
            if !app.events.is_empty() {
                app.clock.wait(GATHER_INTERVAL).await;
            }
            if is_due || app.events.is_empty() {
                polled = app.clock.steady();
                read_pending(&app).await?;
            }
            process_batch(&app).await
        };
        match round.await {
            Ok(0) => {
                tokio::select! { () = bell => {}, () = app.clock.wait(POLL_INTERVAL) => {}, () = app.drained() => {} }
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "recorded events could not be read or processed; they are retried");
                app.clock.wait(POLL_INTERVAL).await;
            }
        }
    }
}

/// Processes all waiting events, including those that another task is processing right now. Returns the number of
/// processed and failed events.
pub async fn drain(app: &App) -> Result<usize, StoreError> {
    read_pending(app).await?;
    let mut n = 0;
    while !app.events.is_empty() {
        n += process_batch(app).await?;
    }
    Ok(n)
}

async fn process_batch(app: &App) -> Result<usize, StoreError> {
    let events = app.events.take(MAX_BATCH);
    let ids: Vec<_> = events.iter().map(|event| event.event.id).collect();
    batch::process(app, events).await?;
    let n = ids.len();
    app.events.note_tried(ids);
    Ok(n)
}

/// The result of parsing an event.
pub enum Parsed {
    /// An event about a call, which may have effects.
    Call {
        /// The facts about the call.
        facts: Box<CallFacts>,
        /// The conversation, if the call may contain a callback request.
        conversation: Vec<Turn>,
    },
    /// An event of another kind: recorded, but without effect.
    Ignored,
    /// Parsing panicked: the loop counts the try, and sets the event aside after too many tries.
    Failed,
}

/// Parses a received event.
pub fn parse(content: &dyn Content, callback_field: &str) -> Parsed {
    parse_catching_panics(|| facts_and_conversation(content, callback_field))
}

fn facts_and_conversation(content: &dyn Content, callback_field: &str) -> Option<(CallFacts, Vec<Turn>)> {
    let facts = content.facts(callback_field)?;
    let conversation = if decide::may_contain_request(&facts) { content.conversation() } else { Vec::new() };
    Some((facts, conversation))
}

fn parse_catching_panics(read: impl FnOnce() -> Option<(CallFacts, Vec<Turn>)>) -> Parsed {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Some((facts, conversation))) => Parsed::Call { facts: Box::new(facts), conversation },
        Ok(None) => Parsed::Ignored,
        Err(_) => Parsed::Failed,
    }
}

/// The agent, workspace and tenant of an event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventSource {
    pub(crate) tenant: Id<id::Tenant>,
    pub(crate) workspace: Id<id::Workspace>,
    pub(crate) agent: Id<id::Agent>,
    /// Whether the event comes from the simulator.
    pub(crate) test: bool,
}

/// Builds an inbound event to record.
pub(crate) fn new_inbound_event(
    app: &App,
    from: EventSource,
    inbound: InboundEvent<'_>,
    is_decidable: bool,
    key: &TenantKey,
) -> NewInboundEvent {
    let now = app.clock.now();
    let event = EventRow {
        bucket: bucket_of(from.tenant),
        id: Id::new(now, &app.rng),
        tenant: from.tenant,
        workspace: from.workspace,
        agent: from.agent,
        tries: 0,
        received_at: now,
        test: from.test,
    };
    NewInboundEvent {
        event,
        is_decidable,
        name: inbound.event,
        call_id: inbound.call_id,
        dedup_key: inbound.dedup_key,
        body: key.seal_body(event.id.uuid(), &inbound.body, &app.rng),
        signature: inbound.signature,
    }
}

/// Queues a recorded event for processing.
pub fn enqueue(app: &App, event: EventRow, parsed: Parsed, bytes: usize) {
    if let Parsed::Call { facts, conversation } = parsed {
        app.events.push(QueuedEvent { event, facts: *facts, conversation, bytes });
    }
    app.inbox_bell.notify_one();
}

/// Reads recorded events that are not in memory from the database: a share of each workspace, oldest first.
async fn read_pending(app: &App) -> Result<(), StoreError> {
    let mut contexts = EventContexts::default();
    let limit = i64::try_from(MAX_PER_WORKSPACE).unwrap_or(i64::MAX);
    for range in app.ranges() {
        for workspace in app.store.workspaces_with_pending(range, app.clock.now()).await? {
            for row in app.store.pending(workspace, app.clock.now(), limit).await? {
                if !app.events.contains(row.event.id) {
                    load_pending(app, row, &mut contexts).await?;
                }
            }
        }
    }
    Ok(())
}

async fn load_pending(app: &App, row: PendingRow, contexts: &mut EventContexts) -> Result<(), StoreError> {
    let event = row.event;
    let opened = match contexts.get(app, &event).await {
        // Without the key service every event waits, and no try is counted (I23).
        Err(StoreError::Key(error @ KeyError::Unavailable(_))) => return Err(error.into()),
        Err(error) if error.is_outage() => return Err(error),
        opened => {
            opened.and_then(|context| Ok((context.key.open_body(event.id.uuid(), &row.body)?, context)))
        }
    };
    // This event may have crashed an earlier process, so the try is counted before it starts.
    if event.received_at < app.started_at && !app.events.is_counted(event.id) {
        if !app.store.begin_event_try(&event, MAX_EVENT_TRIES, EventNote::SetAside.as_str()).await? {
            return Ok(());
        }
        app.events.note_counted(event.id);
    }
    let (body, context): (Vec<u8>, Arc<EventContext>) = match opened {
        Ok(opened) => opened,
        Err(error) => return postpone_or_set_aside(app, &event, &error.to_string()).await,
    };
    let field = context.workspace_context.callback_field(event.agent);
    let provider = match app.provider(&context.workspace_context.workspace, event.test) {
        Ok(provider) => provider,
        Err(error) => return postpone_or_set_aside(app, &event, &error.to_string()).await,
    };
    let read = || {
        let event = provider.read(&body).ok()?;
        facts_and_conversation(&*event.content, field)
    };
    match parse_catching_panics(read) {
        Parsed::Ignored => {
            app.events.note_tried([event.id]);
            app.store.finish_event(&event, "").await
        }
        Parsed::Failed => postpone_or_set_aside(app, &event, "a panic").await,
        call @ Parsed::Call { .. } => {
            enqueue(app, event, call, body.len());
            Ok(())
        }
    }
}

/// Postpones an event that could not be processed, or sets it aside after too many tries.
async fn postpone_or_set_aside(app: &App, event: &EventRow, failure: &str) -> Result<(), StoreError> {
    let (id, tries) = (event.id, event.tries);
    tracing::error!(event.id = %id, tries, failure, "event {id} could not be processed; it is retried or set aside");
    metrics::counter!("redialer_events_failed_total").increment(1);
    let try_at = event_retry(tries + 1, app.clock.now());
    app.store.postpone_event(event, try_at, EventNote::SetAside.as_str()).await
}
