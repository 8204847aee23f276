//! Measured values with their limits and goals: one row each, printed as a line and as Markdown.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::Context as _;

/// The bound that a value must meet.
#[derive(Clone, Copy)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

use Bound::{AtLeast, AtMost};

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            AtLeast(bound) => value >= bound,
            AtMost(bound) => value <= bound,
        }
    }

    fn text(self) -> String {
        match self {
            AtLeast(bound) => format!("≥ {}", number(bound)),
            AtMost(bound) => format!("≤ {}", number(bound)),
        }
    }
}

/// Which of a row's numbers is compared with the goal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Judged {
    Nothing,
    Figure,
    Ratio,
}

pub(crate) struct Row {
    unit: &'static str,
    what: String,
    figure: f64,
    measure: &'static str,
    limit: Option<(String, f64)>,
    ratio: Option<f64>,
    judged: Judged,
    goal: Option<Bound>,
    floor: Option<Bound>,
}

impl Row {
    pub(crate) fn new(
        unit: &'static str,
        what: impl Into<String>,
        figure: f64,
        measure: &'static str,
    ) -> Self {
        let what = what.into();
        let judged = Judged::Nothing;
        Self { unit, what, figure, measure, limit: None, ratio: None, judged, goal: None, floor: None }
    }

    /// Adds the limit measured in the same run, and the ratio to it.
    pub(crate) fn beside(mut self, name: impl Into<String>, limit: f64) -> Self {
        self.limit = Some((name.into(), limit));
        self.ratio = (limit > 0.0).then(|| self.figure / limit);
        self
    }

    /// Sets a goal for the figure itself.
    pub(crate) const fn figure(mut self, goal: Bound, floor: Option<Bound>) -> Self {
        (self.judged, self.goal, self.floor) = (Judged::Figure, Some(goal), floor);
        self
    }

    /// Sets a goal for the ratio to the limit.
    pub(crate) const fn ratio(mut self, goal: Bound, floor: Option<Bound>) -> Self {
        (self.judged, self.goal, self.floor) = (Judged::Ratio, Some(goal), floor);
        self
    }

    fn verdict(&self) -> &'static str {
        let value = match self.judged {
            Judged::Nothing => return "",
            Judged::Figure => self.figure,
            Judged::Ratio => self.ratio.unwrap_or(f64::NAN),
        };
        match (self.goal, self.floor) {
            (Some(goal), _) if goal.holds(value) => "reaches the goal",
            (_, Some(floor)) if floor.holds(value) => "reaches the floor",
            (_, Some(_)) => "below the floor",
            _ => "misses the goal",
        }
    }

    fn cells(&self) -> [String; 8] {
        let of = if self.judged == Judged::Ratio { " ×" } else { "" };
        let bound = |b: Option<Bound>| b.map_or_else(String::new, |b| format!("{}{of}", b.text()));
        let limit = self.limit.as_ref();
        [
            self.unit.to_owned(),
            self.what.clone(),
            format!("{} {}", number(self.figure), self.measure).trim().to_owned(),
            limit.map_or_else(String::new, |(name, limit)| format!("{} ({name})", number(*limit))),
            self.ratio.map_or_else(String::new, |r| if r < 0.1 { format!("{r:.4}") } else { number(r) }),
            bound(self.goal),
            bound(self.floor),
            self.verdict().to_owned(),
        ]
    }

    /// The row as a line for the terminal.
    pub(crate) fn line(&self) -> String {
        let [unit, what, figure, limit, ratio, goal, floor, verdict] = self.cells();
        let mut line = format!("{unit:<10} {what:<52} {figure:>14}");
        for (label, text) in
            [("limit ", limit), ("ratio ", ratio), ("goal ", goal), ("floor ", floor), ("", verdict)]
        {
            if !text.is_empty() {
                line.push_str(&format!("  {label}{text}"));
            }
        }
        line
    }

    fn markdown(&self) -> String {
        format!("| {} |", self.cells().join(" | "))
    }
}

/// Formats a number with few digits: these measurements drift by a third anyway.
pub(crate) fn number(value: f64) -> String {
    let text = match value.abs() {
        0.0 => "0".to_owned(),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let mut grouped = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let part = part.trim_end_matches('0');
    if part.is_empty() { grouped } else { format!("{grouped}.{part}") }
}

const HEADER: &str = "| unit | what | figure | limit of the same run | ratio | goal | floor | verdict |\n\
                      |---|---|---|---|---|---|---|---|";

/// The table, formatted for `docs/benchmarks.md`.
pub(crate) fn table<'r>(rows: impl IntoIterator<Item = &'r Row>) -> String {
    let rows: Vec<String> = rows.into_iter().map(Row::markdown).collect();
    format!("{HEADER}\n{}", rows.join("\n"))
}

