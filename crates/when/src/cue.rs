//! Cues: what words signal about calling, independent of the language.

/// A signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cue {
    /// "Call me", "try me", "let's talk".
    CallMe,
    /// "A call", "a callback", from either side.
    Callback,
    /// "Talk", "speak": a call, or a farewell.
    Talk,
    /// "Call you", "talk to you then".
    CallYou,
    /// "I'll call you", "let me call": the speaker will arrange the call.
    ICall,
    /// "I'll email", "I'll come by": the speaker will follow up without a call.
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
    /// "Actually", "no wait", "make it": the time that follows replaces the earlier one.
    Correct,
    /// "Can't do", "too early", "doesn't work".
    Refuse,
    Yes,
    No,
    /// "Not": the time that follows is ruled out.
    Not,
    /// Something with a time of its own: a shift, a meeting, a flight.
    Event,
    /// "I've got": an offer if the agent says it, an obligation if the person does.
    Have,
    /// Opening hours.
    Hours,
    /// Something in the past.
    Past,
    /// A visit, a delivery, an appointment: an arrangement other than a call.
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
    AsksWhen,
    /// "Push it", "move it": the length that follows shifts the earlier time.
    Later,
    /// "If I don't pick up".
    Fallback,
    /// "The second one" of several offers, counted from 1; -1 for the last.
    Choice(i8),
    /// The greeting of an answering machine.
    Greeting,
    /// Another person: "he's home at six".
    Third,
    /// "I'm not sure", "I don't know when".
    Unsure,
    /// "It's": the current time follows.
    IsNow,
    /// "What time is it there?"
    AsksNow,
    /// Money, age, size.
    Measure,
}
