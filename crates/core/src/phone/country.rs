//! The country of a number, and the ISO codes of countries.

use std::{collections::BTreeMap, sync::OnceLock};

use rlibphonenumber::{PHONE_NUMBER_UTIL, Region};

use super::Phone;

/// North American area codes and their regions, `415 US-CA`.
const AREA_CODES: &str = include_str!("nanp.tsv");

/// ISO 3166-1 alpha-2, and three more codes that numbering plans use: AC Ascension, TA Tristan da Cunha, XK Kosovo.
/// Sorted.
const CODES: &[&str] = &[
    "AC", "AD", "AE", "AF", "AG", "AI", "AL", "AM", "AO", "AQ", "AR", "AS", "AT", "AU", "AW", "AX", "AZ",
    "BA", "BB", "BD", "BE", "BF", "BG", "BH", "BI", "BJ", "BL", "BM", "BN", "BO", "BQ", "BR", "BS", "BT",
    "BV", "BW", "BY", "BZ", "CA", "CC", "CD", "CF", "CG", "CH", "CI", "CK", "CL", "CM", "CN", "CO", "CR",
    "CU", "CV", "CW", "CX", "CY", "CZ", "DE", "DJ", "DK", "DM", "DO", "DZ", "EC", "EE", "EG", "EH", "ER",
    "ES", "ET", "FI", "FJ", "FK", "FM", "FO", "FR", "GA", "GB", "GD", "GE", "GF", "GG", "GH", "GI", "GL",
    "GM", "GN", "GP", "GQ", "GR", "GS", "GT", "GU", "GW", "GY", "HK", "HM", "HN", "HR", "HT", "HU", "ID",
    "IE", "IL", "IM", "IN", "IO", "IQ", "IR", "IS", "IT", "JE", "JM", "JO", "JP", "KE", "KG", "KH", "KI",
    "KM", "KN", "KP", "KR", "KW", "KY", "KZ", "LA", "LB", "LC", "LI", "LK", "LR", "LS", "LT", "LU", "LV",
    "LY", "MA", "MC", "MD", "ME", "MF", "MG", "MH", "MK", "ML", "MM", "MN", "MO", "MP", "MQ", "MR", "MS",
    "MT", "MU", "MV", "MW", "MX", "MY", "MZ", "NA", "NC", "NE", "NF", "NG", "NI", "NL", "NO", "NP", "NR",
    "NU", "NZ", "OM", "PA", "PE", "PF", "PG", "PH", "PK", "PL", "PM", "PN", "PR", "PS", "PT", "PW", "PY",
    "QA", "RE", "RO", "RS", "RU", "RW", "SA", "SB", "SC", "SD", "SE", "SG", "SH", "SI", "SJ", "SK", "SL",
    "SM", "SN", "SO", "SR", "SS", "ST", "SV", "SX", "SY", "SZ", "TA", "TC", "TD", "TF", "TG", "TH", "TJ",
    "TK", "TL", "TM", "TN", "TO", "TR", "TT", "TV", "TW", "TZ", "UA", "UG", "UM", "US", "UY", "UZ", "VA",
    "VC", "VE", "VG", "VI", "VN", "VU", "WF", "WS", "XK", "YE", "YT", "ZA", "ZM", "ZW",
];

/// The country of a number as an ISO 3166-1 alpha-2 code; `None` for numbers without a country (`+800`).
///
/// In North America the area code decides, so that a number of a fictitious exchange has a country too. Elsewhere the
/// numbering plans decide; a number that is in none of them belongs to the main country of its calling code.
pub fn country_of(phone: &Phone) -> Option<&'static str> {
    let digits = phone.e164().strip_prefix('+')?;
    if let Some(country) = by_area_code(digits) {
        return Some(country);
    }
    // All of +7 6 and +7 7 belongs to Kazakhstan; the plans contain only the numbers in use.
    if digits.starts_with("76") || digits.starts_with("77") {
        return code("KZ");
    }
    let number = PHONE_NUMBER_UTIL.parse(phone.e164(), None).ok()?;
    let region = PHONE_NUMBER_UTIL
        .get_region_for_number(&number)
        .or_else(|| PHONE_NUMBER_UTIL.get_region_for_country_code(number.country_code))
        .filter(|region| *region != Region::World)?;
    code(&region.as_region_str())
}

/// Whether a text is a country code: two capital letters of ISO 3166-1 alpha-2, or `AC`, `TA`, `XK`.
pub fn is_country_code(text: &str) -> bool {
    code(text).is_some()
}

fn code(text: &str) -> Option<&'static str> {
    CODES.binary_search(&text).ok().map(|at| CODES[at])
}

fn by_area_code(digits: &str) -> Option<&'static str> {
    static AREAS: OnceLock<BTreeMap<&str, &str>> = OnceLock::new();
    let areas = AREAS.get_or_init(|| {
        let rows = AREA_CODES.lines().filter(|line| !line.starts_with('#'));
        rows.filter_map(|line| line.split_once('\t')).collect()
    });
    let area = digits.strip_prefix('1')?.get(..3)?;
    areas.get(area).and_then(|regions| code(regions.get(..2)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(e164: &str, want: Option<&str>) {
        let phone = Phone::parse(e164).expect("a number");
        assert_eq!(country_of(&phone), want, "{e164}");
    }

    #[test]
    fn numbers_have_the_country_of_their_area_code_or_plan() {
        check("+14155550117", Some("US"));
        check("+14165550117", Some("CA"));
        check("+17875550117", Some("PR"));
        check("+18765550117", Some("JM"));
        check("+18095550117", Some("DO"));
        check("+14365550117", Some("US"));
        check("+15550001234", Some("US"));
        check("+18005550117", Some("US"));
        check("+525588902311", Some("MX"));
        check("+447400123456", Some("GB"));
        check("+447624123456", Some("IM"));
        check("+441534123456", Some("JE"));
        check("+77011234567", Some("KZ"));
        check("+76001234567", Some("KZ"));
        check("+79161234567", Some("RU"));
        check("+4930901820", Some("DE"));
        check("+38343201234", Some("XK"));
        check("+80012345678", None);
    }

    #[test]
    fn area_codes_agree_with_the_plans() {
        for line in AREA_CODES.lines().filter(|line| !line.starts_with('#')) {
            let (area, _) = line.split_once('\t').expect("two columns");
            let Ok(phone) = Phone::parse(&format!("+1{area}2345678")) else { panic!("{area}") };
            let number = PHONE_NUMBER_UTIL.parse(phone.e164(), None).expect("a number");
            // The plans of several islands contain only the exchanges in use.
            if let Some(region) = PHONE_NUMBER_UTIL.get_region_for_number(&number) {
                assert_eq!(country_of(&phone), Some(&*region.as_region_str()), "{area}");
            }
        }
    }

    #[test]
    fn country_codes_are_the_standards() {
        assert!(CODES.is_sorted());
        assert_eq!(CODES.len(), 249 + 3);
        assert!(is_country_code("US") && is_country_code("XK"));
        for bad in ["", "us", "USA", "EU", "UK", "ZZ", "*", "001"] {
            assert!(!is_country_code(bad), "{bad}");
        }
        let regions = PHONE_NUMBER_UTIL.get_supported_regions();
        let unknown: Vec<_> = regions.filter(|region| !is_country_code(&region.as_region_str())).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
