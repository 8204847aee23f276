//! What words signal about calling, in no particular language.

/// A signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cue {
    /// "Call me", "try me", "let's talk".
    CallMe,
    /// "A call", "a callback", whoever says it.
    Callback,
    /// "Talk", "speak": a call, or a farewell.
    Talk,
    /// "Call you", "talk to you then".
    CallYou,
    /// "I'll call you", "let me call", "I'll email": whoever says it will see to it.
    ICall,
    /// "I'll email", "I'll come by": whoever says it will see to it, without a call.
    IDo,
    /// "Now is fine": no call is needed.
    Now,
    /// "Call my wife", "have him call".
    CallOther,
    /// "Don't call me".
    NoCall,
    /// "Works for me", "is better", "I'm free".
    Works,
    /// "How about", "let's say", "could you do".
    Propose,
    /// "Actually", "no wait", "make it": what follows replaces what was said.
    Correct,
    /// "Can't do", "too early", "doesn't work".
    Refuse,
    Yes,
    No,
    /// "Not": what follows is not meant.
    Not,
    /// Something with a time of its own: a shift, a meeting, a flight.
    Event,
    /// "I've got": what the agent offers, and what keeps the person busy.
    Have,
    /// Opening hours.
    Hours,
    /// Something that is over.
    Past,
    /// A visit, a delivery, an appointment: arranged, but no call.
    Visit,
    /// "Email me", "send it".
    Send,
    /// "After that", "right after", "when I'm done".
    AfterThat,
    /// "Before that".
    BeforeThat,
    /// "Then", "at that time".
    AtThat,
    /// "What time", "when".
    Ask,
    /// "Push it", "move it": so much later than what was said.
    Later,
    /// "If I don't pick up".
    Fallback,
    /// "The second one": of what was offered; -1 for the last.
    Choice(i8),
    /// A greeting of a machine.
    Greeting,
    /// "Somebody else": "he's home at six".
    Third,
    /// "I'm not sure", "I don't know when".
    Unsure,
    /// "It's": what follows is the time of day now.
    IsNow,
    /// "What time is it there?"
    AskNow,
    /// Money, age, size.
    Measure,
}
