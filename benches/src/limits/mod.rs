//! The limits: programs that do only the unavoidable part of the product's work. They run as separate processes, so
//! that their CPU time is measured like the product's.

mod file;
mod rows;
pub(crate) mod timer;
mod web;

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};

/// Run a limit until the process is stopped
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
    /// Read a body and verify its signature; store nothing
    Hmac,
    /// Seal the body and append it to a file; groups share an `fdatasync`
    File,
    /// Seal the body and insert it into SQLite; groups share a commit
    Sqlite,
    /// Seal the body and insert it into Postgres, one statement per group
    Postgres,
    /// A server with a port and a SQLite file that does nothing
    Empty,
    /// Send requests at their times, from memory
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
