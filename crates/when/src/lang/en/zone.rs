//! Zones: "Eastern", "3 pm Pacific", "your time", "I'm in Phoenix".

use crate::{
    lang::{At, Named},
    part::{Part, Place},
    words::{Kind, Token},
};

pub(super) fn read(s: At<'_>) -> Option<Named> {
    let (place, len) = whose(s).or_else(|| named(s)).or_else(|| city(s))?;
    Some(Named::one(Part::Zone(place), len))
}

fn whose(s: At<'_>) -> Option<(Place, usize)> {
    // "Thanks for your time" is nobody's clock.
    if matches!(
        s.back(1),
        "for" | "of" | "take" | "taking" | "waste" | "value" | "appreciate" | "much" | "all" | "with"
    ) {
        return None;
    }
    match (s.word(0), s.word(1), s.word(2)) {
        ("my", "time", _) | ("our", "time", _) => Some((Place::Mine, 2)),
        ("for", "me", _) if after_an_hour(s) => Some((Place::Mine, 2)),
        ("for", "you", _) if after_an_hour(s) => Some((Place::Yours, 2)),
        ("for", "us", _) if after_an_hour(s) => Some((Place::Mine, 2)),
        ("for", "y'all" | "yall", _) if after_an_hour(s) => Some((Place::Yours, 2)),
        ("over", "here", _) if after_an_hour(s) => Some((Place::Mine, 2)),
        ("where", "i", "am") | ("where", "i'm", "at") if after_an_hour(s) => Some((Place::Mine, 3)),
        ("my" | "our", "side" | "end", _) if after_an_hour(s) => Some((Place::Mine, 2)),
        ("your", "side" | "end", _) if after_an_hour(s) => Some((Place::Yours, 2)),
        ("mine" | "ours", ..) if after_an_hour(s) => Some((Place::Mine, 1)),
        ("yours", ..) if after_an_hour(s) => Some((Place::Yours, 1)),
        ("here", ..) if after_an_hour(s) => Some((Place::Mine, 1)),
        ("there", ..) if after_an_hour(s) => Some((Place::Yours, 1)),
        ("my", "local", "time") => Some((Place::Mine, 3)),
        ("your", "time", _) => Some((Place::Yours, 2)),
        ("your", "local", "time") => Some((Place::Yours, 3)),
        _ => None,
    }
}

/// Zones by their names; plain words only where a clock time stands before or "time" behind.
fn named(s: At<'_>) -> Option<(Place, usize)> {
    let (zone, plain) = match s.word(0) {
        "eastern" | "est" | "edt" => ("America/New_York", false),
        "central" => ("America/Chicago", true),
        "cst" | "cdt" => ("America/Chicago", false),
        "mountain" => ("America/Denver", true),
        "mst" | "mdt" => ("America/Denver", false),
        "pacific" | "pst" | "pdt" => ("America/Los_Angeles", false),
        "alaska" | "akst" | "akdt" => ("America/Anchorage", true),
        "hawaii" | "hst" => ("Pacific/Honolulu", true),
        "atlantic" => ("America/Halifax", true),
        "gmt" | "utc" => ("Etc/UTC", false),
        "bst" | "uk" | "british" => ("Europe/London", s.word(0) != "bst"),
        "cet" | "cest" => ("Europe/Paris", false),
        "et" | "ct" | "mt" | "pt" => {
            let zone = match s.word(0) {
                "et" => "America/New_York",
                "ct" => "America/Chicago",
                "mt" => "America/Denver",
                _ => "America/Los_Angeles",
            };
            (zone, true)
        }
        "arizona" => ("America/Phoenix", true),
        "east" if s.word(1) == "coast" => ("America/New_York", true),
        "west" if s.word(1) == "coast" => ("America/Los_Angeles", true),
        _ => return None,
    };
    let coast = usize::from(s.word(1) == "coast");
    let kind = usize::from(matches!(s.word(1 + coast), "standard" | "daylight"));
    let time = usize::from(s.word(1 + coast + kind) == "time");
    let after_hour = after_an_hour(s);
    (!plain || time == 1 || after_hour).then_some((Place::Named(zone), 1 + coast + kind + time))
}

/// Whether a clock time stands right before.
fn after_an_hour(s: At<'_>) -> bool {
    // "Ten a.m. Central".
    if s.token_back(1).is_some_and(Token::is_stop) {
        return matches!(s.back(2), "am" | "pm");
    }
    matches!(s.token_back(1).map(|t| &t.kind), Some(Kind::Number(..) | Kind::Pair(..)))
        || matches!(s.back(1), "am" | "pm" | "m" | "o'clock" | "noon" | "thirty" | "fifteen" | "midnight")
        || super::numbers::cardinal(s.before()).is_some()
}

