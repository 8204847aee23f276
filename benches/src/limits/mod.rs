//! The limits: programs that do only the unavoidable part of the product's work, run as processes of their own
//! so that their processor time counts like the product's.

mod file;
mod rows;
pub(crate) mod timer;
mod web;

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};

/// A limit to run until it is ended.
#[derive(Args)]
pub(crate) struct Run {
    kind: Kind,
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    #[arg(long)]
    postgres: Option<String>,
    #[command(flatten)]
    timer: timer::Plan,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A body is read and its signature verified, nothing kept.
    Hmac,
    /// It is sealed and appended to a file; groups share an `fdatasync`.
    File,
    /// It is sealed and inserted into SQLite, with its body; groups share a commit.
    Sqlite,
    /// It is sealed and inserted into Postgres, a group at a time.
    Postgres,
    /// A server with a port and a SQLite file, and nothing to do.
    Empty,
    /// Requests at their times, from memory.
    Timer,
}

pub(crate) async fn run(run: Run) -> anyhow::Result<()> {
    let keep = match run.kind {
        Kind::Timer => return timer::run(&run.timer).await,
        Kind::Empty => {
            let file = rows::sqlite(&run.dir)?;
            return web::serve_empty(run.listen, &file).await;
        }
        Kind::Hmac => web::Keep::Verified,
        Kind::File => web::Keep::Sealed(file::start(&run.dir)?),
        Kind::Sqlite => web::Keep::Sealed(rows::start_sqlite(&run.dir)?),
        Kind::Postgres => {
            web::Keep::Sealed(rows::start_postgres(run.postgres.as_deref().context("--postgres")?).await?)
        }
    };
    web::serve(run.listen, keep).await
}
