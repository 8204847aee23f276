//! Describes the machine in one sentence; the figures mean nothing without it.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    time::Duration,
};

use sqlx::{Connection as _, PgConnection};

use crate::{
    bench::Bench,
    stats::Sorted,
    watch::{Watch, wait},
};

pub(crate) async fn described(bench: &Bench) -> anyhow::Result<String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cores = std::thread::available_parallelism()?;
    let info = read("/proc/cpuinfo");
    let model = info
        .lines()
        .find_map(|l| l.strip_prefix("model name"))
        .map(|l| l.trim_start_matches(['\t', ':', ' ']));
    let memory = read("/proc/meminfo");
    let kb =
        memory.lines().find_map(|l| l.strip_prefix("MemTotal:")).map(|l| l.trim().trim_end_matches(" kB"));
    let gb = kb.and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0) / f64::from(1 << 20);
    let kernel = read("/proc/sys/kernel/osrelease");
    let postgres = match &bench.postgres {
        None => "no Postgres".to_owned(),
        Some(url) => {
            let mut connection = PgConnection::connect(&format!("{url}/postgres")).await?;
            let show = |name: &'static str| sqlx::query_scalar::<_, String>(name);
            let version = show("show server_version").fetch_one(&mut connection).await?;
            let commit = show("show synchronous_commit").fetch_one(&mut connection).await?;
            format!("PostgreSQL {version}, `synchronous_commit={commit}`")
        }
    };
    let today = jiff::Timestamp::from_microsecond(crate::watch::now_us())?.strftime("%Y-%m-%d");
    Ok(format!(
        "Last run {today}{}: {cores} cores of {}, {gb:.0} GB; Linux {}; {} (`fdatasync` of 4 KB appended: {:.0} µs); \
         {postgres}.",
        if bench.quick { " (`--quick`)" } else { "" },
        model.unwrap_or("an unnamed processor"),
        kernel.trim(),
        filesystem(bench.root()),
        sync_us(bench.root())?,
    ))
}

/// The type of the file system that holds a path.
fn filesystem(path: &Path) -> String {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mut found: Vec<(&str, &str)> = mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            Some((fields.next()?, fields.next()?))
        })
        .filter(|(at, _)| path.starts_with(at))
        .collect();
    found.sort_by_key(|(at, _)| at.len());
    found.last().map_or_else(|| "an unknown file system".to_owned(), |(_, kind)| (*kind).to_owned())
}

/// Waits until small appends are fast again: after the writes of one unit, a disk with a throughput budget per minute
/// slows the small appends of the next. Gives up after a minute.
pub(crate) async fn settled(dir: &Path) -> anyhow::Result<()> {
    const CALM_US: f64 = 10_000.0;
    let done = std::process::Command::new("sync").status()?;
    anyhow::ensure!(done.success(), "`sync` failed");
    for _ in 0..60 {
        if appends(dir)?.at(1.0) < CALM_US {
            return Ok(());
        }
        wait(Duration::from_secs(1)).await;
    }
    Ok(())
}

/// The median time to make a small append durable, in microseconds.
fn sync_us(dir: &Path) -> anyhow::Result<f64> {
    Ok(appends(dir)?.median())
}

/// Times of small durable appends, in microseconds.
fn appends(dir: &Path) -> anyhow::Result<Sorted> {
    let path = dir.join("sync");
    let mut file = File::create(&path)?;
    let mut times = Vec::new();
    for _ in 0..200 {
        let watch = Watch::start();
        file.write_all(&[7; 4_096])?;
        file.sync_data()?;
        times.push(watch.us() as f64);
    }
    fs::remove_file(path)?;
    Ok(Sorted::new(times))
}