/// A place by its name: with "time" behind it, or where somebody says to be.
fn city(s: At<'_>) -> Option<(Place, usize)> {
    let here = s.word(0) == "in" && is_here(s);
    let at = s.on(usize::from(here));
    let (zone, len) =
        PLACES.iter().find(|(words, _)| at.says(words)).map(|(words, zone)| (*zone, words.len()))?;
    let time = usize::from(at.word(len) == "time");
    (here || time == 1).then_some((Place::Named(zone), usize::from(here) + len + time))
}

/// Whether a place is named here.
pub(super) fn is_place(s: At<'_>) -> bool {
    PLACES.iter().any(|(words, _)| s.says(words))
}

/// Whether "in" says where the speaker is: "I'm in", "I'm actually out in", "we're based in", "here in".
fn is_here(s: At<'_>) -> bool {
    let mut n = 1;
    while matches!(
        s.back(n),
        "actually"
            | "out"
            | "over"
            | "down"
            | "up"
            | "currently"
            | "still"
            | "now"
            | "here"
            | "right"
            | "based"
            | "also"
            | "just"
    ) {
        if matches!(s.back(n), "here" | "based") {
            return true;
        }
        n += 1;
    }
    matches!(
        s.back(n),
        "i'm"
            | "im"
            | "we're"
            | "live"
            | "am"
            | "are"
            | "staying"
            | "travelling"
            | "traveling"
            | "i'll"
            | "be"
    )
}

impl At<'_> {
    /// The same words from the token before.
    fn before(self) -> Self {
        Self { at: self.at.saturating_sub(1), ..self }
    }
}

