//! Simulated providers with scripted people, for the demo, `redialer sim` and tests.
//!
//! A simulator uses the provider's own wire format; the test suite runs the vendor's client against it. It never dials a
//! real phone. Absent on purpose: a clock. The time is passed in, so a simulated day can take a second.

pub mod retell;
mod simulated;
mod time;

pub use retell::{
    Fault, PROVIDER_TITLE, PlacedCall, Retell as Simulator, Script, ScriptedCall, script::Behavior,
};
pub use simulated::Simulated;
pub use time::SimTime;
