//! The `chartrier` program.

mod wiping_allocator;

use std::process::ExitCode;

/// Freed memory that may have held a key's text is wiped; see the module.
#[global_allocator]
static ALLOCATOR: wiping_allocator::WipingAllocator = wiping_allocator::WipingAllocator;

fn main() -> ExitCode {
    chartrier::cli::main()
}
