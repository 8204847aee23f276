//! A pretend world: fake providers with scripted people.
//!
//! For the demo, for `redialer sim`, and for tests. It speaks the provider's own wire format; its measure is
//! the vendor's client, which the test suite runs against it. Nobody here ever rings a real phone.
//! Absent on purpose: a clock of its own. Time is passed in, so a day may take a second.

pub mod retell;
mod simulated;
mod time;

pub use retell::{Fault, PLAYS, Retell as Simulator, Ring, Script, ScriptedCall, script::Does};
pub use simulated::Simulated;
pub use time::SimTime;