/// Writes the page; the rows of units that did not run are kept.
pub(crate) fn write(path: &Path, machine: &str, rows: &[Row]) -> anyhow::Result<()> {
    let old = fs::read_to_string(path).unwrap_or_default();
    let unit_of = |line: &str| line.strip_prefix("| ")?.split(" | ").next().map(str::to_owned);
    let fresh: BTreeSet<&str> = rows.iter().map(|r| r.unit).collect();
    let is_kept = |line: &&str| {
        unit_of(line)
            .is_some_and(|unit| crate::UNITS.contains(&unit.as_str()) && !fresh.contains(unit.as_str()))
    };
    let mut lines: Vec<String> = old.lines().filter(is_kept).map(str::to_owned).collect();
    lines.extend(rows.iter().map(Row::markdown));
    lines.sort_by_key(|line| unit_of(line).and_then(|u| crate::UNITS.iter().position(|known| *known == u)));
    let page = format!("{INTRODUCTION}\n{machine}\n\n{HEADER}\n{}\n\n{MEASUREMENT}", lines.join("\n"));
    fs::write(path, page).with_context(|| format!("{} cannot be written", path.display()))
}

const INTRODUCTION: &str = "# Benchmarks

Where a limit exists, the figure is compared with it; the limit was measured in the same run, with a minimal program that does
only the unavoidable part of the work. Client, server, provider and database share one machine, whose speed varies by up to a
third from hour to hour, so compare ratios, not absolute figures. `cargo xtask bench --write` repeats the measurement and
updates this page.
";

const MEASUREMENT: &str = "## How it is measured

`cargo xtask bench [UNIT…]` measures all units, or those that are given. `--quick` takes a few seconds per unit. `--write` stores
the figures in the table; rows of units that did not run are kept.

| unit | measures |
|---|---|
| `ingest` | webhooks per second that become durable, decided and scheduled; the response time; CPU time |
| `keys` | the same, with the key-encryption key in a key file and in an OpenBao server: one unwrap per webhook, no caching |
| `dispatch` | how late each request reaches the provider, and whether it does so exactly once, for callbacks that are due one after the other for ten seconds |
| `burst` | how many calls per second reach the provider when 10,000 callbacks are due at once |
| `neighbor` | how much later one tenant's dials are while another tenant's backlog comes due at once |
| `backlog` | the same work with few and with many waiting callbacks: adding one, dialing due ones, idling |
| `pollers` | how long one tenant's webhooks take while another tenant polls a million callbacks constantly |
| `footprint` | memory and start time of an idle server, and the size of the binary |
| `disk` | disk space per webhook of 10 KB. Captured payloads are the sealed webhook bodies |

The goal is the target; the floor is the minimum, and
[0014](decisions/0014-one-path-one-driver-one-provider-interface.md#benchmark-figures-and-floors) explains every figure that misses
it. A multiple (`×`) is a bound on the ratio to the limit. The limits are in `benches/src/limits/`, the units in `benches/src/units/`.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_how_far_it_got() {
        let verdict = |figure: f64| {
            let row = Row::new("ingest", "x", figure, "/s").beside("limit", 100.0);
            row.ratio(AtLeast(0.4), Some(AtLeast(0.2))).verdict()
        };
        assert_eq!(verdict(40.0), "reaches the goal");
        assert_eq!(verdict(20.0), "reaches the floor");
        assert_eq!(verdict(19.0), "below the floor");
        let row = Row::new("dispatch", "p99", 7.25, "ms").figure(AtMost(5.0), None);
        assert_eq!(row.markdown(), "| dispatch | p99 | 7.25 ms |  |  | ≤ 5 |  | misses the goal |");
    }

    #[test]
    fn numbers_are_short() {
        let all = [0.0, 0.034, 1.5, 12.34, 123.4, 12_345.6, 1_000_000.0, -1_500.0].map(number);
        assert_eq!(all, ["0", "0.03", "1.5", "12.3", "123", "12,346", "1,000,000", "-1,500"]);
    }
}
