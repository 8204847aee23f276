//! Splits a turn into tokens and normalizes the spelling of different transcribers.
//!
//! Invariants: every token has the byte range it came from; letters are folded to lower case without accents, so that
//! tables need one spelling; fillers ("um") are dropped here, so they cannot change an answer. Absent on purpose: the
//! meaning of words, which each language defines.

/// A word, number or punctuation mark, with its byte range in the turn.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// Folded letters, apostrophes kept.
    Word(String),
    /// A number in digits, and the count of digits.
    Number(u32, u8),
    /// Two numbers separated by a colon, a dot or "h": 10:45, 9.30, 18h00.
    Pair(u32, u32, char),
    /// 1st, 22nd.
    Ordinal(u32),
    /// Year, month, day.
    Date(i16, i8, i8),
    /// A number with a fraction: 1.5.
    Decimal(f64),
    /// Digits that are not a time: prices, telephone numbers, references.
    Figure,
    /// `.`, `?`, `!`, `;` or a new line.
    Stop(char),
    Comma,
    /// A dash between words.
    Dash,
    /// Any other symbol.
    Sign(char),
}

impl Token {
    /// The word; empty if the token is not a word.
    pub(crate) fn word(&self) -> &str {
        if let Kind::Word(word) = &self.kind { word } else { "" }
    }

    /// Whether a sentence ends here.
    pub(crate) const fn is_stop(&self) -> bool {
        matches!(self.kind, Kind::Stop(_))
    }
}

/// Filler words of all supported languages.
const FILLERS: [&str; 14] =
    ["um", "umm", "uh", "uhh", "er", "erm", "uhm", "hmm", "hm", "mm", "ah", "eh", "huh", "mmm"];

/// The tokens of a turn.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut reader = Reader { text, at: 0, tokens: Vec::with_capacity(text.len() / 5 + 1) };
    while reader.at < text.len() {
        reader.next();
    }
    without_fillers(reader.tokens)
}

