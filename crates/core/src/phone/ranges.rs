//! Number ranges that are never dialed, by prefix: ranges for which libphonenumber has no type, or has one only while
//! the number also matches its pattern. A prefix also refuses new numbers of its range.

use super::BadPhone;

/// Prefixes (digits after `+`) and why they are refused.
const RANGES: &[(&str, BadPhone)] = &[
    // Satellite networks. ITU-T E.164, list of assigned country codes: 870 Inmarsat, 881 the global mobile satellite
    // system (6 and 7 Iridium, 8 and 9 Globalstar), 882 13 EMSAT, 882 16 Thuraya.
    ("870", BadPhone::Satellite),
    ("881", BadPhone::Satellite),
    ("88213", BadPhone::Satellite),
    ("88216", BadPhone::Satellite),
    // Satellite ranges of national plans: Australia (ACMA numbering plan 2015, 0145 and 0147), Russia (GlobalTel),
    // Indonesia (PSN), Canada (Canadian Numbering Administrator, 600: satellite and remote areas).
    ("61145", BadPhone::Satellite),
    ("61147", BadPhone::Satellite),
    ("7954", BadPhone::Satellite),
    ("62868", BadPhone::Satellite),
    ("1600", BadPhone::Satellite),
    // International networks and universal personal numbers (ITU-T E.164): every operator sets its own price.
    ("878", BadPhone::InternationalNetwork),
    ("882", BadPhone::InternationalNetwork),
    ("883", BadPhone::InternationalNetwork),
    ("888", BadPhone::InternationalNetwork),
    // International shared cost and premium rate (ITU-T E.169.2, E.169.3).
    ("808", BadPhone::SharedCost),
    ("979", BadPhone::Premium),
    // North America: 900 (NANPA).
    ("1900", BadPhone::Premium),
    // United Kingdom: 09, 084 and 087, 070 (Ofcom, National Telephone Numbering Plan).
    ("449", BadPhone::Premium),
    ("4484", BadPhone::SharedCost),
    ("4487", BadPhone::Premium),
    ("4470", BadPhone::Personal),
];

/// Why a number with that prefix is refused; the longest prefix decides.
pub(super) fn refusal(digits: &str) -> Option<BadPhone> {
    RANGES
        .iter()
        .filter(|(prefix, _)| digits.starts_with(prefix))
        .max_by_key(|(prefix, _)| prefix.len())
        .map(|(_, why)| *why)
}

/// Universal access numbers that cost as much as an ordinary call and that companies use as their main number: 03 in
/// the United Kingdom (Ofcom, General Conditions B1) and 058 in Switzerland (BAKOM, numbering plan E.164/2002).
const CHARGED_LIKE_ANY_OTHER: &[&str] = &["443", "4158"];

/// Whether a universal access number costs no more than an ordinary one.
pub(super) fn is_charged_like_any_other(digits: &str) -> bool {
    CHARGED_LIKE_ANY_OTHER.iter().any(|prefix| digits.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_decides() {
        assert_eq!(refusal("882161234567"), Some(BadPhone::Satellite));
        assert_eq!(refusal("88299123456"), Some(BadPhone::InternationalNetwork));
        assert_eq!(refusal("14155550117"), None);
    }
}
