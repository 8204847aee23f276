//! Points in time, durations, and the callee's time zone.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

/// A duration in whole minutes.
pub const fn minutes(n: i64) -> SignedDuration {
    SignedDuration::from_secs(n * 60)
}

/// `at + by`, saturating at the ends of the calendar.
pub fn plus(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(if by.is_negative() { Timestamp::MIN } else { Timestamp::MAX })
}

/// A timestamp from epoch milliseconds; `None` outside the calendar (years −9999 to 9999).
pub fn from_ms(ms: i64) -> Option<Timestamp> {
    Timestamp::from_millisecond(ms).ok()
}

/// Where a zone comes from, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZoneSource {
    /// The callee or the API request named it for this callback.
    Request,
    /// The number's prefix: its only zone, else the agent's or workspace's zone if the prefix is used there, else its
    /// most populous zone (then [`Zone::is_sure`] is false).
    Number,
    /// The agent's setting.
    Agent,
    /// The workspace's default.
    Workspace,
}

impl ZoneSource {
    /// The value in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Number => "number",
            Self::Agent => "agent",
            Self::Workspace => "workspace",
        }
    }

    /// The source that [`Self::as_str`] names; an unknown name counts as the weakest source.
    pub fn from_stored(name: &str) -> Self {
        [Self::Request, Self::Number, Self::Agent]
            .into_iter()
            .find(|s| s.as_str() == name)
            .unwrap_or(Self::Workspace)
    }
}

/// The callee's time zone: an IANA zone and its source.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone {
    /// IANA name, such as `America/New_York`.
    pub name: String,
    /// The source of the zone.
    pub source: ZoneSource,
    /// False if the zone is only the likeliest of several.
    pub is_sure: bool,
}

impl Zone {
    /// The zone's rules. A name that is not in the time zone database counts as UTC; names are validated on input.
    pub fn rules(&self) -> TimeZone {
        TimeZone::get(&self.name).unwrap_or(TimeZone::UTC)
    }

    /// The zone of a callee: the number's if it is certain, else the agent's, else the workspace's.
    ///
    /// `candidates` are the zones in which the number's prefix is used, the most populous first. With several
    /// candidates, the agent's or the workspace's zone is taken as confirmed if it is among them; else the most
    /// populous candidate is taken, and is not sure. If there are more than four candidates, all of them are ignored
    /// (toll-free, "all of +1").
    pub fn of_callee(candidates: &[&str], agent: Option<&str>, workspace: &str) -> Self {
        let of = |name: &str, source| Self { name: name.to_owned(), source, is_sure: true };
        let known = |name: &&str| TimeZone::get(name).is_ok();
        let fallback = match agent.filter(known) {
            Some(name) => of(name, ZoneSource::Agent),
            None => of(workspace, ZoneSource::Workspace),
        };
        match candidates {
            [only] if known(only) => of(only, ZoneSource::Number),
            [] | [_, _, _, _, _, ..] => fallback,
            several => [Some(fallback.name.as_str()), Some(workspace)]
                .into_iter()
                .flatten()
                .find(|name| several.contains(name))
                .map(|name| of(name, ZoneSource::Number))
                .or_else(|| {
                    let likeliest = several.iter().copied().find(known)?;
                    Some(Self { is_sure: false, ..of(likeliest, ZoneSource::Number) })
                })
                .unwrap_or_else(|| fallback.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_parses_from_its_name_and_an_unknown_name_is_the_weakest() {
        let all = [ZoneSource::Request, ZoneSource::Number, ZoneSource::Agent, ZoneSource::Workspace];
        assert_eq!(all.map(ZoneSource::as_str), ["request", "number", "agent", "workspace"]);
        assert_eq!(all.map(|source| ZoneSource::from_stored(source.as_str())), all);
        assert_eq!(ZoneSource::from_stored("moon"), ZoneSource::Workspace);
    }

    #[test]
    fn a_number_with_an_unknown_zone_falls_back_to_the_workspace() {
        let zone = Zone::of_callee(&["Mars/Olympus"], None, "Europe/Berlin");
        assert_eq!((zone.name.as_str(), zone.source), ("Europe/Berlin", ZoneSource::Workspace));
        let zone = Zone::of_callee(&["America/Phoenix"], None, "Europe/Berlin");
        assert!(zone.is_sure);
    }

    #[test]
    fn the_callees_zone_is_the_numbers_then_the_agents_then_the_workspaces() {
        let check = |candidates: &[&str], agent, name: &str, source| {
            let zone = Zone::of_callee(candidates, agent, "Europe/Berlin");
            assert_eq!((zone.name.as_str(), zone.source), (name, source));
        };
        check(&["America/Phoenix"], Some("Asia/Tokyo"), "America/Phoenix", ZoneSource::Number);
        check(&[], Some("Asia/Tokyo"), "Asia/Tokyo", ZoneSource::Agent);
        check(&[], None, "Europe/Berlin", ZoneSource::Workspace);
        check(&[], Some("Mars/Olympus"), "Europe/Berlin", ZoneSource::Workspace);
        check(&["Asia/Seoul", "Asia/Tokyo"], Some("Asia/Tokyo"), "Asia/Tokyo", ZoneSource::Number);
        check(&["Asia/Seoul", "Europe/Berlin"], Some("Asia/Tokyo"), "Europe/Berlin", ZoneSource::Number);
        check(&["Asia/Seoul", "Asia/Tokyo"], None, "Asia/Seoul", ZoneSource::Number);
        assert!(!Zone::of_callee(&["Asia/Seoul", "Asia/Tokyo"], None, "Europe/Berlin").is_sure);
        assert!(Zone::of_callee(&["Asia/Seoul", "Asia/Tokyo"], None, "Asia/Tokyo").is_sure);
        check(&["a", "b", "c", "d", "e"], None, "Europe/Berlin", ZoneSource::Workspace);
    }

    #[test]
    fn sums_stop_at_the_ends_of_the_calendar() {
        assert_eq!(plus(Timestamp::MAX, minutes(1)), Timestamp::MAX);
        assert_eq!(plus(Timestamp::MIN, minutes(-1)), Timestamp::MIN);
        assert_eq!(from_ms(i64::MAX), None);
    }
}