/// Drops fillers and the comma after each of them.
fn without_fillers(tokens: Vec<Token>) -> Vec<Token> {
    let mut kept: Vec<Token> = Vec::with_capacity(tokens.len());
    let mut after_filler = false;
    for token in tokens {
        let is_filler = FILLERS.contains(&token.word());
        let is_its_comma = after_filler && token.kind == Kind::Comma;
        if !is_filler && !is_its_comma {
            kept.push(token);
        }
        after_filler = is_filler;
    }
    kept
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    tokens: Vec<Token>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    fn after(&self, bytes: usize) -> Option<char> {
        self.text.get(self.at + bytes..)?.chars().next()
    }

    fn push(&mut self, kind: Kind, start: usize) {
        self.tokens.push(Token { kind, start, end: self.at });
    }

    fn next(&mut self) {
        let Some(c) = self.peek() else { return };
        let start = self.at;
        if c.is_ascii_digit() {
            self.number();
        } else if c.is_alphabetic() {
            self.word();
        } else {
            self.at += c.len_utf8();
            let spaced = self.text[..start].ends_with(char::is_whitespace) || start == 0;
            let joins = |c: Option<char>| c.is_some_and(char::is_alphabetic);
            let kind = match c {
                // "twenty-four", "5-ish": drop the hyphen.
                '-' if !spaced && (joins(self.peek()) || joins(self.text[..start].chars().next_back())) => {
                    return;
                }
                '.' | '?' | '!' | ';' | '\n' | '…' => Kind::Stop(c),
                ',' => Kind::Comma,
                '—' | '–' => Kind::Dash,
                '-' if spaced || self.peek() == Some('-') => Kind::Dash,
                '$' | '€' | '£' => {
                    self.price();
                    Kind::Figure
                }
                '+' if self.peek().is_some_and(|d| d.is_ascii_digit()) && self.digits_ahead() > 6 => {
                    self.skip_number();
                    Kind::Figure
                }
                '@' | '~' | '<' | '>' | '=' | '+' | '/' | '-' | '%' | '"' | ':' => Kind::Sign(c),
                _ => return,
            };
            self.push(kind, start);
        }
    }

    fn word(&mut self) {
        let start = self.at;
        let mut word = String::new();
        while let Some(c) = self.peek() {
            match c {
                '\'' | '’' if self.after(c.len_utf8()).is_some_and(char::is_alphabetic) => word.push('\''),
                _ if c.is_alphabetic() => word.extend(c.to_lowercase().map(fold)),
                // "a.m." and "U.S." are one word, which includes the dot after the last letter.
                '.' if self.at - start == char_len(self.text, start)
                    && self.after(1).is_some_and(char::is_alphabetic)
                    && self.letter_stands_alone(1) => {}
                _ => break,
            }
            self.at += c.len_utf8();
        }
        if word.len() == 2 && self.text[start..self.at].contains('.') && self.peek() == Some('.') {
            let rest = self.text[self.at + 1..].trim_start();
            // A dot that also ends the sentence stays a token of its own.
            if rest.chars().next().is_some_and(|c| !c.is_uppercase()) {
                self.at += 1;
            }
        }
        match word
            .strip_suffix("ish")
            .filter(|w| w.len() > 2 && !matches!(*w, "fin" | "pol" | "engl" | "span"))
        {
            Some(stem) => {
                let (stem, end) = (stem.to_owned(), self.at);
                self.push(Kind::Word(stem), start);
                self.at = end;
                self.push(Kind::Word("ish".to_owned()), end);
            }
            None => self.push(Kind::Word(word), start),
        }
    }

    /// Whether the letter at `ahead` bytes is not followed by another letter.
    fn letter_stands_alone(&self, ahead: usize) -> bool {
        let mut rest = self.text[self.at + ahead..].chars();
        rest.next();
        rest.next().is_none_or(|c| !c.is_alphabetic())
    }

    fn digits(&mut self) -> (u64, u8) {
        let (mut n, mut len) = (0_u64, 0_u8);
        while let Some(d) = self.peek().and_then(|c| c.to_digit(10)) {
            n = n.saturating_mul(10).saturating_add(u64::from(d));
            len = len.saturating_add(1);
            self.at += 1;
        }
        (n, len)
    }

    /// The count of digits of one number, which may be grouped by dashes, dots, parentheses or spaces.
    fn digits_ahead(&self) -> usize {
        let rest = &self.text[self.at..];
        let number = rest.find(|c: char| !(c.is_ascii_digit() || matches!(c, '-' | '.' | '(' | ')' | ' ')));
        rest[..number.unwrap_or(rest.len())].bytes().filter(u8::is_ascii_digit).count()
    }

    fn skip_number(&mut self) {
        while self.peek().is_some_and(|c| c.is_ascii_digit() || matches!(c, '-' | '(' | ')'))
            || (matches!(self.peek(), Some('.' | ' ')) && self.after(1).is_some_and(|c| c.is_ascii_digit()))
        {
            self.at += 1;
        }
    }

    fn price(&mut self) {
        while self.peek().is_some_and(|c| c.is_ascii_digit())
            || (matches!(self.peek(), Some('.' | ',')) && self.after(1).is_some_and(|c| c.is_ascii_digit()))
        {
            self.at += 1;
        }
    }

    fn number(&mut self) {
        let start = self.at;
        let (n, len) = self.digits();
        let kind = self.number_from(n, len);
        self.push(kind, start);
    }

    fn number_from(&mut self, n: u64, len: u8) -> Kind {
        let digit_after = |r: &Self, bytes| r.after(bytes).is_some_and(|c| c.is_ascii_digit());
        if len > 6 {
            return Kind::Figure;
        }
        let number = u32::try_from(n).unwrap_or(u32::MAX);
        match self.peek() {
            // A numeric date, year first.
            Some('-' | '/') if len == 4 && digit_after(self, 1) => {
                let (_, (month, _)) = (self.at += 1, self.digits());
                if matches!(self.peek(), Some('-' | '/')) && digit_after(self, 1) {
                    let (_, (day, _)) = (self.at += 1, self.digits());
                    // The "T" between date and hour.
                    if self.peek() == Some('T') && digit_after(self, 1) {
                        self.at += 1;
                    }
                    let date =
                        i16::try_from(n).ok().zip(i8::try_from(month).ok()).zip(i8::try_from(day).ok());
                    return date.map_or(Kind::Figure, |((y, m), d)| Kind::Date(y, m, d));
                }
                Kind::Figure
            }
            // Grouped like a telephone number.
            Some('-') if len >= 3 && digit_after(self, 1) => {
                self.skip_number();
                Kind::Figure
            }
            // Some transcribers write a space after the colon.
            Some(c @ (':' | '.' | 'h'))
                if len <= 2
                    && (digit_after(self, 1)
                        || c == ':' && self.after(1) == Some(' ') && digit_after(self, 2)) =>
            {
                let before = self.at;
                self.at += if digit_after(self, 1) { 1 } else { 2 };
                let (minute, width) = self.digits();
                if width == 2 && (c == ':' || minute < 60) && !self.has_more_digits() {
                    // Skip the seconds.
                    if c == ':' && self.peek() == Some(':') && digit_after(self, 1) {
                        self.at += 1;
                        self.digits();
                    }
                    return Kind::Pair(number, u32::try_from(minute).unwrap_or(99), c);
                }
                if c == '.' && !self.has_more_digits() {
                    let scale = 10_f64.powi(i32::from(width));
                    return Kind::Decimal(f64::from(number) + minute as f64 / scale);
                }
                if c == '.' {
                    self.price();
                    return Kind::Figure;
                }
                self.at = before;
                Kind::Number(number, len)
            }
            Some(',')
                if digit_after(self, 1)
                    && self.text[self.at + 1..].bytes().take_while(u8::is_ascii_digit).count() == 3 =>
            {
                self.price();
                Kind::Figure
            }
            Some('s' | 'n' | 'r' | 't') => {
                let rest = self.text[self.at..].get(..2).unwrap_or_default().to_ascii_lowercase();
                if matches!(rest.as_str(), "st" | "nd" | "rd" | "th")
                    && !self.text[self.at..].chars().nth(2).is_some_and(char::is_alphabetic)
                {
                    self.at += 2;
                    return Kind::Ordinal(number);
                }
                Kind::Number(number, len)
            }
            _ => Kind::Number(number, len),
        }
    }

    /// Whether another digit group follows (1.30.5), which rules out a clock time.
    fn has_more_digits(&self) -> bool {
        self.peek() == Some('.') && self.after(1).is_some_and(|c| c.is_ascii_digit())
    }
}

