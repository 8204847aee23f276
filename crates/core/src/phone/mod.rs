//! A number we may dial: E.164, checked once, here.
//!
//! Invariant: a `Phone` is `+` and 7 to 15 digits of a length its country uses, and not premium-rate.
//! Absent on purpose: "valid" by metadata. New area codes are real before any table knows them; whether a
//! number rings is the carrier's word. Absent too: `Display`, so that a number is never logged by accident.

mod zones;

use std::fmt;

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat, PhoneNumberType};
use zeroize::Zeroize;

pub use zones::zones_of;

/// A dialable number in E.164.
#[derive(Clone, PartialEq, Eq)]
pub struct Phone(String);

/// Why a text is not a number we dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPhone {
    /// Not `+` and digits, or not of a length that its country uses.
    #[error("not a phone number in E.164 form, as +14155550117")]
    NotE164,
    /// Calling it costs extra.
    #[error("a premium-rate number is never dialled")]
    Premium,
}

impl Phone {
    /// Reads E.164; spaces, dots, hyphens and parentheses between the digits are forgiven.
    pub fn parse(text: &str) -> Result<Self, BadPhone> {
        let compact: String =
            text.trim().chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')')).collect();
        let digits = compact.strip_prefix('+').ok_or(BadPhone::NotE164)?;
        if !(7..=15).contains(&digits.len())
            || !digits.bytes().all(|b| b.is_ascii_digit())
            || digits.starts_with('0')
        {
            return Err(BadPhone::NotE164);
        }
        if is_plainly_american(digits) {
            return Ok(Self(compact));
        }
        Self::by_plan(&compact)
    }

    /// As the numbering plans of the world have it; some ten times the rest of reading an event's numbers.
    fn by_plan(compact: &str) -> Result<Self, BadPhone> {
        let number = PHONE_NUMBER_UTIL.parse(compact, None).map_err(|_| BadPhone::NotE164)?;
        if !PHONE_NUMBER_UTIL.is_possible_number(&number) {
            return Err(BadPhone::NotE164);
        }
        if PHONE_NUMBER_UTIL.get_number_type(&number) == PhoneNumberType::PremiumRate {
            return Err(BadPhone::Premium);
        }
        Ok(Self(PHONE_NUMBER_UTIL.format(&number, PhoneNumberFormat::E164).into_owned()))
    }

    /// The number in clear, `+14155550117`: for the provider's request, for sealing, for the blind index.
    pub fn e164(&self) -> &str {
        &self.0
    }

    /// The number with all but its beginning and its last two digits hidden, `+1415•••••17`.
    pub fn masked(&self) -> String {
        let keep = self.0.len().saturating_sub(7).clamp(2, 5);
        let (head, tail) = (&self.0[..keep], &self.0[self.0.len() - 2..]);
        format!("{head}{}{tail}", "•".repeat(self.0.len() - keep - 2))
    }
}

/// Whether that is a number of North America, and at no premium: every number there has ten digits, and premium rates
/// are one area code and, in some of its countries, one exchange. All that the plans would tell of it.
fn is_plainly_american(digits: &str) -> bool {
    digits.len() == 11
        && digits.starts_with('1')
        && digits.as_bytes()[1] >= b'2'
        && &digits[1..4] != "900"
        && &digits[4..7] != "976"
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phone(…)")
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Loads the numbering plans; the first use would otherwise pay some 12 ms.
pub fn warm_up() {
    // The answer does not matter, only that it was computed.
    let _warm = Phone::by_plan("+14155550117");
    let _warm = zones_of("+14155550117");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_leniently_and_refused_strictly() {
        let check = |text: &str, want: Result<&str, BadPhone>| {
            let got = Phone::parse(text);
            assert_eq!(got.as_ref().map(Phone::e164).map_err(|e| *e), want, "{text}");
        };
        check("+14155550117", Ok("+14155550117"));
        check(" +1 (415) 555-0117 ", Ok("+14155550117"));
        check("+442079460000", Ok("+442079460000"));
        check("+15550001234", Ok("+15550001234"));
        check("+19005550117", Err(BadPhone::Premium));
        check("+12469760117", Err(BadPhone::Premium));
        for bad in [
            "",
            "+",
            "4155550117",
            "+1415",
            "+1415555011799999",
            "anonymous",
            "+1415555011x",
            "+0123456789",
            "911",
            "sip:a@b",
            "+९१४१५५५५०११७",
        ] {
            check(bad, Err(BadPhone::NotE164));
        }
    }

    #[test]
    fn what_is_known_without_the_plans_is_what_they_say() {
        let check = |area: u32, exchange: u32| {
            let text = format!("+1{area:03}{exchange:03}4567");
            assert!(Phone::parse(&text) == Phone::by_plan(&text), "{text}");
        };
        for area in 0..1_000 {
            for exchange in [0, 100, 211, 555, 800, 900, 976, 999] {
                check(area, exchange);
            }
        }
        // Among them the Bahamas, Barbados, the Caymans, Jamaica, the Dominican Republic, toll-free and personal numbers.
        for area in [242, 246, 345, 876, 787, 809, 415, 800, 500, 900] {
            (0..1_000).for_each(|exchange| check(area, exchange));
        }
    }

    #[test]
    fn masks_show_the_country_and_two_digits() {
        let masked = |text| Phone::parse(text).expect("a number").masked();
        assert_eq!(masked("+14155550117"), "+1415•••••17");
        assert_eq!(masked("+4930901820"), "+493•••••20");
    }
}
