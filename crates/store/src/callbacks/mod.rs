//! Callbacks and the people they are for. Only [`transitions`] changes the state of a callback.

pub(crate) mod attention;
pub(crate) mod columns;
pub(crate) mod list;
pub(crate) mod persons;
pub(crate) mod rows;
pub(crate) mod transitions;
