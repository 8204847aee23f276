//! Gauges of waiting work.
//!
//! Invariant: a gauge counts all buckets of this replica together, and falls to zero when no work is left.

use std::{collections::BTreeMap, time::Duration};

use redialer_core::{callback::HeldFor, workspace::Pause};
use redialer_store::StoreError;

use crate::app::App;

/// The interval between two rounds.
pub const INTERVAL: Duration = Duration::from_secs(15);

/// Counts waiting work and sets the gauges.
pub async fn round(app: &App) -> Result<(), StoreError> {
    let mut held: BTreeMap<String, i64> = HeldFor::ALL.map(|why| (why.as_str().to_owned(), 0)).into();
    let mut paused: BTreeMap<String, i64> = Pause::ALL.map(|why| (why.as_str().to_owned(), 0)).into();
    let (mut due, mut events, mut oldest_ms) = (0, 0, 0);
    for range in app.ranges() {
        let counts = app.store.census(range, app.clock.now()).await?;
        due += counts.due;
        events += counts.events;
        oldest_ms = oldest_ms.max(counts.oldest_event_ms);
        for (all, some) in [(&mut held, counts.held), (&mut paused, counts.paused)] {
            for (word, n) in some {
                *all.entry(word).or_default() += n;
            }
        }
    }
    metrics::gauge!("redialer_callbacks_due").set(due as f64);
    metrics::gauge!("redialer_events_waiting").set(events as f64);
    metrics::gauge!("redialer_oldest_event_seconds").set(oldest_ms as f64 / 1_000.0);
    for (why, n) in held {
        metrics::gauge!("redialer_callbacks_held", "held_for" => why).set(n as f64);
    }
    for (why, n) in paused {
        metrics::gauge!("redialer_workspaces_paused", "reason" => why).set(n as f64);
    }
    Ok(())
}
