//! Settings from environment variables.
//!
//! Invariant: a variable that begins with `REDIALER_` and resembles the name of a setting is an error, so that a typo
//! never silently selects the default; one that resembles no setting is reported on stderr and ignored.

use std::ffi::OsString;

use serde_json::{Map, Value};

use crate::config::{BadConfig, Config, bad, messages::nearest};

const PREFIX: &str = "REDIALER_";

/// Reads the settings from environment variables. Values of numeric settings are parsed as numbers; all others stay text.
pub(crate) fn settings(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Map<String, Value>, BadConfig> {
    let defaults = Config::default().values();
    let mut values = Map::new();
    for (variable, value) in variables {
        let Some(variable) = variable.to_str().map(str::to_ascii_uppercase) else { continue };
        let Some(setting) = variable.strip_prefix(PREFIX).map(str::to_ascii_lowercase) else { continue };
        if setting == "config" || setting.starts_with("test_") {
            continue;
        }
        let Some(value) = value.to_str() else { return bad(&variable, "must be UTF-8 text") };
        match defaults.get(&setting) {
            None => match unknown(&setting, &defaults) {
                Unknown::Typo(problem) => return bad(&variable, problem),
                // It may belong to a script that runs this program.
                Unknown::Foreign => {
                    eprintln!("redialer: {variable} is not a setting of redialer and is ignored")
                }
            },
            Some(Value::Object(_)) => return bad(&variable, "can be set only in the settings file"),
            Some(Value::Number(_)) => {
                let number = value.trim().parse::<u64>().map_or_else(|_| Value::from(value), Value::from);
                values.insert(setting, number);
            }
            Some(_) => {
                values.insert(setting, Value::from(value));
            }
        }
    }
    Ok(values)
}

/// A variable that is not a setting.
enum Unknown {
    /// Similar to a setting; the text is the error.
    Typo(String),
    /// Not similar to any setting.
    Foreign,
}

/// The similarity from which a name counts as a typo of a setting.
const TYPO: f64 = 0.8;

fn unknown(setting: &str, defaults: &Map<String, Value>) -> Unknown {
    let near = nearest(setting, defaults.keys().map(String::as_str).chain(["config"]));
    if strsim::jaro_winkler(setting, near) < TYPO {
        return Unknown::Foreign;
    }
    Unknown::Typo(format!("is not a setting; did you mean {PREFIX}{}?", near.to_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Map<String, Value>, String> {
        let variables = variables.iter().map(|(k, v)| (OsString::from(k), OsString::from(v)));
        settings(variables).map_err(|e| e.to_string())
    }

    #[test]
    fn a_variable_is_a_setting_or_an_error() {
        let read_all = read(&[
            ("REDIALER_LISTEN", "8080"),
            ("REDIALER_DATA_DIR", "2026"),
            ("REDIALER_MAX_DIALS", " 7 "),
            ("REDIALER_CONFIG", "/etc/redialer.toml"),
            ("REDIALER_TEST_POSTGRES", "postgres://localhost"),
            ("REDIALER_BIN", "/usr/local/bin/redialer"),
            ("PATH", "/bin"),
        ]);
        let expected = serde_json::json!({"listen": "8080", "data_dir": "2026", "max_dials": 7});
        assert_eq!(read_all.map(Value::Object), Ok(expected));
        assert_eq!(
            read(&[("REDIALER_LISTN", "x")]),
            Err("REDIALER_LISTN: is not a setting; did you mean REDIALER_LISTEN?".to_owned())
        );
        assert_eq!(
            read(&[("REDIALER_DATABASE", "x")]),
            Err("REDIALER_DATABASE: is not a setting; did you mean REDIALER_DATABASE_URL?".to_owned())
        );
        assert_eq!(
            read(&[("REDIALER_PLANS", "x")]),
            Err("REDIALER_PLANS: can be set only in the settings file".to_owned())
        );
    }
}
