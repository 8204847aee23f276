//! What providers say, as recorded: payloads, signatures, requests, answers.

mod answers;
mod payloads;
mod sockets;
