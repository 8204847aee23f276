//! What the running program keeps in memory: types that know nothing of the program.

pub mod due_queue;
pub mod event_queue;
