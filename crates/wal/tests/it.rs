//! The layer under SQLite itself.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::path::Path;

use rusqlite::{Connection, params};
use tempfile::TempDir;

use redialer_wal::{gathered, open};

/// A connection of the layer's, and a table.
fn writer(file: &Path) -> Connection {
    let writer = open(file, 2048).expect("opened");
    writer
        .execute_batch(
            "pragma wal_autocheckpoint = 0; create table if not exists t (n integer primary key, x blob)",
        )
        .expect("a table");
    writer
}

fn commit(writer: &Connection) {
    gathered(|| writer.execute_batch("commit")).expect("committed");
}

fn count(connection: &Connection) -> i64 {
    connection.query_row("select count(*) from t", [], |row| row.get(0)).expect("counted")
}

fn fill(writer: &Connection, from: i64, to: i64) {
    for n in from..to {
        writer.execute("insert into t values (?1, ?2)", params![n, vec![7_u8; 3_000]]).expect("written");
    }
}

fn place() -> (TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("file.db");
    (dir, file)
}

#[test]
fn another_connection_sees_a_commit_when_it_is_made_and_not_before() {
    let (_dir, file) = place();
    let writer = writer(&file);
    let reader = Connection::open(&file).expect("opened");
    for round in 0..20 {
        writer.execute_batch("begin immediate").expect("begun");
        fill(&writer, round * 100, (round + 1) * 100);
        assert_eq!(count(&reader), round * 100);
        commit(&writer);
        assert_eq!(count(&reader), (round + 1) * 100);
        let sound: String = reader.query_row("pragma integrity_check", [], |r| r.get(0)).expect("checked");
        assert_eq!(sound, "ok");
    }
}

#[test]
fn what_is_taken_back_is_not_written_over_what_others_have_committed_since() {
    let (dir, file) = place();
    let (ours, other) = (writer(&file), open(&file, 2048).expect("opened"));
    let long = || std::fs::metadata(dir.path().join("file.db-wal")).expect("a log").len();
    let before = long();
    // What does not fit into memory goes to the log before the commit, and is not held: as little as could be, and then
    // so much that it is read again.
    ours.execute_batch("pragma cache_size = 10; begin immediate").expect("begun");
    fill(&ours, 0, 20);
    assert!(long() > before, "held outside a commit");
    ours.execute_batch("rollback; begin immediate").expect("taken back");
    fill(&ours, 0, 500);
    assert_eq!(count(&ours), 500);
    ours.execute_batch("rollback; begin immediate").expect("taken back");
    fill(&ours, 0, 20);
    ours.execute_batch("rollback").expect("taken back");
    other.execute_batch("begin immediate").expect("begun");
    fill(&other, 1_000, 1_050);
    commit(&other);
    ours.execute_batch("begin immediate").expect("begun");
    fill(&ours, 2_000, 2_010);
    ours.execute_batch("savepoint s").expect("a point");
    fill(&ours, 3_000, 3_500);
    ours.execute_batch("rollback to s").expect("taken back");
    commit(&ours);
    // One that changes nothing.
    ours.execute_batch("begin immediate").expect("begun");
    commit(&ours);
    fill(&other, 4_000, 4_010);
    for connection in [ours, other, Connection::open(&file).expect("opened")] {
        let sound: String =
            connection.query_row("pragma integrity_check", [], |r| r.get(0)).expect("checked");
        assert_eq!((count(&connection), sound.as_str()), (70, "ok"));
    }
}

#[test]
fn what_is_in_the_log_alone_is_there_after_the_process_is_gone() {
    let (dir, file) = place();
    let writer = writer(&file);
    writer.execute_batch("begin immediate").expect("begun");
    fill(&writer, 0, 200);
    commit(&writer);
    writer.execute_batch("begin immediate").expect("begun");
    fill(&writer, 200, 300);
    // A copy of the files is what a killed process leaves behind.
    let copy = dir.path().join("copy.db");
    for end in ["", "-wal"] {
        std::fs::copy(format!("{}{end}", file.display()), format!("{}{end}", copy.display()))
            .expect("copied");
    }
    assert_eq!(count(&Connection::open(&copy).expect("opened")), 200);
}

#[test]
fn a_log_that_was_copied_into_the_file_is_begun_anew() {
    let (_dir, file) = place();
    let (writer, keeper) = (writer(&file), Connection::open(&file).expect("opened"));
    for round in 0..5 {
        writer.execute_batch("begin immediate").expect("begun");
        fill(&writer, round * 50, (round + 1) * 50);
        commit(&writer);
        let copied: i64 =
            keeper.query_row("pragma wal_checkpoint(passive)", [], |r| r.get(2)).expect("copied");
        assert!(copied > 0 && copied < 400, "{copied}");
        assert_eq!((count(&writer), count(&keeper)), ((round + 1) * 50, (round + 1) * 50));
    }
    writer.close().expect("closed");
    assert_eq!(count(&keeper), 250);
}
