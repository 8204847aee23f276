//! A workspace's settings: the document that the API shows and the database stores, and its validation.
//!
//! A workspace stores only the values that were set. All others come from the tenant's plan and the product's defaults
//! on read, so that a changed default reaches every workspace that did not set the value. An agent's overrides are
//! applied to the result.
//!
//! Invariant: a stored document has passed [`WorkspaceSettings::check`], alone and with every agent's overrides.

mod check;
mod document;
mod merge;
mod overrides;
mod spoken_hours;
#[cfg(test)]
mod tests;

pub use check::{BadSettings, is_zone, parse_problem};
pub use document::{
    Countries, Day, Level, QuietHours, Retention, RetryTrigger, RetryTriggers, UnclearTime, WorkspaceSettings,
};
pub use merge::{Nulls, merge};
pub use overrides::{BadOverrides, Overrides};
pub use spoken_hours::{Language, SpokenHours};