fn char_len(text: &str, at: usize) -> usize {
    text[at..].chars().next().map_or(0, char::len_utf8)
}

/// A letter without its accent.
fn fold(c: char) -> char {
    match c {
        'á' | 'à' | 'â' | 'ä' | 'ã' => 'a',
        'é' | 'è' | 'ê' | 'ë' => 'e',
        'í' | 'ì' | 'î' | 'ï' => 'i',
        'ó' | 'ò' | 'ô' | 'ö' | 'õ' => 'o',
        'ú' | 'ù' | 'û' | 'ü' => 'u',
        'ñ' => 'n',
        'ç' => 'c',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let show = |t: &Token| match &t.kind {
            Kind::Word(w) => w.clone(),
            Kind::Number(n, _) => format!("#{n}"),
            Kind::Pair(h, m, _) => format!("{h}:{m:02}"),
            Kind::Ordinal(n) => format!("{n}th"),
            Kind::Date(y, m, d) => format!("{y}-{m}-{d}"),
            Kind::Decimal(n) => n.to_string(),
            Kind::Figure => "fig".to_owned(),
            Kind::Stop(_) => ".".to_owned(),
            Kind::Comma => ",".to_owned(),
            Kind::Dash => "-".to_owned(),
            Kind::Sign(c) => c.to_string(),
        };
        tokens(text).iter().map(show).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn spelling_variants_give_the_same_tokens() {
        for (text, want) in [
            ("Um, at 3 p.m. tomorrow", "at #3 pm tomorrow"),
            ("at 3pm. Thanks", "at #3 pm . thanks"),
            ("at 3 P.M. Thanks", "at #3 pm . thanks"),
            ("10:45 / 18h00 / 9.30", "10:45 / 18:00 / 9:30"),
            ("I’m free, 5-ish", "i'm free , #5 ish"),
            ("noonish", "noon ish"),
            ("mañana después", "manana despues"),
            ("twenty-four", "twenty four"),
            ("$49.99, 1,100 or 6.9 percent", "fig , fig or 6.9 percent"),
            ("555-212-1130 and +1 555 212 1130", "fig and fig"),
            ("the 22nd, 2026-11-24T10:30", "the 22th , 2026-11-24 10:30"),
            ("call back - thanks", "call back - thanks"),
            ("🙂 99999999999", "fig"),
        ] {
            assert_eq!(shown(text), want, "{text}");
        }
    }

    #[test]
    fn tokens_cover_the_original_words() {
        let text = "Ring me — at 3 P.M.";
        let tokens = tokens(text);
        let words: Vec<_> = tokens.iter().map(|t| &text[t.start..t.end]).collect();
        assert_eq!(words, ["Ring", "me", "—", "at", "3", "P.M", "."]);
    }
}
