//! `redialer when`: finds the callback time in a call. JSON lines in and out; with `--explain`, readable text.
//!
//! A line is a call (`transcript`, `end`, `tz`) or an expression (`text`, `reference`, `tz` or null for plain local
//! time). The result for a line that cannot be parsed is its error.

use jiff::{Timestamp, Zoned, civil::DateTime, tz::TimeZone};
use redialer_when::{Call, CallbackTime, Doubt, Lang, Role, Turn};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::answer_lines;

/// The line format, for the end of the help page.
const FORMAT: &str = r#"Each line of standard input is a JSON object, a call or an expression:
  {"id","transcript":[{"role":"agent" or "user","content"}],"end":"RFC 3339 time","tz":"IANA zone","agent_tz"?,"lang":"en" or "es"}
  {"id","text","reference":"local date and time","tz":"IANA zone" or null,"lang"}
Each result is one line {"id","at","earliest","latest","tz","confidence","evidence","rule","doubts"}."#;

#[derive(clap::Args)]
#[command(after_help = FORMAT)]
pub(crate) struct When {
    /// Print readable text instead of JSON: each call with the decisive words marked, and the result in sentences
    #[arg(long)]
    explain: bool,
}

#[derive(Deserialize)]
struct InputLine {
    #[serde(default)]
    id: Value,
    transcript: Option<Vec<Utterance>>,
    end: Option<String>,
    text: Option<String>,
    reference: Option<String>,
    tz: Option<String>,
    agent_tz: Option<String>,
    lang: Option<String>,
}

#[derive(Deserialize)]
struct Utterance {
    role: Speaker,
    content: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Speaker {
    Agent,
    User,
}

/// A parsed line.
struct ParsedLine {
    id: Value,
    turns: Vec<Turn>,
    end: Timestamp,
    zone: String,
    agent_zone: Option<String>,
    only_the_time: bool,
    /// No zone was given: the result is plain local time.
    local: bool,
    lang: Lang,
}

impl When {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        answer_lines(|line| match ParsedLine::read(line) {
            Ok(parsed) if self.explain => parsed.explained(),
            Ok(parsed) => parsed.answer().to_string(),
            Err((id, error)) => json!({"id": id, "at": null, "error": error}).to_string(),
        })
    }
}

impl ParsedLine {
    fn read(line: &str) -> Result<Self, (Value, String)> {
        let value: Value = serde_json::from_str(line).map_err(|e| (Value::Null, e.to_string()))?;
        let id = value.get("id").cloned().unwrap_or_default();
        let wrong = |what: &str| (id.clone(), what.to_owned());
        let line: InputLine = serde_json::from_value(value).map_err(|e| wrong(&e.to_string()))?;
        let lang = line.lang.as_deref().unwrap_or("en");
        let lang = Lang::from_code(lang).ok_or_else(|| {
            wrong(&format!("lang: `{lang}` is not supported; the valid values are `en` and `es`"))
        })?;
        let zone = line.tz.clone().unwrap_or_else(|| "UTC".to_owned());
        let rules = TimeZone::get(&zone)
            .map_err(|_| wrong(&format!("tz: `{zone}` is not an IANA time zone such as America/New_York")))?;
        let (turns, end, only_the_time) = match (line.transcript, line.text) {
            (Some(utterances), _) => {
                let turn = |s: Utterance| Turn {
                    role: if matches!(s.role, Speaker::Agent) { Role::Agent } else { Role::User },
                    content: s.content,
                };
                let end = line.end.ok_or_else(|| {
                    wrong("end: a line with `transcript` must have `end`, the time at which the call ended")
                })?;
                let end = end.parse().map_err(|e| wrong(&format!("end: {e}")))?;
                (utterances.into_iter().map(turn).collect(), end, false)
            }
            (None, Some(text)) => {
                let reference =
                    line.reference.ok_or_else(|| wrong("reference: a line with `text` must have `reference`, the local time at which it was spoken"))?;
                let reference: DateTime = reference.parse().map_err(|e| wrong(&format!("reference: {e}")))?;
                let end = reference.to_zoned(rules).map_err(|_| wrong("reference: out of range"))?;
                (vec![Turn { role: Role::User, content: text }], end.timestamp(), true)
            }
            (None, None) => return Err(wrong("transcript: a line must have `transcript` or `text`")),
        };
        let local = line.tz.is_none();
        Ok(Self { id: line.id, turns, end, zone, agent_zone: line.agent_tz, only_the_time, local, lang })
    }

