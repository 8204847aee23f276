//! Number to time zones, by longest prefix, from libphonenumber's data (`zones.tsv`).
//!
//! An area code is a hint, never proof: people keep numbers when they move. What a prefix says is a set of
//! zones; what to make of it is [`crate::time::Zone::of_callee`]'s business.

use std::sync::OnceLock;

type Row = (&'static str, Vec<&'static str>);

const TABLE: &str = include_str!("zones.tsv");
const LONGEST_PREFIX: usize = 9;

/// The IANA zones that the prefix of an E.164 number is used in; empty when nothing is known.
pub fn zones_of(e164: &str) -> &'static [&'static str] {
    static ROWS: OnceLock<Vec<Row>> = OnceLock::new();
    let rows = ROWS.get_or_init(read);
    let digits = e164.strip_prefix('+').unwrap_or(e164);
    (1..=LONGEST_PREFIX.min(digits.len()))
        .rev()
        .filter_map(|n| digits.get(..n))
        .find_map(|prefix| rows.binary_search_by_key(&prefix, |row| row.0).ok())
        .map_or(&[], |at| rows[at].1.as_slice())
}

fn read() -> Vec<Row> {
    let mut rows: Vec<Row> = TABLE
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('\t'))
        .map(|(prefix, zones)| (prefix, zones.split('|').collect()))
        .collect();
    rows.sort_unstable_by_key(|row| row.0);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_wins() {
        assert_eq!(zones_of("+12125550100"), ["America/New_York"]);
        assert_eq!(zones_of("+16025550100"), ["America/Phoenix"]);
        assert_eq!(zones_of("+493090182000"), ["Europe/Berlin"]);
        assert!(zones_of("+18005550100").len() > 4, "toll-free says nothing");
        assert!(zones_of("").is_empty());
    }

    #[test]
    fn every_zone_named_is_one_the_time_library_knows() {
        let unknown: Vec<_> = read()
            .into_iter()
            .flat_map(|row| row.1)
            .filter(|z| jiff::tz::TimeZone::get(z).is_err())
            .collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
