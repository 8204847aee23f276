//! The `redialer` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    redialer::cli::main()
}
