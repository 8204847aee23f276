//! What runs: the program behind the `redialer` command.
//!
//! [`http`] holds the doors, [`flow`] the stories, [`cli`] the commands; [`app`] is what all of them hold.
//! Rules are in `redialer-core`, SQL in `redialer-store`, providers' words in `redialer-providers`.

pub mod actions;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod flow;
pub mod http;
pub mod plans;
pub mod state;
