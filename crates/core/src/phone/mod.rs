//! A phone number that may be dialed: E.164, validated in [`Phone::parse`].
//!
//! Invariant: a `Phone` is `+` and 7 to 15 digits. A parsed one has a length that its country uses for whole numbers,
//! and is not of a kind that costs extra or that no person answers.
//!
//! Deliberately absent: validity by metadata. New area codes are in use before any table contains them, and only the
//! carrier decides whether a number rings. Only a number without `+` must be valid, because nothing else shows that its
//! first digits are a country code. Also absent: `Display`, so that a number is never logged by accident.

mod country;
mod notation;
mod ranges;
mod withheld;
mod zones;

use std::{fmt, ops::RangeInclusive};

use rlibphonenumber::{
    NumberLengthType, PHONE_NUMBER_UTIL, PhoneNumber, PhoneNumberFormat, PhoneNumberType, ValidationError,
};

pub use country::{country_of, is_country_code};
pub use zones::zones_of;

/// A dialable number in E.164.
#[derive(Clone, PartialEq, Eq)]
pub struct Phone(String);

/// Why a text is not a number that may be dialed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPhone {
    /// Not a number, or a number without its country code.
    #[error(
        "The number must be in E.164 form: a plus sign, the country code and the number, such as +14155550117."
    )]
    NotE164,
    /// Too few or too many digits.
    #[error("The number has too few or too many digits for its country.")]
    Length,
    /// The area code is missing.
    #[error("The number lacks its area code, so it can be dialed only within its area.")]
    LocalOnly,
    /// A placeholder that the carrier sends for a withheld number.
    #[error("The caller's number is withheld: the carrier sent a placeholder instead.")]
    Withheld,
    /// A pager or the access number of a voicemail service.
    #[error("The number is a pager or a voicemail access number, where no person answers.")]
    Unattended,
    /// Calling it costs extra.
    #[error("The number is premium-rate, and premium-rate numbers are never dialed.")]
    Premium,
    /// The cost of a call is shared with the caller.
    #[error("The number is shared-cost, and shared-cost numbers are never dialed.")]
    SharedCost,
    /// A personal number, forwarded at the caller's cost.
    #[error(
        "The number is a personal number that forwards at the caller's cost, and those are never dialed."
    )]
    Personal,
    /// A company's nationwide number.
    #[error("The number is a universal access number, and those are never dialed.")]
    UniversalAccess,
    /// A satellite phone.
    #[error("The number belongs to a satellite network, and satellite numbers are never dialed.")]
    Satellite,
    /// A network that spans countries.
    #[error(
        "The number belongs to an international network of no country, and those numbers are never dialed."
    )]
    InternationalNetwork,
}

impl BadPhone {
    /// Whether the number exists and is refused because calling it may cost extra.
    pub const fn is_costly(self) -> bool {
        match self {
            Self::NotE164 | Self::Length | Self::LocalOnly | Self::Withheld | Self::Unattended => false,
            Self::Premium
            | Self::SharedCost
            | Self::Personal
            | Self::UniversalAccess
            | Self::Satellite
            | Self::InternationalNetwork => true,
        }
    }
}

impl Phone {
    /// Parses a number in international form, in any notation: `+1 (415) 555-0117`, `0014155550117`,
    /// `sip:+14155550117@example.com`, `tel:+1-415-555-0117;ext=12`. Extensions are dropped.
    ///
    /// Without a plus sign the digits must be a valid international number of more than ten digits, because ten digits
    /// are a national number in many countries.
    pub fn parse(text: &str) -> Result<Self, BadPhone> {
        let written = notation::read(text)?;
        check_spelling(&written.digits)?;
        let digits = without_mobile_one(written.digits);
        let parsed =
            |digits: &str| PHONE_NUMBER_UTIL.parse(format!("+{digits}"), None).map_err(|_| BadPhone::NotE164);
        let number = parsed(&digits)?;
        let has_country_code =
            written.international || (digits.len() > NATIONAL && PHONE_NUMBER_UTIL.is_valid_number(&number));
        if !has_country_code {
            return Err(BadPhone::NotE164);
        }
        // From here on the digits are canonical: a trunk 0, as in `+44 (0)20`, is removed.
        let formatted =
            |number: &PhoneNumber| PHONE_NUMBER_UTIL.format(number, PhoneNumberFormat::E164).into_owned();
        let e164 = formatted(&number);
        let canonical = e164.trim_start_matches('+');
        if canonical != digits && formatted(&parsed(canonical)?) != e164 {
            // A second trunk 0.
            return Err(BadPhone::NotE164);
        }
        let digits = canonical;
        // Removing a trunk 1 may have exposed such digits.
        check_spelling(digits)?;
        if let Some(why) = ranges::refusal(digits).or_else(|| refused_type(&number, digits)) {
            return Err(why);
        }
        check_length(&number)?;
        if !LENGTHS.contains(&digits.len()) {
            return Err(BadPhone::Length);
        }
        Ok(Self(e164))
    }

