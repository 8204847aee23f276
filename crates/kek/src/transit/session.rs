//! The session with the engine: a token that is renewed in time, and replaced by a new login when it is refused.
//!
//! Invariants: one task logs in, regardless of the number of callers; a refused token is not used again; while there is
//! no token, callers get the reason. The task ends some time after the last handle is dropped.

use std::{
    fs,
    sync::{Arc, Weak},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};

use super::{settings::Login, wire::Http};
use crate::KeyError;
use redialer_core::Secret;

/// A token, shared by its users.
pub(super) type Token = Arc<Secret<String>>;

pub(super) struct Session {
    state: watch::Sender<State>,
    refused: Notify,
}

enum State {
    /// The first login is still in progress.
    Beginning,
    /// Logged in, with a token.
    In(Token),
    /// Not logged in, with the reason.
    Out(String),
}

impl State {
    fn token(&self) -> Option<&Token> {
        match self {
            Self::In(token) => Some(token),
            Self::Beginning | Self::Out(_) => None,
        }
    }
}

/// Delay before a failed login is retried, initially and at most.
const LOGIN_RETRY_INTERVAL: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// Assumed lifetime of a lease without an expiry.
const ENDLESS_LEASE_INTERVAL: Duration = Duration::from_secs(3600);

/// A token and its lifetime.
struct Lease {
    token: Token,
    lasts: Duration,
    renewable: bool,
}

#[derive(Deserialize)]
struct AuthResponse {
    auth: Option<Auth>,
    #[serde(default)]
    errors: Vec<String>,
}

#[derive(Deserialize)]
struct Auth {
    client_token: String,
    lease_duration: u64,
    renewable: bool,
}

#[derive(Serialize)]
struct Role<'a> {
    role: &'a str,
    jwt: &'a str,
}

#[derive(Serialize)]
struct AppRole<'a> {
    role_id: &'a str,
    secret_id: &'a str,
}

impl Session {
    /// Starts the login task.
    pub(super) fn begin(http: Http, login: Login) -> Arc<Self> {
        let session = Arc::new(Self { state: watch::Sender::new(State::Beginning), refused: Notify::new() });
        tokio::spawn(keep(Arc::downgrade(&session), http, login));
        session
    }

    /// The current token, or why there is none; waits for the first login.
    pub(super) async fn token(&self) -> Result<Token, KeyError> {
        let mut states = self.state.subscribe();
        let state = states.wait_for(|s| !matches!(s, State::Beginning)).await;
        let why = match state.as_deref() {
            Ok(State::In(token)) => return Ok(Arc::clone(token)),
            Ok(State::Out(why)) => why.clone(),
            Ok(State::Beginning) | Err(_) => "no session with the key service is established".to_owned(),
        };
        Err(KeyError::Unavailable(why))
    }

    /// Marks a token as refused.
    pub(super) fn refused(&self, token: &Token) {
        let was_in_force = self.state.send_if_modified(|state| {
            let same = state.token().is_some_and(|t| Arc::ptr_eq(t, token));
            if same {
                *state = State::Out("the session was refused".to_owned());
            }
            same
        });
        if was_in_force {
            self.refused.notify_one();
        }
    }

    /// Waits for a token other than `token`.
    pub(super) async fn newer_than(&self, token: &Token) -> Option<Token> {
        let mut states = self.state.subscribe();
        let is_newer = |s: &State| s.token().is_some_and(|t| !Arc::ptr_eq(t, token));
        states.wait_for(is_newer).await.ok()?.token().cloned()
    }
}

