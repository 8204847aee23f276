//! The `redialer` command.

use std::process::ExitCode;

use mimalloc::MiMalloc;
use zeroizing_alloc::ZeroAlloc;

/// Whatever is freed is wiped: keys and numbers pass through many buffers that are not ours (I20).
#[global_allocator]
static ALLOCATOR: ZeroAlloc<MiMalloc> = ZeroAlloc(MiMalloc);

fn main() -> ExitCode {
    redialer::cli::main()
}
