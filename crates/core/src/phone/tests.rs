//! Phone numbers as received, and the result of parsing each one.

use proptest::prelude::*;

use super::*;

fn check(text: &str, want: Result<&str, BadPhone>) {
    let got = Phone::parse(text);
    assert_eq!(got.as_ref().map(Phone::e164).map_err(|e| *e), want, "{text:?}");
}

#[test]
fn international_numbers_are_read_however_they_are_written() {
    check("+14155550117", Ok("+14155550117"));
    check(" +1 (415) 555-0117 ", Ok("+14155550117"));
    check("+44 (0)20 7946 0000", Ok("+442079460000"));
    check("+49 30/901820", Ok("+4930901820"));
    check("+39 06 1234 5678", Ok("+390612345678"));
    check("0014155550120", Ok("+14155550120"));
    check("sip:+14155550120@sip.example.net", Ok("+14155550120"));
    check("+14155550121;ext=12", Ok("+14155550121"));
    check("\u{202a}+14155550123\u{202c}", Ok("+14155550123"));
    check("+1\u{2011}415\u{2011}5550125", Ok("+14155550125"));
    check("＋14155550126", Ok("+14155550126"));
    check("<sip:+13125550189@pstn.example.com;user=phone>", Ok("+13125550189"));
    check("sip:13125550188@pstn.example.com", Ok("+13125550188"));
    check("+13125550188@sip.example.com", Ok("+13125550188"));
}

#[test]
fn without_a_plus_sign_only_valid_international_numbers_are_read() {
    check("13125550188", Ok("+13125550188"));
    check("525588902311", Ok("+525588902311"));
    check("5215588902311", Ok("+525588902311"));
    check("918777562720", Ok("+918777562720"));
    check("447911123456", Ok("+447911123456"));
    // Ten digits: a national number in North America, and a mobile number in Singapore.
    for national in ["4155550117", "6592345678", "2079460000", "911", "12345"] {
        check(national, Err(BadPhone::NotE164));
    }
    // A nonexistent area code, and a German number without its country code.
    check("15550001234", Err(BadPhone::NotE164));
    check("030901820", Err(BadPhone::NotE164));
}

#[test]
fn old_mexican_mobiles_lose_their_one_and_argentine_ones_keep_their_nine() {
    check("+5213312345678", Ok("+523312345678"));
    check("+5218112345678", Ok("+528112345678"));
    check("+5216641234567", Ok("+526641234567"));
    check("+523312345678", Ok("+523312345678"));
    check("+5491112345678", Ok("+5491112345678"));
}

#[test]
fn numbers_of_fictitious_and_new_ranges_stay_dialable() {
    for number in [
        "+14155550117",
        "+15550001234",
        "+13125550142",
        "+12025550100",
        "+14365550117",
        "+18005550117",
        "+443301234567",
        "+41581234567",
    ] {
        check(number, Ok(number));
    }
}

#[test]
fn withheld_callers_have_no_number() {
    for text in [
        "+8656696",
        "+86282452253",
        "+266696687",
        "+7378742833",
        "+2562533",
        "+464",
        "266696687",
        "anonymous",
        "Restricted",
        "sip:anonymous@anonymous.invalid",
        "\"Anonymous\" <sip:anonymous@anonymous.invalid>",
        "sip:+266696687@example.com",
        "Unavailable",
    ] {
        check(text, Err(BadPhone::Withheld));
    }
}

#[test]
fn parts_of_numbers_are_refused() {
    for local in ["+15550117", "+8610123", "+4420794601", "+1 555-0142"] {
        check(local, Err(BadPhone::LocalOnly));
    }
    for short in ["+1415", "+14155", "+141555501179", "+1415555011799999", "+4479111234567"] {
        check(short, Err(BadPhone::Length));
    }
    for bad in ["", "+", "+0123456789", "+10005550117", "+11234567890", "+110000000000", "+2101234567"] {
        check(bad, Err(BadPhone::NotE164));
    }
}

