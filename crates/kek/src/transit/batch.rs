//! Batches concurrent unwraps into one request.
//!
//! Invariants: no timer and no cache. Batches form under load, and equal values in a batch are sent once. The queue is
//! bounded, and so is the time a caller waits in it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};

use super::{Batch, Cipher, Item, UnwrapError, items, wire::Client};
use crate::KeyError;
use redialer_core::Secret;

/// Maximum number of values per request.
const MAX_BATCH: usize = 128;
/// Concurrent requests.
const AT_ONCE: usize = 4;
/// Capacity of the queue.
const MAX_WAITING: usize = 4096;
/// How long a caller waits for its value.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(6);

type Opened = Result<Secret<Vec<u8>>, UnwrapError>;

struct UnwrapRequest {
    wrapped: Vec<u8>,
    context: Vec<u8>,
    answer: oneshot::Sender<Opened>,
}

/// The sender of the unwrap queue.
pub(super) struct Batches(mpsc::Sender<UnwrapRequest>);

impl Batches {
    /// Starts the task that sends the batches over `client`; it ends once all senders are dropped.
    pub(super) fn over(client: Client, path: String) -> Self {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        tokio::spawn(run(receiver, client, Arc::from(path)));
        Self(sender)
    }

    pub(super) async fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Opened {
        let away = |why: &str| UnwrapError::Unavailable(why.to_owned());
        let (answer, answered) = oneshot::channel();
        let request = UnwrapRequest { wrapped: wrapped.to_vec(), context: context.to_vec(), answer };
        self.0.try_send(request).map_err(|_| away("too many requests are waiting for it"))?;
        match timeout(ANSWER_TIMEOUT, answered).await {
            Ok(Ok(opened)) => opened,
            _ => Err(away("it did not respond in time")),
        }
    }
}

async fn run(mut receiver: mpsc::Receiver<UnwrapRequest>, client: Client, path: Arc<str>) {
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut taken = Vec::new();
    loop {
        // While all slots are taken, the next batch grows.
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        if receiver.recv_many(&mut taken, MAX_BATCH).await == 0 {
            return;
        }
        // Callers that gave up need no answer.
        let requests: Vec<UnwrapRequest> = taken.drain(..).filter(|a| !a.answer.is_closed()).collect();
        let (client, path) = (client.clone(), Arc::clone(&path));
        tokio::spawn(async move {
            answer(requests, &client, &path).await;
            drop(slot);
        });
    }
}

async fn answer(requests: Vec<UnwrapRequest>, client: &Client, path: &str) {
    let mut places: HashMap<(&[u8], &[u8]), usize> = HashMap::new();
    let mut list = Vec::new();
    for UnwrapRequest { wrapped, context, .. } in &requests {
        places.entry((wrapped, context)).or_insert_with(|| {
            list.push((wrapped.as_slice(), context.as_slice()));
            list.len() - 1
        });
    }
    let opened = unwrap_all(&list, client, path).await;
    let places: Vec<usize> =
        requests.iter().map(|a| places[&(a.wrapped.as_slice(), a.context.as_slice())]).collect();
    for (request, place) in requests.into_iter().zip(places) {
        let opened = match &opened {
            Ok(all) => all.get(place).cloned().unwrap_or(Err(UnwrapError::Sealed)),
            Err(why) => Err(why.clone()),
        };
        let _gone = request.answer.send(opened);
    }
}

/// Unwraps all values in one request.
async fn unwrap_all(
    list: &[(&[u8], &[u8])],
    client: &Client,
    path: &str,
) -> Result<Vec<Opened>, UnwrapError> {
    // A value that no transit engine made is left out, because it would fail the whole batch.
    let texts: Vec<Option<&str>> =
        list.iter().map(|(w, _)| super::version_of(w).and(std::str::from_utf8(w).ok())).collect();
    let batch_input: Vec<Cipher<'_>> = texts
        .iter()
        .zip(list)
        .filter_map(|(text, (_, context))| {
            Some(Cipher { ciphertext: (*text)?, associated_data: BASE64.encode(context) })
        })
        .collect();
    if batch_input.is_empty() {
        return Ok(list.iter().map(|_| Err(UnwrapError::Sealed)).collect());
    }
    let sent = batch_input.len();
    let body = serde_json::to_vec(&Batch { batch_input }).unwrap_or_default();
    let answer = match client.send(path, &body).await {
        Ok(answer) => answer,
        Err(KeyError::Unavailable(why)) => return Err(UnwrapError::Unavailable(why)),
        Err(error) => return Err(UnwrapError::Unavailable(error.to_string())),
    };
    let items = items(&answer).map_err(UnwrapError::Unavailable)?;
    if items.len() != sent {
        return Err(UnwrapError::Unavailable("its response does not match the request".to_owned()));
    }
    let mut items = items.into_iter();
    Ok(texts
        .iter()
        .map(|text| text.and_then(|_| items.next()).map_or(Err(UnwrapError::Sealed), opened))
        .collect())
}

fn opened(item: Item<'_>) -> Opened {
    match item {
        Item { plaintext: Some(text), error: None, .. } => {
            BASE64.decode(text).map(Secret::new).map_err(|_| UnwrapError::Sealed)
        }
        Item { error: Some(error), .. } if is_its_own(&error) => Err(UnwrapError::Sealed),
        Item { error, .. } => Err(UnwrapError::Unavailable(error.unwrap_or_default())),
    }
}

/// Whether an error concerns the value and not the service.
fn is_its_own(error: &str) -> bool {
    ["authentication failed", "invalid ciphertext", "too old", "too new", "no prefix", "decode"]
        .iter()
        .any(|part| error.contains(part))
}