    fn callback_time(&self) -> CallbackTime {
        redialer_when::read(&Call {
            turns: &self.turns,
            end: self.end,
            zone: &self.zone,
            agent_zone: self.agent_zone.as_deref(),
            only_the_time: self.only_the_time,
            lang: self.lang,
            hours: None,
        })
    }

    fn answer(&self) -> Value {
        let heard = self.callback_time();
        let format = if self.local { "%Y-%m-%dT%H:%M:%S" } else { "%Y-%m-%dT%H:%M:%S%:z" };
        let shown = |at: Option<Timestamp>| {
            let at = at?.in_tz(&heard.zone).ok()?;
            Some(at.strftime(format).to_string())
        };
        json!({
            "id": self.id,
            "at": shown(heard.at),
            "earliest": shown(heard.earliest),
            "latest": shown(heard.latest),
            "tz": if self.local { None } else { Some(&heard.zone) },
            "confidence": (heard.confidence * 100.0).round() / 100.0,
            "evidence": heard.evidence,
            "rule": heard.rule,
            "doubts": heard.doubts.iter().map(|d| d.as_str()).collect::<Vec<_>>(),
        })
    }

    /// The call as readable text: the turns, with the decisive words between » and «, and the result in sentences.
    fn explained(&self) -> String {
        let heard = self.callback_time();
        let mut page = Vec::new();
        for (n, turn) in self.turns.iter().enumerate() {
            let who = match turn.role {
                Role::Agent => "agent",
                Role::User => "caller",
            };
            let content = match (heard.at, n == heard.turn && !heard.evidence.is_empty()) {
                (Some(_), true) => {
                    turn.content.replacen(&heard.evidence, &format!("»{}«", heard.evidence), 1)
                }
                _ => turn.content.clone(),
            };
            page.push(format!("{who:>7}  {content}"));
        }
        page.push(format!("{:>7}  {}", "", self.description(&heard)));
        page.push(String::new());
        page.join("\n")
    }

    fn description(&self, heard: &CallbackTime) -> String {
        let zoned = |at: Timestamp| at.in_tz(&heard.zone).ok();
        let day = |at: &Zoned| at.strftime("%A, %-d %B %Y, %H:%M").to_string();
        let Some(at) = heard.at.and_then(zoned) else {
            return "No callback at a specific time was requested.".to_owned();
        };
        let mut text = format!("Call on {} ({}).", day(&at), heard.zone);
        if heard.zone != self.zone
            && let Some(theirs) = heard.at.and_then(|at| at.in_tz(&self.zone).ok())
        {
            text += &format!(
                " In the time zone of the caller's number that is {} ({}).",
                day(&theirs),
                self.zone
            );
        }
        if let (Some(from), Some(to)) = (heard.earliest.and_then(zoned), heard.latest.and_then(zoned))
            && to.duration_since(&from).as_mins() >= 1
        {
            text += &format!(" Any time from {} to {} fits the words.", day(&from), day(&to));
        }
        for doubt in &heard.doubts {
            text.push(' ');
            text += match doubt {
                Doubt::HalfOfDay => "The words do not say whether morning or afternoon is meant.",
                Doubt::NoHour => "The words name no hour.",
                Doubt::Alternatives => "The words name two times and prefer neither.",
                Doubt::Unconfirmed => "The agent named this time, and the caller did not confirm it.",
            };
        }
        text + &format!(" Confidence: {:.0}%.", heard.confidence * 100.0)
    }
}
