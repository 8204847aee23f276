//! The decisions, as pure functions that return plain values.
//!
//! [`on_request()`]: a callback is requested through the API. [`after_call()`]: a call event was received. [`gates()`]:
//! a callback is due. [`after_dial()`]: the provider responded. Two more decide from the provider's own records:
//! [`after_lookup()`] about a request without a response, [`select_calls()`] about missed webhooks. Callers apply each
//! result in one transaction.

mod activity_notice;
mod after_call;
mod after_dial;
mod backfill;
mod chain;
mod conditions;
mod event_note;
mod gates;
mod on_request;
mod recipient;
mod requested_time;
mod unknown;

pub use activity_notice::ActivityNotice;
pub use after_call::{
    AfterCall, AfterCallInput, CallProgress, CallbackPlan, NextCallback, Person, Redial, Settle, after_call,
    analysis_due, end_of,
};
pub use after_dial::{AfterDial, RetryContext, after_dial};
pub use backfill::{
    BackfillPage, Listed, RestoreBackfill, after_restore_backfill, may_be_reattached, select_calls,
};
pub use conditions::{WorkspaceConditions, condition_gates, held};
pub use event_note::EventNote;
pub use gates::{
    Attempt, Candidate, DialingAgent, Due, Gate, GateRecord, Verdict, decision, dialed_together, gates,
};
pub use on_request::{Forced, Request, RequestError, is_schedulable, on_request};
pub use recipient::{Recipient, may_be_dialed, number_of_agent, recipient_of, why_no_recipient};
pub use requested_time::{RequestedTime, ZONE_UNSURE, may_contain_request, requested_time, time_in_words};
pub use unknown::{
    Finding, LookupMethod, Resolution, SETTLE_MINUTES, Unknown, after_lookup, is_outcome_overdue,
    lookup_method,
};
