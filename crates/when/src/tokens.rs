//! Words and numbers, whichever way the transcriber wrote them.
//!
//! "3 p.m.", "3pm", "three p m" and "3 PM" all become the same two tokens.

/// One word or number of a sentence, and where it stands in the text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Word(String),
    Number(u32),
    /// Hours and minutes, written with a colon.
    Clock(u32, u32),
    /// The end of a sentence.
    Stop,
}

impl Token {
    pub(crate) fn word(&self) -> &str {
        if let Kind::Word(word) = &self.kind { word } else { "" }
    }

    pub(crate) fn number(&self) -> Option<u32> {
        if let Kind::Number(n) = self.kind { Some(n) } else { None }
    }
}

pub(crate) fn tokens(text: &str) -> Vec<Token> {
    merge(split(text))
}

/// Breaks text at spaces and punctuation; digits and letters that touch come apart.
fn split(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut chars = text.char_indices().peekable();
    while let Some((start, c)) = chars.next() {
        let mut end = start + c.len_utf8();
        let mut take = |more: fn(char) -> bool| {
            while let Some((at, next)) = chars.next_if(|(_, n)| more(*n)) {
                end = at + next.len_utf8();
            }
            end
        };
        if c.is_ascii_digit() {
            let end = take(|n| n.is_ascii_digit() || n == ':');
            found.push(Token { kind: figure(&text[start..end]), start, end });
        } else if c.is_alphabetic() {
            let end = take(|n| n.is_alphabetic() || matches!(n, '\'' | '’'));
            let word = text[start..end].to_lowercase().replace(['\'', '’'], "");
            found.push(Token { kind: Kind::Word(word), start, end });
        } else if matches!(c, '.' | '?' | '!' | ';' | '\n') {
            found.push(Token { kind: Kind::Stop, start, end });
        }
    }
    found
}

fn figure(text: &str) -> Kind {
    let parts: Vec<Option<u32>> = text.split(':').map(|p| p.parse().ok()).collect();
    match parts[..] {
        [Some(h), Some(m)] => Kind::Clock(h, m),
        [Some(n)] => Kind::Number(n),
        _ => Kind::Word(text.to_owned()),
    }
}

/// Joins what belongs together: "p . m ." to "pm", "twenty five" to 25; drops the noise between.
fn merge(raw: Vec<Token>) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::with_capacity(raw.len());
    let mut i = 0;
    while i < raw.len() {
        let (len, kind) =
            half_of_day(&raw[i..]).or_else(|| spoken_number(&raw[i..])).unwrap_or((1, raw[i].kind.clone()));
        let noise =
            matches!(&kind, Kind::Word(w) if matches!(w.as_str(), "um" | "uh" | "er" | "hmm" | "oclock"));
        if !noise {
            out.push(Token { kind, start: raw[i].start, end: raw[i + len - 1].end });
        }
        i += len;
    }
    out
}

/// `am`, `a m`, `a.m.` and their evening twins.
fn half_of_day(rest: &[Token]) -> Option<(usize, Kind)> {
    let letter = match rest.first()?.word() {
        "am" => return Some((dotted(rest, 1), Kind::Word("am".to_owned()))),
        "pm" => return Some((dotted(rest, 1), Kind::Word("pm".to_owned()))),
        "a" => "am",
        "p" => "pm",
        _ => return None,
    };
    let skip = usize::from(rest.get(1)?.kind == Kind::Stop);
    (rest.get(1 + skip)?.word() == "m").then(|| (dotted(rest, 2 + skip), Kind::Word(letter.to_owned())))
}

/// A dot right behind `m` is part of it unless a sentence seems to begin there.
fn dotted(rest: &[Token], len: usize) -> usize {
    match rest.get(len) {
        Some(t) if t.kind == Kind::Stop && rest[len - 1].end == t.start && rest.get(len + 1).is_some() => {
            len + 1
        }
        _ => len,
    }
}

fn spoken_number(rest: &[Token]) -> Option<(usize, Kind)> {
    let first = unit(rest.first()?.word())?;
    let second = rest.get(1).and_then(|t| unit(t.word()));
    match (first, second) {
        (20..=90, Some(ones @ 1..=9)) => Some((2, Kind::Number(first + ones))),
        _ => Some((1, Kind::Number(first))),
    }
}

fn unit(word: &str) -> Option<u32> {
    const SMALL: [&str; 20] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ];
    const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
    let small = SMALL.iter().position(|w| *w == word);
    small.or_else(|| TENS.iter().position(|w| *w == word).map(|i| 20 + 10 * i)).map(|n| n as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let show = |t: &Token| match &t.kind {
            Kind::Word(w) => w.clone(),
            Kind::Number(n) => format!("#{n}"),
            Kind::Clock(h, m) => format!("{h}:{m}"),
            Kind::Stop => ".".to_owned(),
        };
        tokens(text).iter().map(show).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_spelling_of_an_hour_is_the_same_hour() {
        for text in
            ["3 p.m. tomorrow", "3pm tomorrow", "three p m tomorrow", "3 PM tomorrow", "um, 3 p. m. tomorrow"]
        {
            assert_eq!(shown(text), "#3 pm tomorrow", "{text}");
        }
        assert_eq!(shown("at 10:30 a.m. Thanks."), "at 10:30 am thanks .");
        assert_eq!(shown("twenty five minutes. It's I'm"), "#25 minutes . its im");
        assert_eq!(shown("99999999999 12:3:4 ñandú 🙂"), "99999999999 12:3:4 ñandú");
    }
}
