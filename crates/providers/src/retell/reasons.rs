//! The meaning of Retell's `disconnection_reason` values.
//!
//! A reason is classified by its own text, never by `call_status`: the status of an unconnected dial has changed its
//! name once already. An unlisted value is [`OutcomeClass::Unknown`].

use redialer_core::{
    outcome::{OutcomeClass, Repeat},
    policy::Trigger,
};

use OutcomeClass::{Conversation, NoCapacity, NoPayment, Unreachable};
use Repeat::{Freely, Once};

const fn unreached(trigger: Trigger, repeat: Repeat) -> OutcomeClass {
    OutcomeClass::Unreached(trigger, repeat)
}

/// Every reason of PyPI `retell-sdk` 6.2.13, then names from older documents that are still sent.
pub const REASONS: &[(&str, OutcomeClass)] = &[
    ("voicemail_reached", unreached(Trigger::Voicemail, Freely)),
    ("ivr_reached", unreached(Trigger::Voicemail, Freely)),
    ("dial_no_answer", unreached(Trigger::NoAnswer, Freely)),
    ("dial_busy", unreached(Trigger::Busy, Freely)),
    ("user_declined", unreached(Trigger::Busy, Once)),
    ("dial_failed", unreached(Trigger::TechnicalError, Freely)),
    ("telephony_provider_unavailable", unreached(Trigger::TechnicalError, Freely)),
    ("sip_routing_error", unreached(Trigger::TechnicalError, Once)),
    ("registered_call_timeout", unreached(Trigger::TechnicalError, Freely)),
    ("error_llm_websocket_open", unreached(Trigger::TechnicalError, Freely)),
    ("error_llm_websocket_lost_connection", unreached(Trigger::TechnicalError, Freely)),
    ("error_llm_websocket_runtime", unreached(Trigger::TechnicalError, Freely)),
    ("error_llm_websocket_corrupt_payload", unreached(Trigger::TechnicalError, Freely)),
    ("error_no_audio_received", unreached(Trigger::TechnicalError, Freely)),
    ("error_asr", unreached(Trigger::TechnicalError, Freely)),
    ("error_retell", unreached(Trigger::TechnicalError, Freely)),
    ("error_unknown", unreached(Trigger::TechnicalError, Freely)),
    ("inactivity", unreached(Trigger::ConversationSilent, Freely)),
    ("concurrency_limit_reached", NoCapacity),
    ("no_valid_payment", NoPayment),
    ("credit_exhausted", NoPayment),
    ("budget_reached", NoPayment),
    ("user_hangup", Conversation),
    ("agent_hangup", Conversation),
    ("call_transfer", Conversation),
    ("transfer_bridged", Conversation),
    ("transfer_cancelled", Conversation),
    ("call_take_over", Conversation),
    ("manual_stopped", Conversation),
    ("max_duration_reached", Conversation),
    ("no_concurrency_fallback", Unreachable),
    ("error_user_not_joined", Unreachable),
    // The trunk's credentials were refused: a configuration error that redialing does not fix.
    ("telephony_provider_permission_denied", Unreachable),
    ("invalid_destination", Unreachable),
    ("marked_as_spam", Unreachable),
    ("network_blocked", Unreachable),
    ("scam_detected", Unreachable),
    ("user_requested_dnc", OutcomeClass::OptOut),
    ("user_requested_callback", OutcomeClass::CallbackRequested),
    // Not in the current list.
    ("machine_detected", unreached(Trigger::Voicemail, Freely)),
    ("voicemail", unreached(Trigger::Voicemail, Freely)),
    ("inactivity_timeout", unreached(Trigger::ConversationSilent, Freely)),
    ("telephony_error", unreached(Trigger::TechnicalError, Freely)),
    ("error_inbound_webhook", unreached(Trigger::TechnicalError, Freely)),
    ("dnd", OutcomeClass::OptOut),
    ("dnc", OutcomeClass::OptOut),
];

/// The class of a reason.
pub fn class_of(reason: &str) -> OutcomeClass {
    REASONS.iter().find(|(name, _)| *name == reason).map_or(OutcomeClass::Unknown, |(_, class)| *class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_reasons_of_the_current_client_are_here_once() {
        let mut names: Vec<_> = REASONS.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), REASONS.len());
        assert_eq!(names.len(), 39 + 7);
        assert_eq!(class_of("a_reason_of_2028"), OutcomeClass::Unknown);
    }
}
