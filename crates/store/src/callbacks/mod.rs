//! Callbacks and the people they are for. Only [`transitions`] changes the state of a callback.

pub(crate) mod attention;
pub(crate) mod columns;
pub(crate) mod list;
pub(crate) mod manual;
pub(crate) mod persons;
pub(crate) mod rows;
pub(crate) mod secrets;
pub(crate) mod transitions;
