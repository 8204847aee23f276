//! The corpus, scored file by file.

use std::{fs, path::Path};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use redialer_when::{Call, CallbackTime, Lang, Role, Turn, read};

/// A call or an expression, and the accepted times.
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) turns: Vec<Turn>,
    pub(crate) end: Timestamp,
    pub(crate) zone: String,
    pub(crate) agent_zone: Option<String>,
    pub(crate) only_the_time: bool,
    pub(crate) lang: Lang,
    /// The accepted ranges, first and last moment; empty if no call at a time was requested.
    windows: Vec<(Timestamp, Timestamp)>,
}

impl Case {
    pub(crate) fn callback_time(&self) -> CallbackTime {
        self.callback_time_at(self.end)
    }

    /// The answer if the call had ended at `end`.
    pub(crate) fn callback_time_at(&self, end: Timestamp) -> CallbackTime {
        read(&Call {
            turns: &self.turns,
            end,
            zone: &self.zone,
            agent_zone: self.agent_zone.as_deref(),
            only_the_time: self.only_the_time,
            lang: self.lang,
            hours: None,
        })
    }

    fn is_right(&self, time: &CallbackTime) -> bool {
        match time.at {
            None => self.windows.is_empty(),
            Some(at) => self.windows.iter().any(|(from, to)| (*from..=*to).contains(&at)),
        }
    }
}

/// Parses `2026-03-07T08:00/2026-03-07T12:00`, or a single minute.
fn window(text: &str, zone: &TimeZone) -> (Timestamp, Timestamp) {
    let (from, to) = text.split_once('/').unwrap_or((text, text));
    let at = |text: &str| {
        let wall: DateTime = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
        wall.to_zoned(zone.clone()).expect("a time of that zone").timestamp()
    };
    (at(from), at(to) + jiff::SignedDuration::from_secs(59))
}

fn call(record: &str, file: &str, lang: Lang) -> Case {
    let lines: Vec<&str> = record.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let id = lines[0].trim_start_matches("== ");
    let head: Vec<&str> = lines[1].split_whitespace().collect();
    let (end, zone) = (head[1], head[2]);
    let agent_zone = head.get(4).map(|zone| (*zone).to_owned());
    let turn = |line: &&str| {
        let (who, content) = line.split_once(':').unwrap_or_else(|| panic!("{id}: {line}"));
        Turn { role: if who == "A" { Role::Agent } else { Role::User }, content: content.trim().to_owned() }
    };
    let rules = TimeZone::get(zone).unwrap_or_else(|e| panic!("{id}: {e}"));
    let answer = lines[lines.len() - 1].trim_start_matches("->").trim();
    let windows = match answer {
        "none" => Vec::new(),
        windows => windows.split_whitespace().map(|w| window(w, &rules)).collect(),
    };
    Case {
        id: format!("{file}:{id}"),
        turns: lines[2..lines.len() - 1].iter().map(turn).collect(),
        end: end.parse().unwrap_or_else(|e| panic!("{id}: {e}")),
        zone: zone.to_owned(),
        agent_zone,
        only_the_time: false,
        lang,
        windows,
    }
}

fn expression(line: &str, file: &str, lang: Lang) -> Case {
    let parts: Vec<&str> = line.split('|').map(str::trim).collect();
    let reference: DateTime = parts[1].parse().unwrap_or_else(|e| panic!("{line}: {e}"));
    Case {
        id: format!("{file}: {}", parts[0]),
        turns: vec![Turn { role: Role::User, content: parts[0].to_owned() }],
        end: reference.to_zoned(TimeZone::UTC).expect("a time").timestamp(),
        zone: "UTC".to_owned(),
        agent_zone: None,
        only_the_time: true,
        lang,
        windows: parts[2].split_whitespace().map(|w| window(w, &TimeZone::UTC)).collect(),
    }
}

/// The cases of a file.
pub(crate) fn cases(name: &str) -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let lang = Lang::from_code(&name[..2]).expect("a file begins with its language");
    if name.contains("expressions") {
        let lines = text.lines().filter(|l| l.matches('|').count() == 2);
        return lines.map(|l| expression(l, name, lang)).collect();
    }
    text.split("\n\n")
        .filter(|r| r.trim_start().starts_with("== "))
        .map(|r| call(r.trim(), name, lang))
        .collect()
}

/// The files, and the minimum percentage of right answers in each.
pub(crate) const FILES: &[(&str, usize)] = &[
    ("en-calls.txt", 100),
    ("en-messy-1.txt", 93),
    ("en-messy-2.txt", 98),
    ("en-messy-3.txt", 93),
    ("en-null.txt", 97),
    ("en-twins.txt", 100),
    ("en-expressions.txt", 99),
    ("en-messy-4.txt", 93),
    ("en-messy-5.txt", 95),
    ("en-messy-6.txt", 88),
    ("en-messy-7.txt", 96),
    ("en-messy-8.txt", 96),
    ("en-messy-9.txt", 100),
    ("en-messy-10.txt", 96),
    ("en-messy-11.txt", 100),
    ("en-messy-12.txt", 97),
    ("en-messy-13.txt", 100),
    ("en-messy-14.txt", 100),
    ("en-messy-15.txt", 100),
    ("en-messy-16.txt", 98),
    ("en-calls-2.txt", 100),
    ("en-expressions-2.txt", 98),
    ("es-calls.txt", 98),
    ("es-expressions.txt", 99),
];

#[test]
fn the_share_of_right_answers_does_not_fall() {
    let mut fallen = Vec::new();
    for (file, least) in FILES {
        let cases = cases(file);
        assert!(!cases.is_empty(), "{file} is empty");
        let missed: Vec<String> = cases
            .iter()
            .filter_map(|case| {
                let time = case.callback_time();
                (!case.is_right(&time)).then(|| format!("{}: {:?} by {:?}", case.id, time.at, time.evidence))
            })
            .collect();
        let right = cases.len() - missed.len();
        eprintln!("{file}: {right} of {}", cases.len());
        if right * 100 < cases.len() * least {
            fallen.push(format!(
                "{file}: {right} of {}, less than {least} %\n  {}",
                cases.len(),
                missed.join("\n  ")
            ));
        }
    }
    assert!(fallen.is_empty(), "{}", fallen.join("\n"));
}
