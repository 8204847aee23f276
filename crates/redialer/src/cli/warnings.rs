//! Warnings about the machine and the settings, printed by `serve` at its start and by `doctor`.

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use crate::config::{Config, is_loopback};

/// A problem that a self-hoster should fix.
pub(crate) struct Warning {
    /// The check that it belongs to, as named by `doctor`.
    pub(crate) check: &'static str,
    /// The problem and its fix.
    pub(crate) message: String,
    /// Whether `doctor` fails because of it.
    pub(crate) fails: bool,
}

/// All warnings, the most important first.
pub(crate) fn all(config: &Config) -> Vec<Warning> {
    [public_url(config), key_file_mode(config), database_mode(config), key_place(config), user()]
        .into_iter()
        .flatten()
        .collect()
}

fn public_url(config: &Config) -> Option<Warning> {
    // A simulator on this machine reaches every address that this machine reaches.
    if config.is_simulated() {
        return None;
    }
    let url = config.public_url();
    let (message, fails) = if config.public_url.is_none() {
        let message = format!(
            "public_url is not set, so webhook URLs begin with {url}, which providers cannot reach. Set REDIALER_PUBLIC_URL to this server's address on the internet, such as https://redialer.example.com"
        );
        (message, true)
    } else if is_loopback(&url) {
        (
            format!(
                "public_url {url} is a loopback address, which providers cannot reach. Set REDIALER_PUBLIC_URL to this server's address on the internet"
            ),
            true,
        )
    } else if url.starts_with("http://") {
        let message = format!(
            "public_url {url} is not encrypted, but webhooks contain phone numbers and transcripts. Put a TLS proxy in front of redialer and use https"
        );
        (message, false)
    } else {
        return None;
    };
    Some(Warning { check: "public URL", message, fails })
}

fn key_file_mode(config: &Config) -> Option<Warning> {
    if !uses_key_file(config) {
        return None;
    }
    let file = config.kek_file();
    let mode = open_mode(&file)?;
    let message = format!(
        "the key file {0} can be read by other users (mode {mode:o}); run `chmod 600 {0}`",
        file.display()
    );
    Some(Warning { check: "key file", message, fails: true })
}

fn database_mode(config: &Config) -> Option<Warning> {
    if config.database_url.is_some() {
        return None;
    }
    let file = config.database_file();
    let mode = open_mode(&file)?;
    let message = format!(
        "the database {0} can be read by other users (mode {mode:o}), and names, email addresses and URLs in it are not encrypted; run `chmod 600 {0}*`",
        file.display()
    );
    Some(Warning { check: "database file", message, fails: false })
}

fn key_place(config: &Config) -> Option<Warning> {
    let file = config.kek_file();
    if !uses_key_file(config) || config.database_url.is_some() || file.parent() != Some(&*config.data_dir) {
        return None;
    }
    let message = format!(
        "the key file {} is in the same directory as the database, so a copy of the directory contains the key to its data. Move the key file, set REDIALER_KEK=file:<path>, and back it up separately from the database",
        file.display()
    );
    Some(Warning { check: "key place", message, fails: false })
}

fn user() -> Option<Warning> {
    rustix::process::geteuid().is_root().then(|| Warning {
        check: "user",
        message: "redialer runs as root; run it as a separate user without privileges".to_owned(),
        fails: false,
    })
}

fn uses_key_file(config: &Config) -> bool {
    config.key_service().is_ok_and(|service| service.is_none())
}

/// The mode of a file that users other than its owner can read or write; `None` if it is private or does not exist.
fn open_mode(file: &Path) -> Option<u32> {
    let mode = std::fs::metadata(file).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about_public_url(public_url: Option<&str>, provider: &str) -> Option<bool> {
        let config = Config { public_url: public_url.map(str::to_owned), ..Config::default() };
        let config = config.simulated_at(provider.to_owned());
        all(&config).into_iter().find(|w| w.check == "public URL").map(|w| w.fails)
    }

    #[test]
    fn a_public_url_that_providers_cannot_reach_is_a_failure_unless_the_provider_is_a_simulator() {
        let real = "https://api.example.com";
        assert_eq!(about_public_url(None, real), Some(true));
        assert_eq!(about_public_url(Some("https://localhost:8080"), real), Some(true));
        assert_eq!(about_public_url(Some("http://redialer.example.com"), real), Some(false));
        assert_eq!(about_public_url(Some("https://redialer.example.com"), real), None);
        assert_eq!(about_public_url(None, "http://127.0.0.1:9090"), None);
    }

    #[test]
    fn files_that_others_can_read_and_a_key_beside_the_database_are_named() {
        let dir = tempfile::tempdir().expect("a directory");
        let config = Config { data_dir: dir.path().to_owned(), ..Config::default() };
        let named = |config: &Config| {
            let checks = all(config)
                .into_iter()
                .filter(|w| ["key file", "database file", "key place"].contains(&w.check));
            checks.map(|w| (w.check, w.fails)).collect::<Vec<_>>()
        };
        for (file, mode) in [(config.kek_file(), 0o600), (config.database_file(), 0o600)] {
            std::fs::write(&file, "").expect("written");
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("set");
        }
        assert_eq!(named(&config), [("key place", false)]);
        for file in [config.kek_file(), config.database_file()] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).expect("set");
        }
        assert_eq!(named(&config), [("key file", true), ("database file", false), ("key place", false)]);
    }
}
