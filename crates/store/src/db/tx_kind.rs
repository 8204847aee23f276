//! The kinds of transactions.

/// The kind of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TxKind {
    /// Its commit survives a power failure.
    Plain,
    /// Same, for dialing, which runs fixed statements over few rows. By default Postgres plans these statements at each
    /// execution, which takes longer than running them.
    Dials,
    /// A crash of the machine may lose it, as a whole and together with everything committed after it. The next commit
    /// that waits for the disk makes it durable too.
    Deferred,
}
