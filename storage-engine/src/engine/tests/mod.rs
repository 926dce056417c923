//! Tests that look inside of the engine.

mod kill;
