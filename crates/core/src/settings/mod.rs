//! A workspace's settings: the document that the API shows and the database keeps, and what it may hold.
//!
//! A workspace stores only what was set. Everything else comes from the tenant's plan and the product when it is read,
//! so that a changed default reaches every workspace that did not choose otherwise. An agent's overrides are laid over
//! the result.
//!
//! Invariant: a document that was stored has passed [`WorkspaceSettings::check`], alone and under every agent's
//! overrides.

mod check;
mod document;
mod merge;
mod overrides;
mod spoken_hours;
#[cfg(test)]
mod tests;

pub use check::{BadSettings, is_zone, unquoted};
pub use document::{
    Countries, Day, Level, QuietHours, Retention, RetryTrigger, RetryTriggers, UnclearTime, WorkspaceSettings,
};
pub use merge::{Nulls, merge};
pub use overrides::{BadOverrides, Overrides};
pub use spoken_hours::{Language, SpokenHours};