const PLACES: &[(&[&str], &str)] = &[
    (&["new", "york"], "America/New_York"),
    (&["boston"], "America/New_York"),
    (&["miami"], "America/New_York"),
    (&["florida"], "America/New_York"),
    (&["atlanta"], "America/New_York"),
    (&["georgia"], "America/New_York"),
    (&["philadelphia"], "America/New_York"),
    (&["washington", "dc"], "America/New_York"),
    (&["detroit"], "America/Detroit"),
    (&["ohio"], "America/New_York"),
    (&["virginia"], "America/New_York"),
    (&["north", "carolina"], "America/New_York"),
    (&["toronto"], "America/Toronto"),
    (&["montreal"], "America/Toronto"),
    (&["halifax"], "America/Halifax"),
    (&["chicago"], "America/Chicago"),
    (&["dallas"], "America/Chicago"),
    (&["houston"], "America/Chicago"),
    (&["austin"], "America/Chicago"),
    (&["texas"], "America/Chicago"),
    (&["nashville"], "America/Chicago"),
    (&["minneapolis"], "America/Chicago"),
    (&["new", "orleans"], "America/Chicago"),
    (&["st", "louis"], "America/Chicago"),
    (&["kansas", "city"], "America/Chicago"),
    (&["winnipeg"], "America/Winnipeg"),
    (&["denver"], "America/Denver"),
    (&["colorado"], "America/Denver"),
    (&["utah"], "America/Denver"),
    (&["salt", "lake", "city"], "America/Denver"),
    (&["salt", "lake"], "America/Denver"),
    (&["albuquerque"], "America/Denver"),
    (&["calgary"], "America/Edmonton"),
    (&["phoenix"], "America/Phoenix"),
    (&["arizona"], "America/Phoenix"),
    (&["tucson"], "America/Phoenix"),
    (&["scottsdale"], "America/Phoenix"),
    (&["los", "angeles"], "America/Los_Angeles"),
    (&["la"], "America/Los_Angeles"),
    (&["california"], "America/Los_Angeles"),
    (&["san", "francisco"], "America/Los_Angeles"),
    (&["san", "diego"], "America/Los_Angeles"),
    (&["seattle"], "America/Los_Angeles"),
    (&["portland"], "America/Los_Angeles"),
    (&["oregon"], "America/Los_Angeles"),
    (&["las", "vegas"], "America/Los_Angeles"),
    (&["vegas"], "America/Los_Angeles"),
    (&["nevada"], "America/Los_Angeles"),
    (&["vancouver"], "America/Vancouver"),
    (&["anchorage"], "America/Anchorage"),
    (&["alaska"], "America/Anchorage"),
    (&["hawaii"], "Pacific/Honolulu"),
    (&["honolulu"], "Pacific/Honolulu"),
    (&["maui"], "Pacific/Honolulu"),
    (&["puerto", "rico"], "America/Puerto_Rico"),
    (&["mexico", "city"], "America/Mexico_City"),
    (&["bogota"], "America/Bogota"),
    (&["london"], "Europe/London"),
    (&["england"], "Europe/London"),
    (&["manchester"], "Europe/London"),
    (&["the", "uk"], "Europe/London"),
    (&["uk"], "Europe/London"),
    (&["scotland"], "Europe/London"),
    (&["edinburgh"], "Europe/London"),
    (&["ireland"], "Europe/Dublin"),
    (&["dublin"], "Europe/Dublin"),
    (&["paris"], "Europe/Paris"),
    (&["madrid"], "Europe/Madrid"),
    (&["spain"], "Europe/Madrid"),
    (&["berlin"], "Europe/Berlin"),
    (&["germany"], "Europe/Berlin"),
    (&["rome"], "Europe/Rome"),
    (&["italy"], "Europe/Rome"),
    (&["dubai"], "Asia/Dubai"),
    (&["india"], "Asia/Kolkata"),
    (&["mumbai"], "Asia/Kolkata"),
    (&["singapore"], "Asia/Singapore"),
    (&["tokyo"], "Asia/Tokyo"),
    (&["hong", "kong"], "Asia/Hong_Kong"),
    (&["sydney"], "Australia/Sydney"),
    (&["melbourne"], "Australia/Melbourne"),
    (&["brisbane"], "Australia/Brisbane"),
    (&["perth"], "Australia/Perth"),
    (&["auckland"], "Pacific/Auckland"),
    (&["adelaide"], "Australia/Adelaide"),
    (&["darwin"], "Australia/Darwin"),
    (&["wa"], "Australia/Perth"),
    (&["jamaica"], "America/Jamaica"),
    (&["jamaican"], "America/Jamaica"),
    (&["kenya"], "Africa/Nairobi"),
    (&["nairobi"], "Africa/Nairobi"),
    (&["lagos"], "Africa/Lagos"),
    (&["nigeria"], "Africa/Lagos"),
    (&["nigerian"], "Africa/Lagos"),
    (&["accra"], "Africa/Accra"),
    (&["ghana"], "Africa/Accra"),
    (&["manila"], "Asia/Manila"),
    (&["philippine"], "Asia/Manila"),
    (&["indian"], "Asia/Kolkata"),
    (&["irish"], "Europe/Dublin"),
    (&["saskatchewan"], "America/Regina"),
    (&["regina"], "America/Regina"),
    (&["newfoundland"], "America/St_Johns"),
    (&["boise"], "America/Boise"),
    (&["johannesburg"], "Africa/Johannesburg"),
    (&["cape", "town"], "Africa/Johannesburg"),
    (&["athens"], "Europe/Athens"),
    (&["greece"], "Europe/Athens"),
    (&["lisbon"], "Europe/Lisbon"),
    (&["portugal"], "Europe/Lisbon"),
    (&["amsterdam"], "Europe/Amsterdam"),
    (&["brussels"], "Europe/Brussels"),
    (&["vienna"], "Europe/Vienna"),
    (&["zurich"], "Europe/Zurich"),
    (&["geneva"], "Europe/Zurich"),
    (&["munich"], "Europe/Berlin"),
    (&["frankfurt"], "Europe/Berlin"),
    (&["hamburg"], "Europe/Berlin"),
    (&["barcelona"], "Europe/Madrid"),
    (&["milan"], "Europe/Rome"),
    (&["france"], "Europe/Paris"),
    (&["warsaw"], "Europe/Warsaw"),
    (&["poland"], "Europe/Warsaw"),
    (&["prague"], "Europe/Prague"),
    (&["budapest"], "Europe/Budapest"),
    (&["stockholm"], "Europe/Stockholm"),
    (&["oslo"], "Europe/Oslo"),
    (&["copenhagen"], "Europe/Copenhagen"),
    (&["helsinki"], "Europe/Helsinki"),
    (&["istanbul"], "Europe/Istanbul"),
    (&["turkey"], "Europe/Istanbul"),
    (&["cairo"], "Africa/Cairo"),
    (&["tel", "aviv"], "Asia/Jerusalem"),
    (&["israel"], "Asia/Jerusalem"),
    (&["riyadh"], "Asia/Riyadh"),
    (&["doha"], "Asia/Qatar"),
    (&["abu", "dhabi"], "Asia/Dubai"),
    (&["karachi"], "Asia/Karachi"),
    (&["lahore"], "Asia/Karachi"),
    (&["pakistan"], "Asia/Karachi"),
    (&["delhi"], "Asia/Kolkata"),
    (&["bangalore"], "Asia/Kolkata"),
    (&["chennai"], "Asia/Kolkata"),
    (&["kolkata"], "Asia/Kolkata"),
    (&["hyderabad"], "Asia/Kolkata"),
    (&["pune"], "Asia/Kolkata"),
    (&["colombo"], "Asia/Colombo"),
    (&["dhaka"], "Asia/Dhaka"),
    (&["kathmandu"], "Asia/Kathmandu"),
    (&["bangkok"], "Asia/Bangkok"),
    (&["thailand"], "Asia/Bangkok"),
    (&["jakarta"], "Asia/Jakarta"),
    (&["bali"], "Asia/Makassar"),
    (&["kuala", "lumpur"], "Asia/Kuala_Lumpur"),
    (&["malaysia"], "Asia/Kuala_Lumpur"),
    (&["shanghai"], "Asia/Shanghai"),
    (&["beijing"], "Asia/Shanghai"),
    (&["taipei"], "Asia/Taipei"),
    (&["seoul"], "Asia/Seoul"),
    (&["korea"], "Asia/Seoul"),
    (&["japan"], "Asia/Tokyo"),
    (&["osaka"], "Asia/Tokyo"),
    (&["wellington"], "Pacific/Auckland"),
    (&["new", "zealand"], "Pacific/Auckland"),
    (&["nz"], "Pacific/Auckland"),
    (&["christchurch"], "Pacific/Auckland"),
    (&["canberra"], "Australia/Sydney"),
    (&["hobart"], "Australia/Hobart"),
    (&["queensland"], "Australia/Brisbane"),
    (&["fiji"], "Pacific/Fiji"),
    (&["sao", "paulo"], "America/Sao_Paulo"),
    (&["brazil"], "America/Sao_Paulo"),
    (&["rio"], "America/Sao_Paulo"),
    (&["buenos", "aires"], "America/Argentina/Buenos_Aires"),
    (&["santiago"], "America/Santiago"),
    (&["lima"], "America/Lima"),
    (&["cancun"], "America/Cancun"),
    (&["barbados"], "America/Barbados"),
    (&["trinidad"], "America/Port_of_Spain"),
    (&["glasgow"], "Europe/London"),
    (&["birmingham"], "Europe/London"),
    (&["cardiff"], "Europe/London"),
    (&["wales"], "Europe/London"),
    (&["belfast"], "Europe/London"),
    (&["liverpool"], "Europe/London"),
    (&["leeds"], "Europe/London"),
    (&["cork"], "Europe/Dublin"),
    (&["kampala"], "Africa/Kampala"),
    (&["addis"], "Africa/Addis_Ababa"),
    (&["durban"], "Africa/Johannesburg"),
    (&["south", "africa"], "Africa/Johannesburg"),
    (&["memphis"], "America/Chicago"),
    (&["milwaukee"], "America/Chicago"),
    (&["omaha"], "America/Chicago"),
    (&["oklahoma"], "America/Chicago"),
    (&["san", "antonio"], "America/Chicago"),
    (&["louisiana"], "America/Chicago"),
    (&["wisconsin"], "America/Chicago"),
    (&["minnesota"], "America/Chicago"),
    (&["illinois"], "America/Chicago"),
    (&["iowa"], "America/Chicago"),
    (&["missouri"], "America/Chicago"),
    (&["alabama"], "America/Chicago"),
    (&["charlotte"], "America/New_York"),
    (&["pittsburgh"], "America/New_York"),
    (&["cleveland"], "America/New_York"),
    (&["orlando"], "America/New_York"),
    (&["tampa"], "America/New_York"),
    (&["baltimore"], "America/New_York"),
    (&["jersey"], "America/New_York"),
    (&["massachusetts"], "America/New_York"),
    (&["connecticut"], "America/New_York"),
    (&["vermont"], "America/New_York"),
    (&["maine"], "America/New_York"),
    (&["ottawa"], "America/Toronto"),
    (&["wyoming"], "America/Denver"),
    (&["montana"], "America/Denver"),
    (&["new", "mexico"], "America/Denver"),
    (&["el", "paso"], "America/Denver"),
    (&["sacramento"], "America/Los_Angeles"),
    (&["oakland"], "America/Los_Angeles"),
    (&["reno"], "America/Los_Angeles"),
    (&["spokane"], "America/Los_Angeles"),
];