    /// Reads a stored number: E.164 in form, of any kind. A newer rule that refuses the number must not make its row
    /// unreadable. Never use it to decide whether to dial; [`Phone::parse`] decides that.
    pub fn from_stored(e164: &str) -> Option<Self> {
        let digits = e164.strip_prefix('+')?;
        let is_number = LENGTHS.contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| Self(e164.to_owned()))
    }

    /// The number in clear, `+14155550117`: for the provider's request, for encryption, for the blind index.
    pub fn e164(&self) -> &str {
        &self.0
    }

    /// The number with only its beginning and its last two digits visible, `+1415•••••17`.
    pub fn masked(&self) -> String {
        let keep = self.0.len().saturating_sub(7).clamp(2, 5);
        let (head, tail) = (&self.0[..keep], &self.0[self.0.len() - 2..]);
        format!("{head}{}{tail}", "•".repeat(self.0.len() - keep - 2))
    }
}

/// The maximum number of digits of a national number, as in North America.
const NATIONAL: usize = 10;

/// The number of digits in E.164, country code included; the shortest numbers in use have 7.
const LENGTHS: RangeInclusive<usize> = 7..=15;

/// Drops the 1 that Mexican mobile numbers had after `+52` until August 2019 and that some carriers still send (IFT,
/// Plan Técnico Fundamental de Numeración). Argentina's 9 after `+54` stays: it is part of the number.
fn without_mobile_one(digits: String) -> String {
    match digits.strip_prefix("521") {
        Some(national) if national.len() == 10 => format!("52{national}"),
        _ => digits,
    }
}

/// Refuses digits that spell a word for a withheld number, and North American numbers whose area code begins with 0 or
/// 1, because no such area code exists.
fn check_spelling(digits: &str) -> Result<(), BadPhone> {
    if withheld::is_spelled(digits) {
        return Err(BadPhone::Withheld);
    }
    let has_no_area_code = digits.len() == 11 && (digits.starts_with("10") || digits.starts_with("11"));
    if has_no_area_code { Err(BadPhone::NotE164) } else { Ok(()) }
}

fn check_length(number: &PhoneNumber) -> Result<(), BadPhone> {
    match PHONE_NUMBER_UTIL.is_possible_number_with_reason(number) {
        Ok(NumberLengthType::IsPossible) => Ok(()),
        Ok(NumberLengthType::IsPossibleLocalOnly) => Err(BadPhone::LocalOnly),
        Err(ValidationError::InvalidCountryCode) => Err(BadPhone::NotE164),
        Err(_) => Err(BadPhone::Length),
    }
}

/// Why numbers of this type are refused; the type follows from the numbering plan of their country.
fn refused_type(number: &PhoneNumber, digits: &str) -> Option<BadPhone> {
    match PHONE_NUMBER_UTIL.get_number_type(number) {
        PhoneNumberType::PremiumRate => Some(BadPhone::Premium),
        PhoneNumberType::SharedCost => Some(BadPhone::SharedCost),
        PhoneNumberType::PersonalNumber => Some(BadPhone::Personal),
        PhoneNumberType::UAN if ranges::is_charged_like_any_other(digits) => None,
        PhoneNumberType::UAN => Some(BadPhone::UniversalAccess),
        PhoneNumberType::Pager | PhoneNumberType::VoiceMail => Some(BadPhone::Unattended),
        PhoneNumberType::FixedLine
        | PhoneNumberType::Mobile
        | PhoneNumberType::FixedLineOrMobile
        | PhoneNumberType::TollFree
        | PhoneNumberType::VoIP
        | PhoneNumberType::Unknown => None,
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phone(…)")
    }
}

/// Loads the numbering plans; otherwise the first use would take about 12 ms longer.
pub fn warm_up() {
    // Only the side effect of loading matters.
    let warm = Phone::parse("+14155550117");
    let _zones = warm.as_ref().map(|phone| (zones_of(phone.e164()), country_of(phone)));
}

#[cfg(test)]
mod tests;