/// Logs in, renews, and logs in again, until the session is dropped.
async fn keep(session: Weak<Session>, http: Http, login: Login) {
    let mut retry_delay = LOGIN_RETRY_INTERVAL.0;
    loop {
        match logged_in(&http, &login).await {
            Ok(lease) => {
                retry_delay = LOGIN_RETRY_INTERVAL.0;
                let Some(held) = session.upgrade() else { return };
                held.state.send_replace(State::In(Arc::clone(&lease.token)));
                drop(held);
                lived(&session, &http, lease).await;
            }
            Err(error) => {
                let Some(held) = session.upgrade() else { return };
                tracing::warn!(%error, "the login at the key service failed; it is retried");
                // A token that is still valid is used until it is refused.
                held.state.send_if_modified(|state| {
                    let out = state.token().is_none();
                    if out {
                        *state = State::Out(error);
                    }
                    out
                });
                drop(held);
                pause(retry_delay).await;
                retry_delay = (retry_delay * 2).min(LOGIN_RETRY_INTERVAL.1);
            }
        }
        if session.strong_count() == 0 {
            return;
        }
    }
}

/// Renews a lease until it is refused or cannot be renewed any more.
async fn lived(session: &Weak<Session>, http: &Http, mut lease: Lease) {
    loop {
        let Some(held) = session.upgrade() else { return };
        // Renewed after two thirds of its lifetime, which leaves a third for an outage of the service.
        let refused = timeout(lease.lasts * 2 / 3, held.refused.notified()).await.is_ok();
        drop(held);
        if refused || !lease.renewable {
            return;
        }
        match auth_response(http.post("auth/token/renew-self", Some(&lease.token), b"{}").await) {
            // Near a token's maximum lifetime, renewals are cut short: log in again.
            Ok(AuthResponse { auth: Some(auth), .. })
                if Duration::from_secs(auth.lease_duration) * 2 >= lease.lasts =>
            {
                lease.renewable = auth.renewable;
                lease.lasts = Duration::from_secs(auth.lease_duration.max(1));
            }
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(%error, "the session with the key service could not be renewed; redialer logs in again");
                return;
            }
        }
    }
}

/// Logs in once; a configured token is checked by renewing it.
async fn logged_in(http: &Http, login: &Login) -> Result<Lease, String> {
    let answer = match login {
        Login::Token(token) => {
            let response =
                http.post("auth/token/renew-self", Some(token), b"{}").await.map_err(|e| e.to_string())?;
            if response.is_dead_token() {
                return Err("VAULT_TOKEN is revoked or expired".to_owned());
            }
            // A token that cannot be renewed may still be valid until it expires.
            let Ok(answer) = auth_response(Ok(response)) else {
                return Ok(Lease {
                    token: Arc::new(token.clone()),
                    lasts: ENDLESS_LEASE_INTERVAL,
                    renewable: false,
                });
            };
            answer
        }
        Login::AppRole { mount, role_id, secret } => {
            let secret_id = &*secret.read()?;
            let body = Secret::new(serde_json::to_vec(&AppRole { role_id, secret_id }).unwrap_or_default());
            auth_response(http.post(&format!("auth/{mount}/login"), None, &body).await)?
        }
        Login::Jwt { mount, role, file } => {
            let jwt = fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
            let jwt = Secret::new(jwt);
            let body = Secret::new(serde_json::to_vec(&Role { role, jwt: jwt.trim() }).unwrap_or_default());
            auth_response(http.post(&format!("auth/{mount}/login"), None, &body).await)?
        }
    };
    let auth = answer.auth.ok_or("the response to the login contains no token")?;
    let lasts = if auth.lease_duration == 0 {
        ENDLESS_LEASE_INTERVAL
    } else {
        Duration::from_secs(auth.lease_duration)
    };
    Ok(Lease { token: Arc::new(Secret::new(auth.client_token)), lasts, renewable: auth.renewable })
}

/// The body of a successful answer; of any other, the reason.
fn auth_response(answer: Result<super::wire::Response, KeyError>) -> Result<AuthResponse, String> {
    let answer = answer.map_err(|e| e.to_string())?;
    let parsed: AuthResponse =
        serde_json::from_slice(&answer.body).map_err(|_| format!("HTTP {}", answer.status))?;
    if answer.status >= 300 {
        return Err(format!("HTTP {}: {}", answer.status, parsed.errors.join("; ")));
    }
    Ok(parsed)
}

/// Sleeps for `wait`.
async fn pause(wait: Duration) {
    let _over = timeout(wait, std::future::pending::<()>()).await;
}
