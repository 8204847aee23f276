//! Errors for settings that cannot be parsed: they name the setting, the reason and the valid values, and no Rust types.

use figment::error::{Actual, Kind};

use crate::config::{BadConfig, Config, check::range_of};

/// Converts a parser's error about a value of the wrong type, an unknown key or the syntax of the file.
pub(crate) fn unreadable(error: figment::Error) -> BadConfig {
    let setting = if error.path.is_empty() { "redialer.toml".to_owned() } else { error.path.join(".") };
    let problem = match error.kind {
        Kind::InvalidType(actual, expected) | Kind::InvalidValue(actual, expected) => {
            format!("must be {}, not {}", valid(&setting, &expected), shown(&actual))
        }
        Kind::UnknownField(name, known) => return unknown_key(&error.path, &name, known),
        Kind::Message(text) => one_line(&text),
        other => other.to_string(),
    };
    BadConfig { setting, problem }
}

fn unknown_key(path: &[String], name: &str, known: &[&str]) -> BadConfig {
    // The path may end with the name already.
    let mut path = path.to_vec();
    if path.last().is_none_or(|last| last != name) {
        path.push(name.to_owned());
    }
    let near = nearest(name, known.iter().copied());
    BadConfig { setting: path.join("."), problem: format!("is not a setting; did you mean `{near}`?") }
}

/// The valid values of a setting, from its range or its type.
fn valid(setting: &str, expected: &str) -> String {
    if let Some((least, most)) = range_of(setting) {
        return format!("a whole number from {least} to {most}");
    }
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more".to_owned(),
        "bool" | "a boolean" => "true or false".to_owned(),
        _ if setting.starts_with("plans") => "a table".to_owned(),
        _ => "text".to_owned(),
    }
}

fn shown(actual: &Actual) -> String {
    match actual {
        Actual::Bool(value) => format!("`{value}`"),
        Actual::Unsigned(value) => format!("`{value}`"),
        Actual::Signed(value) => format!("`{value}`"),
        Actual::Float(value) => format!("`{value}`"),
        Actual::Char(value) => format!("`{value}`"),
        Actual::Str(value) => format!("`{value}`"),
        Actual::Seq => "a list".to_owned(),
        Actual::Map => "a table".to_owned(),
        _ => "that".to_owned(),
    }
}

/// A parser's message without the quoted source line.
fn one_line(text: &str) -> String {
    let lines =
        text.lines().filter(|line| !line.contains('|')).map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(": ")
}

/// The known name most similar to `name`; a common beginning counts more than a common end.
pub(crate) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> &'n str {
    let likeness = |known: &&str| strsim::jaro_winkler(name, known);
    known.max_by(|a, b| likeness(a).total_cmp(&likeness(b))).unwrap_or_default()
}

impl Config {
    /// All settings with their values.
    pub(crate) fn values(&self) -> serde_json::Map<String, serde_json::Value> {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::Object(values)) => values,
            // A struct with named fields serializes as an object.
            _ => serde_json::Map::new(),
        }
    }
}
