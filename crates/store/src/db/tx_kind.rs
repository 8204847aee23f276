//! The kinds of transactions.

/// The kind of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TxKind {
    /// Its commit survives a power failure.
    Plain,
    /// The same for the transactions of dialing, which run fixed statements over few rows. By default Postgres plans
    /// these statements again at each execution, which takes longer than running them.
    Dials,
    /// The machine's loss may lose it, as a whole and never without what was committed after it; the next commit that
    /// waits for the disk makes it durable too.
    Deferred,
}
