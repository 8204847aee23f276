//! Limit: sealed bodies in an append-only file; bodies that arrive during a sync share the next one.

use std::{fs::File, io::Write as _, path::Path};

use tokio::sync::mpsc::{self, Receiver, Sender};

use super::web::{GROUP, Item, WAITING};

pub(super) fn start(dir: &Path) -> anyhow::Result<Sender<Item>> {
    let file = File::create(dir.join("bodies"))?;
    let (sender, receiver) = mpsc::channel(WAITING);
    std::thread::Builder::new().name("append".to_owned()).spawn(move || append(file, receiver))?;
    Ok(sender)
}

/// Appends groups until all senders are dropped. On failure the group is dropped, and its senders answer 503.
fn append(mut file: File, mut receiver: Receiver<Item>) {
    let (mut group, mut bytes) = (Vec::with_capacity(GROUP), Vec::new());
    while receiver.blocking_recv_many(&mut group, GROUP) > 0 {
        bytes.clear();
        for item in &group {
            bytes.extend_from_slice(&item.id);
            bytes.extend_from_slice(&(item.sealed.len() as u64).to_be_bytes());
            bytes.extend_from_slice(&item.sealed);
        }
        if file.write_all(&bytes).and_then(|()| file.sync_data()).is_err() {
            group.clear();
        }
        for item in group.drain(..) {
            // The client may have disconnected.
            let _told = item.kept.send(());
        }
    }
}