#[test]
fn costly_numbers_are_refused_by_kind() {
    use BadPhone::{InternationalNetwork, Personal, Premium, Satellite, SharedCost, UniversalAccess};
    for (number, why) in [
        ("+19005550117", Premium),
        ("+19000550117", Premium),
        ("+12469760117", Premium),
        ("+449098790000", Premium),
        ("+448712345678", Premium),
        ("+33892123456", Premium),
        ("+979123456789", Premium),
        ("+448431234567", SharedCost),
        ("+49180512345", SharedCost),
        ("+34901234567", SharedCost),
        ("+80812345678", SharedCost),
        ("+447000555012", Personal),
        ("+15005550006", Personal),
        ("+15335550006", Personal),
        ("+4970012345678", Personal),
        ("+3278102345", UniversalAccess),
        ("+445512345678", UniversalAccess),
        ("+870773111632", Satellite),
        ("+881612345678", Satellite),
        ("+881812345678", Satellite),
        ("+8821621234567", Satellite),
        ("+61147123456", Satellite),
        ("+61 (0)147 123 456", Satellite),
        ("+79541234567", Satellite),
        ("+16005551234", Satellite),
        ("+88299123456", InternationalNetwork),
        ("+883510012345678", InternationalNetwork),
        ("+878101234567890", InternationalNetwork),
    ] {
        check(number, Err(why));
        assert!(why.is_costly());
    }
}

#[test]
fn pagers_and_voicemail_access_numbers_are_refused() {
    for number in ["+447640123456", "+41860123456789"] {
        check(number, Err(BadPhone::Unattended));
    }
}

#[test]
fn reasons_are_full_sentences_without_the_number() {
    use BadPhone::*;
    let all = [
        NotE164,
        Length,
        LocalOnly,
        Withheld,
        Unattended,
        Premium,
        SharedCost,
        Personal,
        UniversalAccess,
        Satellite,
        InternationalNetwork,
    ];
    for why in all {
        let text = why.to_string();
        assert!(text.starts_with("The ") && text.ends_with('.'), "{text}");
    }
    assert_eq!(all.iter().filter(|why| why.is_costly()).count(), 6);
}

#[test]
fn stored_numbers_are_read_whatever_is_refused_today() {
    for number in ["+447000555012", "+870773111632", "+15550117"] {
        assert!(Phone::parse(number).is_err(), "{number}");
        assert_eq!(Phone::from_stored(number).as_ref().map(Phone::e164), Some(number));
    }
    for bad in ["", "+", "14155550117", "+1415555011x", "+1234567890123456"] {
        assert!(Phone::from_stored(bad).is_none(), "{bad}");
    }
}

#[test]
fn a_trunk_zero_is_taken_off_once() {
    assert_eq!(
        Phone::parse("+61 (0)2 5550 1234").map(|p| p.e164().to_owned()),
        Ok("+61255501234".to_owned())
    );
    assert_eq!(Phone::parse("+610000000"), Err(BadPhone::NotE164));
}

#[test]
fn masks_show_the_country_and_two_digits() {
    let masked = |text| Phone::parse(text).expect("a number").masked();
    assert_eq!(masked("+14155550117"), "+1415•••••17");
    assert_eq!(masked("+4930901820"), "+493•••••20");
}

proptest! {
    /// An accepted number is E.164, parses to itself, and is not in a refused range.
    #[test]
    fn accepted_numbers_are_canonical(text in r"(\+|00|sip:\+?|tel:)?[0-9]{1,4}[ -]?[0-9]{3,8}[0-9]{0,4}(;ext=1|@h)?") {
        if let Ok(phone) = Phone::parse(&text) {
            let digits = phone.e164().strip_prefix('+').expect("a plus sign");
            prop_assert!((7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()));
            prop_assert!(ranges::refusal(digits).is_none(), "{}", phone.e164());
            prop_assert!(Phone::parse(phone.e164()) == Ok(phone.clone()));
            prop_assert!(country_of(&phone).is_none_or(is_country_code));
        }
    }

    /// No text makes the parser panic.
    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        let _answer = Phone::parse(&text);
    }

    /// Marks around and between the digits change nothing.
    #[test]
    fn marks_do_not_change_the_number(gaps in proptest::collection::vec(0usize..8, 12)) {
        const MARKS: [&str; 8] = ["", " ", "-", "\u{2011}", "\u{200E}", "\u{00A0}", ".", "\u{2069}"];
        let text: String = "+14155550117".chars().zip(gaps).flat_map(|(c, gap)| [c.to_string(), MARKS[gap].to_owned()]).collect();
        prop_assert_eq!(Phone::parse(&text).map(|p| p.e164().to_owned()), Ok("+14155550117".to_owned()));
    }
}

#[test]
fn a_number_is_not_shown_by_accident() {
    let phone = Phone::parse("+14155550117").expect("a number");
    assert_eq!(format!("{phone:?}"), "Phone(…)");
}
