//! Accuracy of time recognition: runs the product's binary on public data stored next to the project.
//!
//! The data is `../shared/time/*.jsonl`; without it nothing is measured. An expression is right if the answer is inside
//! one of its windows, a call if its instant is, and either is right if null was expected and returned.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Context as _;
use jiff::{Timestamp, civil::DateTime};
use serde_json::{Value, json};

use crate::{
    bench::Bench,
    report::{Bound::AtLeast, Row},
    say,
};

pub(crate) const UNIT: &str = "when";

/// The classes that count toward the headline number for expressions.
const CORE: [&str; 11] = [
    "relative_offset",
    "clock_time",
    "day_relative",
    "day_time",
    "weekday",
    "weekday_time",
    "next_weekday",
    "month_day",
    "date_time",
    "part_of_day",
    "bound",
];

/// Right answers, and all answers.
type Score = (u32, u32);

pub(crate) fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/time");
    let (calls, expressions) = (folder.join("transcripts-dev.jsonl"), folder.join("dev.jsonl"));
    if !calls.is_file() || !expressions.is_file() {
        say("           the public data is missing");
        return Ok(());
    }
    let calls = scored(&bench.binary, &calls, |case| {
        let lang = case["lang"].as_str().unwrap_or_default();
        let mut names = vec![format!("calls, {lang}")];
        if case["expected"].is_null() {
            names.push("calls with no answer".to_owned());
        }
        names
    })?;
    let expressions = scored(&bench.binary, &expressions, |case| {
        let is_core =
            CORE.contains(&case["class"].as_str().unwrap_or_default()) && case["source"] != "ctparse";
        let lang = case["lang"].as_str().unwrap_or_default();
        if is_core { vec![format!("expressions, {lang}, CORE")] } else { Vec::new() }
    })?;
    for (name, (right, all)) in calls.into_iter().chain(expressions) {
        let goal = match name.as_str() {
            "calls, en" | "calls with no answer" => 97.0,
            "calls, es" => 90.0,
            "expressions, en, CORE" => 93.0,
            _ => 88.0,
        };
        let row = Row::new(UNIT, format!("{name}, of {all}"), 100.0 * f64::from(right) / f64::from(all), "%");
        bench.note(row.figure(AtLeast(goal), Some(AtLeast(goal))));
    }
    Ok(())
}

/// Counts a file's right and total cases, under each name that `names` gives a case.
fn scored(
    binary: &Path,
    data: &PathBuf,
    names: impl Fn(&Value) -> Vec<String>,
) -> anyhow::Result<BTreeMap<String, Score>> {
    let text = std::fs::read_to_string(data)?;
    let cases: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let answers = answers(binary, &cases)?;
    let mut scores: BTreeMap<String, Score> = BTreeMap::new();
    for case in &cases {
        let answer = answers.get(&case["id"].to_string());
        let right = answer.is_some_and(|answer| is_right(case, answer));
        for name in names(case) {
            let score = scores.entry(name).or_default();
            score.0 += u32::from(right);
            score.1 += 1;
        }
    }
    Ok(scores)
}

/// The answers of `redialer when`, by id. The expected values are not sent.
fn answers(binary: &Path, cases: &[Value]) -> anyhow::Result<BTreeMap<String, Value>> {
    const SENT: [&str; 8] = ["id", "text", "reference", "tz", "lang", "transcript", "end", "agent_tz"];
    let mut child = Command::new(binary)
        .arg("when")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("when")?;
    let mut stdin = child.stdin.take().context("a pipe")?;
    let lines: Vec<String> = cases
        .iter()
        .map(|case| {
            let sent = SENT.iter().filter_map(|key| Some(((*key).to_owned(), case.get(key)?.clone())));
            json!(sent.collect::<serde_json::Map<_, _>>()).to_string()
        })
        .collect();
    let writer = std::thread::spawn(move || stdin.write_all(lines.join("\n").as_bytes()));
    let output = child.wait_with_output()?;
    writer.join().map_err(|_| anyhow::anyhow!("the pipe broke"))??;
    let text = String::from_utf8(output.stdout)?;
    text.lines()
        .map(|line| {
            let answer: Value = serde_json::from_str(line)?;
            Ok((answer["id"].to_string(), answer["at"].clone()))
        })
        .collect()
}

fn is_right(case: &Value, at: &Value) -> bool {
    let Some(windows) = case.get("accept").or_else(|| case["expected"].get("windows_utc")) else {
        return at.is_null();
    };
    let Some(at) = at.as_str() else { return false };
    let within = |pair: &Value| {
        let bound = |i: usize| pair[i].as_str().unwrap_or_default();
        match case.get("accept") {
            Some(_) => at.parse::<DateTime>().is_ok_and(|at| {
                let wall = |i: usize| {
                    bound(i)
                        .parse::<DateTime>()
                        .is_ok_and(|wall| if i == 0 { wall <= at } else { at <= wall })
                };
                wall(0) && wall(1)
            }),
            None => at.parse::<Timestamp>().is_ok_and(|at| {
                let instant = |i: usize| {
                    bound(i).parse::<Timestamp>().is_ok_and(|t| if i == 0 { t <= at } else { at <= t })
                };
                instant(0) && instant(1)
            }),
        }
    };
    windows.as_array().is_some_and(|windows| windows.iter().any(within))
}
