//! How long things are waited for, in minutes or seconds of virtual time.

/// An analysis takes seconds; one that has not come after so many minutes is asked for.
pub const ANALYSIS_AFTER_MINUTES: i64 = 10;
