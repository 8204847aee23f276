//! The program behind the `redialer` command.
//!
//! [`http`] serves requests, [`flow`] does the background work, [`cli`] has the commands; [`app`] is the state that they share.
//! Rules are in `redialer-core`, SQL is in `redialer-store`, and the providers' protocols are in `redialer-providers`.

pub mod actions;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod flow;
pub mod http;
pub mod plans;
pub mod state;
