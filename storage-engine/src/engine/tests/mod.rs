//! Tests that look inside of the engine.

mod in_use;
mod kill;
