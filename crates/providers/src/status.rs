//! The meaning of an answer's status, the same for every provider that uses HTTP.
//!
//! Invariant: only an explicit refusal counts as refused. Any answer after which a call may have been placed is
//! uncertain (failure-model §2).

use redialer_core::{
    order::{Refusal, Reply},
    permission::Permission,
};

use crate::{
    http::{Answer, TransportError},
    read_error::ReadFailure,
};

/// Classifies the answer to a request that places a call: `id_in` finds the call's id in the body of a success,
/// `message_in` the provider's own message in that of a refusal.
pub fn reply(
    answered: Result<Answer, TransportError>,
    id_in: impl FnOnce(&str) -> Option<String>,
    message_in: impl Fn(Option<&str>) -> String,
) -> Reply {
    let answer = match answered {
        Ok(answer) => answer,
        Err(TransportError::NotSent(why)) => return Reply::NotSent { why },
        Err(TransportError::Unknown(why)) => return Reply::Uncertain { why },
    };
    // A refusal is decided by its status, whether or not its message could be read.
    let message = || message_in(answer.text.as_deref().ok());
    match answer.status {
        status @ 200..=299 => match answer.text.as_deref().map(id_in) {
            Ok(Some(call_id)) => Reply::Placed { call_id },
            Ok(None) => Reply::Uncertain { why: format!("HTTP {status} without the id of a call") },
            Err(why) => {
                Reply::Uncertain { why: format!("HTTP {status}, and the body could not be read: {why}") }
            }
        },
        status @ (400 | 404 | 422) => Reply::Refused(Refusal::Permanent { status, message: message() }),
        status @ (401 | 403) => Reply::Refused(Refusal::Key { status, message: message() }),
        402 => Reply::Refused(Refusal::Payment { message: message() }),
        429 => Reply::Refused(Refusal::Throttled { after_secs: answer.after_secs }),
        other => Reply::Uncertain { why: format!("HTTP {other}") },
    }
}

/// Classifies the answer to a read: its body, or why there is none. `needs` is the permission that the key must have
/// for it, `needed` the permissions that every key must have.
pub fn read(
    answered: Result<Answer, TransportError>,
    (needs, needed): (Permission, &'static [Permission]),
    message_in: impl Fn(Option<&str>) -> String,
) -> Result<String, ReadFailure> {
    let answer = answered.map_err(|(TransportError::NotSent(why) | TransportError::Unknown(why))| {
        ReadFailure::Unavailable(why)
    })?;
    let message = || message_in(answer.text.as_deref().ok());
    Err(match answer.status {
        200 | 201 => return answer.text.map_err(ReadFailure::Unavailable),
        401 => ReadFailure::KeyRefused { message: message(), needed },
        402 => ReadFailure::Payment { message: message() },
        403 => ReadFailure::Forbidden { what: needs, message: message() },
        code @ (404 | 422) => ReadFailure::Unknown(code),
        429 => ReadFailure::Throttled { after_secs: answer.after_secs },
        code => ReadFailure::Unavailable(format!("HTTP {code}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreadable_success_keeps_the_reason() {
        let answer = Answer { status: 201, text: Err("the body is too large".to_owned()), after_secs: None };
        let Reply::Uncertain { why } = reply(Ok(answer), |_| None, |_| String::new()) else {
            panic!("a call may have been placed")
        };
        assert_eq!(why, "HTTP 201, and the body could not be read: the body is too large");
    }
}
