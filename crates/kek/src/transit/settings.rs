//! The engine's address and login: `vault:<url>[/<mount>]#<key>`, the rest from the environment, named as in the
//! vendors' own tools.

use std::{fs, path::PathBuf};

use redialer_core::Secret;

/// An invalid setting of the key service.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct BadTransit {
    /// The setting's name.
    pub setting: &'static str,
    /// The problem with its value.
    pub problem: String,
}

pub(super) fn bad<T>(setting: &'static str, problem: impl Into<String>) -> Result<T, BadTransit> {
    Err(BadTransit { setting, problem: problem.into() })
}

/// The engine's address, and the login.
pub struct Settings {
    /// The server's URL, without a trailing slash.
    pub address: String,
    /// Mount path of the transit engine.
    pub mount: String,
    /// Name of the transit key.
    pub key: String,
    /// `VAULT_NAMESPACE`.
    pub namespace: Option<String>,
    /// `VAULT_CACERT`: trust only these certificates.
    pub ca: Option<PathBuf>,
    /// How to log in.
    pub login: Login,
}

/// How to log in; `mount` is the path at which the method is mounted.
pub enum Login {
    /// `VAULT_TOKEN`.
    Token(Secret<String>),
    /// `VAULT_ROLE_ID` and `VAULT_SECRET_ID`.
    AppRole {
        /// Mount path of the method.
        mount: String,
        /// Role id.
        role_id: String,
        /// Secret id.
        secret: SecretId,
    },
    /// `VAULT_KUBERNETES_ROLE`, or `VAULT_JWT_ROLE` with `VAULT_JWT_FILE`: the file is read at each login.
    Jwt {
        /// Mount path of the method.
        mount: String,
        /// Role name.
        role: String,
        /// Path of the token file.
        file: PathBuf,
    },
}

/// The secret id of an AppRole login.
pub enum SecretId {
    /// `VAULT_SECRET_ID`.
    Inline(Secret<String>),
    /// `VAULT_SECRET_ID_FILE`, read at each login.
    File(PathBuf),
}

impl SecretId {
    pub(super) fn read(&self) -> Result<Secret<String>, String> {
        match self {
            Self::Inline(secret) => Ok(secret.clone()),
            Self::File(file) => {
                let text =
                    Secret::new(fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?);
                Ok(Secret::new(text.trim().to_owned()))
            }
        }
    }
}

/// Path of a pod's own token in Kubernetes.
const POD_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

impl Settings {
    /// Parses the text after `vault:`, and reads the environment through `variable`.
    pub fn read(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Self, BadTransit> {
        let Some((url, key)) = text.split_once('#').filter(|(_, key)| is_name(key)) else {
            return bad("kek", "must be `vault:<url>#<name of the transit key>`");
        };
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let (authority, mount) =
            rest.trim_end_matches('/').split_once('/').unwrap_or((rest.trim_end_matches('/'), ""));
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host).trim_matches(['[', ']']);
        let loopback =
            host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if authority.is_empty()
            || authority.contains('@')
            || !(scheme == "https" || scheme == "http" && loopback)
        {
            return bad("kek", format!("`{url}` must be an https:// URL, or http:// on loopback"));
        }
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        Ok(Self {
            address: format!("{scheme}://{authority}"),
            mount: if mount.is_empty() { "transit".to_owned() } else { mount.to_owned() },
            key: key.to_owned(),
            namespace: variable("VAULT_NAMESPACE"),
            ca: variable("VAULT_CACERT").map(PathBuf::from),
            login: Login::read(variable)?,
        })
    }
}

impl Login {
    /// The first login method that the environment configures.
    fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, BadTransit> {
        let mount = |usual: &str| variable("VAULT_AUTH_MOUNT").unwrap_or_else(|| usual.to_owned());
        if let Some(role_id) = variable("VAULT_ROLE_ID") {
            let secret = match (variable("VAULT_SECRET_ID"), variable("VAULT_SECRET_ID_FILE")) {
                (Some(secret), _) => SecretId::Inline(Secret::new(secret)),
                (None, Some(file)) => SecretId::File(file.into()),
                (None, None) => {
                    return bad(
                        "VAULT_SECRET_ID",
                        "must be set together with VAULT_ROLE_ID (or set VAULT_SECRET_ID_FILE)",
                    );
                }
            };
            return Ok(Self::AppRole { mount: mount("approle"), role_id, secret });
        }
        if let Some(role) = variable("VAULT_KUBERNETES_ROLE") {
            let file = variable("VAULT_JWT_FILE").unwrap_or_else(|| POD_TOKEN.to_owned());
            return Ok(Self::Jwt { mount: mount("kubernetes"), role, file: file.into() });
        }
        if let Some(role) = variable("VAULT_JWT_ROLE") {
            let Some(file) = variable("VAULT_JWT_FILE") else {
                return bad("VAULT_JWT_FILE", "must be set together with VAULT_JWT_ROLE");
            };
            return Ok(Self::Jwt { mount: mount("jwt"), role, file: file.into() });
        }
        match variable("VAULT_TOKEN") {
            Some(token) => Ok(Self::Token(Secret::new(token))),
            None => bad(
                "kek",
                "a `vault:` key needs a login in the environment: VAULT_ROLE_ID and VAULT_SECRET_ID, or VAULT_KUBERNETES_ROLE, or VAULT_JWT_ROLE and VAULT_JWT_FILE, or VAULT_TOKEN",
            ),
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, variables: &[(&str, &str)]) -> Result<Settings, &'static str> {
        let find = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        Settings::read(text, find).map_err(|e| e.setting)
    }

    #[test]
    fn an_address_has_a_key_and_perhaps_a_mount() {
        let token = [("VAULT_TOKEN", "t")];
        let settings = read("https://vault.example:8200#redialer", &token).expect("read");
        assert_eq!(
            (settings.address.as_str(), settings.mount.as_str()),
            ("https://vault.example:8200", "transit")
        );
        let settings = read("http://127.0.0.1:8200/keys/phone/#k", &token).expect("read");
        assert_eq!((settings.mount.as_str(), settings.key.as_str()), ("keys/phone", "k"));
        for wrong in [
            "https://vault.example",
            "http://vault.example#k",
            "https://#k",
            "https://a@b#k",
            "vault#k",
            "https://v#a/b",
        ] {
            assert_eq!(read(wrong, &token).err(), Some("kek"), "{wrong}");
        }
    }

    #[test]
    fn what_is_missing_to_log_in_is_named() {
        const AT: &str = "https://v#k";
        assert_eq!(read(AT, &[]).err(), Some("kek"));
        assert_eq!(read(AT, &[("VAULT_ROLE_ID", "r")]).err(), Some("VAULT_SECRET_ID"));
        assert_eq!(read(AT, &[("VAULT_JWT_ROLE", "r")]).err(), Some("VAULT_JWT_FILE"));
        let login = |variables| read(AT, variables).map(|s| s.login);
        assert!(matches!(
            login(&[("VAULT_ROLE_ID", "r"), ("VAULT_SECRET_ID", "s"), ("VAULT_TOKEN", "t")]),
            Ok(Login::AppRole { .. })
        ));
        let pod = login(&[("VAULT_KUBERNETES_ROLE", "r")]);
        assert!(
            matches!(pod, Ok(Login::Jwt { file, mount, .. }) if file.ends_with("token") && mount == "kubernetes")
        );
        assert!(matches!(login(&[("VAULT_TOKEN", "t")]), Ok(Login::Token(_))));
    }
}
