//! The conversation of a call or chat: its newest turns.
//!
//! Invariant: the turns and bytes that are read are bounded, regardless of the conversation's length, and so is the
//! work of analyzing them. The newest words are kept, because that is where people say when to call back.

use jiff::Timestamp;
use redialer_core::call::{Role, Turn};

use super::facts::time;
use crate::json::{Object, last_elements, text_of};

/// Maximum number of turns read from one conversation.
pub const MAX_TURNS: usize = 500;
/// Maximum number of bytes of spoken text read from one conversation.
pub const MAX_SPOKEN_BYTES: usize = 64 << 10;
/// Entries read from the end of a list: tool calls and notices appear between the turns.
const MAX_ENTRIES: usize = 2_000;

/// The newest turns of a call or chat, in the order in which they were spoken. `list` names the member that holds them.
pub(super) fn turns(object: &Object<'_>, list: &str) -> Vec<Turn> {
    let mut newest = Newest::default();
    for raw in entries(object, list) {
        if newest.is_full() {
            break;
        }
        newest.take_entry(raw);
    }
    // With some storage settings, only the flat text remains.
    if newest.turns.is_empty()
        && let Some(flat) = object.raw("transcript").and_then(text_of)
    {
        newest.take_flat(&flat);
    }
    newest.turns.reverse();
    newest.turns
}

/// When the user last wrote in a chat.
pub(super) fn last_written_at(chat: &Object<'_>) -> Option<Timestamp> {
    entries(chat, "message_with_tool_calls")
        .filter_map(|raw| Object::parse(raw, &["role", "created_timestamp"]))
        .find(|message| message.text("role").as_deref() == Some("user"))
        .and_then(|message| time(&message, "created_timestamp"))
}

/// The entries of a list, newest first.
fn entries<'a>(object: &Object<'a>, list: &str) -> impl Iterator<Item = &'a str> {
    last_elements(object.raw(list).unwrap_or_default(), MAX_ENTRIES).into_iter().rev()
}

/// Turns, newest first, and their total number of bytes.
#[derive(Default)]
struct Newest {
    turns: Vec<Turn>,
    bytes: usize,
}

impl Newest {
    const fn is_full(&self) -> bool {
        self.turns.len() >= MAX_TURNS || self.bytes >= MAX_SPOKEN_BYTES
    }

    fn take_entry(&mut self, raw: &str) {
        let Some(entry) = Object::parse(raw, &["role", "content"]) else { return };
        let role = match entry.text("role").as_deref() {
            Some("agent") => Role::Agent,
            Some("user") => Role::User,
            _ => return,
        };
        if let Some(content) = entry.raw("content").and_then(text_of) {
            self.take(role, &content);
        }
    }

    /// Keeps a turn, or as much of its end as fits.
    fn take(&mut self, role: Role, content: &str) {
        let (room, content) = (MAX_SPOKEN_BYTES - self.bytes, content.trim());
        if content.is_empty() {
            return;
        }
        self.bytes += content.len().min(room);
        let content = &content[content.ceil_char_boundary(content.len().saturating_sub(room))..];
        // A line break marks where a transcript was wrapped, not where a sentence ends.
        let content = content.replace(['\r', '\n'], " ");
        self.turns.push(Turn { role, content });
    }

    /// Reads a transcript of lines such as `Agent: …` and `User: …`. A line without a speaker continues the line before
    /// it.
    fn take_flat(&mut self, text: &str) {
        let (mut end, mut rest) = (text.len(), text);
        while !rest.is_empty() && !self.is_full() {
            let start = rest.strip_suffix('\n').unwrap_or(rest).rfind('\n').map_or(0, |at| at + 1);
            rest = &text[..start];
            let utterance = &text[start..end];
            let Some((label, role)) = SPEAKERS.iter().find(|(label, _)| utterance.starts_with(label)) else {
                continue;
            };
            if let Some(role) = role {
                self.take(*role, &utterance[label.len()..]);
            }
            end = start;
        }
    }
}

/// The speaker labels of a flat transcript. The target of a transfer is neither side of the call.
const SPEAKERS: [(&str, Option<Role>); 4] = [
    ("Agent:", Some(Role::Agent)),
    ("User:", Some(Role::User)),
    ("Transfer Target:", None),
    ("Transfer target:", None),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(call: &str) -> Vec<String> {
        let object = Object::parse(call, &["transcript", "transcript_object"]).expect("an object");
        let shown = |t: &Turn| format!("{:?}: {}", t.role, t.content);
        turns(&object, "transcript_object").iter().map(shown).collect()
    }

    #[test]
    fn turns_are_read_whatever_stands_between_them() {
        let list = r#"{"transcript_object":[{"role":"user","content":"a","words":[{"w":1e999}]},7,{"role":"user",
            "role":"agent","content":"b"},{"role":1,"content":"c"},{"role":"agent"},{"role":"user","content":"x\u0000"}]}"#;
        assert_eq!(read(list), ["User: a", "Agent: b"]);
    }

    #[test]
    fn words_over_a_line_break_are_one_turn() {
        let flat = r#"{"transcript":"User: forgotten?\nAgent: When\r\nshall we call?\nUser: call me\ntomorrow\n at 3: sharp\n\nAgent: Bye\n"}"#;
        assert_eq!(
            read(flat),
            [
                "User: forgotten?",
                "Agent: When  shall we call?",
                "User: call me tomorrow  at 3: sharp",
                "Agent: Bye"
            ]
        );
        let entries = r#"{"transcript_object":[{"role":"user","content":"call me tomorrow\nat 3 pm"}]}"#;
        assert_eq!(read(entries), ["User: call me tomorrow at 3 pm"]);
        assert_eq!(read(r#"{"transcript":"no speaker\nUser:\nTransfer Target: at 5"}"#), [""; 0]);
    }

    #[test]
    fn the_newest_turns_are_kept() {
        let entries: Vec<_> =
            (0..3_000).map(|n| format!(r#"{{"role":"user","content":"turn {n}"}}"#)).collect();
        let many = read(&format!(r#"{{"transcript_object":[{}]}}"#, entries.join(",")));
        assert_eq!((many.len(), many.first().map(String::as_str)), (MAX_TURNS, Some("User: turn 2500")));
        let lines: String = (0..3_000).map(|n| format!("User: turn {n}\\n")).collect();
        assert_eq!(read(&format!(r#"{{"transcript":"{lines}"}}"#)), many, "the flat text is no different");
    }

    #[test]
    fn the_newest_64_kb_are_kept_and_cut_between_characters() {
        let long = "ñ".repeat(MAX_SPOKEN_BYTES);
        let call = format!(
            r#"{{"transcript_object":[{{"role":"agent","content":"gone"}},{{"role":"user","content":"{long}"}},{{"role":"user","content":"bye"}}]}}"#
        );
        let object = Object::parse(&call, &["transcript_object"]).expect("an object");
        let turns = turns(&object, "transcript_object");
        assert_eq!(turns.len(), 2);
        assert_eq!(turns[1].content, "bye");
        assert_eq!(turns[0].content.len(), MAX_SPOKEN_BYTES - 4, "a half character is left out");
    }
}
