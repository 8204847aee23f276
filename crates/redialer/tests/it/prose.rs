//! Comments, messages and pages are plain technical English: a rough count of turns of phrase that native technical
//! prose hardly has (`docs/style.md`). The count is a net and no judge; a reader is.

use std::{fs, path::Path, process::Command};

use regex::{Regex, RegexBuilder};

use crate::tidy::root;

/// Marks that are allowed in 1,000 words of the whole tree.
const MAX_RATE: f64 = 1.0;
/// Marks that are allowed in 1,000 words of one file that has enough words to count.
const MAX_RATE_OF_FILE: f64 = 2.0;
const MIN_WORDS_OF_FILE: usize = 500;

/// A clause where the name of a thing should be.
const CLAUSES: &str = r"(?:^|[.;:] )(?:What|Whatever|Whoever) (?:is|was|were|are|has|had|it|they|we|follows|waits|comes|came|one|must|may|can|does|did|goes|stands|needs|the|a|an)\b[^?]*$|\b[Ww]hoever\b|\b[Ww]hatever\b";
/// Persons for things, verbs of speech for data flow, mannered words, British spelling.
const TURNS: &str = r"\b(?:nobody|somebody)(?:'s)?\b|\b(?:told|tells|tell of|is said|are said|was said|says so|said so|heard of|hears of|unheard)\b|\b(?:anew|of before|of its own accord|in hand|goes by|lies in|lies on|stands in the|at the door|by hand|for good|in turn|the book|acts? by|begun|thereby|whereof|so many|as many as there|that much)\b|\b(?:dialled|dialling|dialler|cancelled|cancelling|behaviour|colour|neighbour|recognise|optimise|initialis|serialis|honour|labelled|unlabelled|modelled|favour|centre|catalogue|licence)\w*|\banalys(?:e|ed|es|ing)\b";

struct Marks {
    clauses: Regex,
    turns: Regex,
}

impl Marks {
    fn new() -> Self {
        let turns = RegexBuilder::new(TURNS).case_insensitive(true).build().expect("a pattern");
        Self { clauses: Regex::new(CLAUSES).expect("a pattern"), turns }
    }

    fn count(&self, text: &str) -> usize {
        let text = text.trim();
        self.clauses.find_iter(text).count() + self.turns.find_iter(text).count()
    }
}

/// The prose of one line of Rust: its comment, and its string literals of some length.
fn prose_of_rust(line: &str) -> String {
    let (code, comment) = match line.split_once("//") {
        Some((code, comment)) if !code.ends_with(':') => (code, comment.trim_start_matches(['/', '!'])),
        _ => (line, ""),
    };
    let literals = code.split('"').skip(1).step_by(2).filter(|literal| literal.len() >= 18);
    literals.fold(comment.to_owned(), |text, literal| format!("{text} {literal}"))
}

/// A text without what stands between backticks.
fn without_code(text: &str) -> String {
    text.split('`').step_by(2).collect::<Vec<_>>().join("x")
}

/// The words of a file, and its lines that have marks, with their numbers.
fn marks_of(marks: &Marks, file: &Path) -> (usize, Vec<(usize, String)>) {
    let text = fs::read_to_string(file).expect("text");
    let is_page = file.extension().is_some_and(|extension| extension == "md");
    let (mut words, mut found, mut is_fenced) = (0, Vec::new(), false);
    for (number, line) in text.lines().enumerate() {
        is_fenced ^= is_page && line.trim_start().starts_with("```");
        if is_fenced {
            continue;
        }
        let prose = without_code(&if is_page { line.to_owned() } else { prose_of_rust(line) });
        words += prose.split_whitespace().count();
        let count = marks.count(&prose);
        found.extend((0..count).map(|_| (number + 1, prose.trim().to_owned())));
    }
    (words, found)
}

/// Files that git knows, without data, generated files and this one.
fn files() -> Vec<String> {
    let output = Command::new("git").args(["ls-files", "*.rs", "*.md"]).current_dir(root()).output();
    let output = output.expect("git runs");
    assert!(output.status.success(), "the tree is a git checkout");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let is_prose = |file: &&str| {
        ![
            "/fixtures/",
            "/corpus/",
            "/migrations/",
            "tests/it/prose.rs",
            "docs/style.md",
            "lang/en/phrases.rs",
        ]
        .iter()
        .any(|part| file.contains(part))
    };
    text.lines().filter(is_prose).map(str::to_owned).collect()
}

#[test]
fn prose_is_plain() {
    let marks = Marks::new();
    let (mut words, mut all, mut worst) = (0, Vec::new(), Vec::new());
    for file in files() {
        let (of_file, found) = marks_of(&marks, &root().join(&file));
        let rate = 1_000.0 * found.len() as f64 / of_file.max(1) as f64;
        if of_file >= MIN_WORDS_OF_FILE && rate > MAX_RATE_OF_FILE {
            worst.push(format!("{file}: {rate:.1} in 1,000 words"));
        }
        words += of_file;
        all.extend(found.into_iter().map(|(number, line)| format!("{file}:{number}: {line}")));
    }
    let rate = 1_000.0 * all.len() as f64 / words as f64;
    assert!(rate <= MAX_RATE, "{rate:.1} marks in 1,000 words:\n{}", all.join("\n"));
    assert!(worst.is_empty(), "{}", worst.join("\n"));
}

#[test]
fn turns_of_phrase_are_counted_only_in_comments_and_messages() {
    let marks = Marks::new();
    for (line, want) in [
        ("/// What is known of a batch: read together.", 1),
        ("let x = 1; // told by nobody", 2),
        ("let told = nobody(\"short\");", 0),
        ("return Err(\"the callback is cancelled by somebody\");", 2),
        ("/// Reads `told` and `nobody`.", 0),
        ("/// Which of them is it? What is it?", 0),
    ] {
        assert_eq!(marks.count(&without_code(&prose_of_rust(line))), want, "{line}");
    }
}
