//! Retell's webhook signature: `v=<unix ms>,d=<64 hex>`, HMAC-SHA256 over the raw body directly followed by
//! the decimal timestamp, keyed with the workspace's webhook key.
//!
//! Invariants: verified over the bytes as received, before anything is parsed; digests are compared in constant time;
//! no header value can cause a panic. The plain digest of the body, which some tutorials show, does not protect against
//! replay and is rejected.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::provider::BadSignature;

/// The largest difference between a timestamp and now, either way, inclusive.
pub const TOLERANCE_MS: u64 = 300_000;

const MISSING: BadSignature = BadSignature("the X-Retell-Signature header is missing");
const MALFORMED: BadSignature =
    BadSignature("the X-Retell-Signature header is not of the form v=<unix ms>,d=<64 hex digits>");
const STALE: BadSignature = BadSignature("the signature's timestamp is too far from now");
const MISMATCH: BadSignature =
    BadSignature("the signature does not match the body under the workspace's webhook key");

/// Verifies `header` over `body` at `now_ms` with any of `keys`, of which several are valid during a key change.
pub fn verify<'k>(
    header: Option<&[u8]>,
    body: &[u8],
    keys: impl IntoIterator<Item = &'k [u8]>,
    now_ms: i64,
    tolerance_ms: u64,
) -> Result<(), BadSignature> {
    let (stamp, digest) = parse(header.ok_or(MISSING)?).ok_or(MALFORMED)?;
    // Computed in `i128`, because the timestamp may be any u64.
    if (i128::from(now_ms) - i128::from(stamp)).unsigned_abs() > u128::from(tolerance_ms) {
        return Err(STALE);
    }
    // Every key is tried, so that the time taken does not reveal which one matched. An empty key signs nothing.
    let mut holds = subtle::Choice::from(0);
    for key in keys.into_iter().filter(|k| !k.is_empty()) {
        holds |= digest_of(key, body, stamp).ct_eq(&digest);
    }
    if holds.into() { Ok(()) } else { Err(MISMATCH) }
}

/// The header that a sender with `key` would set; used by the simulator and by tests.
pub fn sign(key: &[u8], body: &[u8], stamp_ms: u64) -> String {
    let hex: String = digest_of(key, body, stamp_ms).iter().map(|b| format!("{b:02x}")).collect();
    format!("v={stamp_ms},d={hex}")
}

fn digest_of(key: &[u8], body: &[u8], stamp: u64) -> [u8; 32] {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
    mac.update(body);
    // The number's own decimal form, not the header's text: both vendor clients drop leading zeros.
    mac.update(stamp.to_string().as_bytes());
    mac.finalize().into_bytes().into()
}

fn parse(header: &[u8]) -> Option<(u64, [u8; 32])> {
    let (stamp, hex) = std::str::from_utf8(header).ok()?.strip_prefix("v=")?.split_once(",d=")?;
    if stamp.is_empty() || !stamp.bytes().all(|b| b.is_ascii_digit()) || hex.len() != 64 {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        let nibble = |c: u8| char::from(c).to_digit(16);
        *byte = (nibble(pair[0])? << 4 | nibble(pair[1])?) as u8;
    }
    Some((stamp.parse().ok()?, digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"key_redialer_test_0001";
    const BODY: &[u8] = br#"{"event":"call_ended"}"#;
    const NOW: i64 = 1_757_500_000_000;

    fn check(header: &str, body: &[u8], now: i64, want: Result<(), BadSignature>) {
        assert_eq!(verify(Some(header.as_bytes()), body, [KEY], now, TOLERANCE_MS), want, "{header}");
    }

    #[test]
    fn a_signature_holds_for_its_body_its_key_and_five_minutes() {
        let good = sign(KEY, BODY, NOW as u64);
        check(&good, BODY, NOW, Ok(()));
        check(&good, BODY, NOW + 300_000, Ok(()));
        check(&good, BODY, NOW - 300_000, Ok(()));
        check(&good, BODY, NOW + 300_001, Err(STALE));
        check(&good, b"{}", NOW, Err(MISMATCH));
        check(&good.replace("v=1757500000000", "v=1757500000001"), BODY, NOW, Err(MISMATCH));
        check(&sign(b"other", BODY, NOW as u64), BODY, NOW, Err(MISMATCH));
    }

    #[test]
    fn any_current_key_will_do_and_an_empty_one_never() {
        let good = sign(KEY, BODY, NOW as u64);
        let with = |keys: &[&[u8]], header: &str| {
            verify(Some(header.as_bytes()), BODY, keys.iter().copied(), NOW, TOLERANCE_MS)
        };
        assert_eq!(with(&[b"new", KEY], &good), Ok(()));
        assert_eq!(with(&[], &good), Err(MISMATCH));
        assert_eq!(with(&[b""], &sign(b"", BODY, NOW as u64)), Err(MISMATCH));
        assert_eq!(verify(None, BODY, [KEY], NOW, TOLERANCE_MS), Err(MISSING));
    }

    #[test]
    fn odd_headers_are_malformed() {
        let digest = "ab".repeat(32);
        for header in [
            String::new(),
            digest.clone(),
            format!("v=1,d={digest}0"),
            format!("v=,d={digest}"),
            format!("v=+1,d={digest}"),
            format!("v=-1,d={digest}"),
            format!("v=99999999999999999999,d={digest}"),
            format!(" v=1,d={digest}"),
            format!("v=1, d={digest}"),
            format!("d={digest},v=1"),
            format!("v=1,d={}é", &digest[..62]),
        ] {
            check(&header, BODY, NOW, Err(MALFORMED));
        }
    }
}
