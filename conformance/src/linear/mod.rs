//! Whether what many clients were told about one key could have happened one change after the other.
//!
//! A history is what each client began and what it was told, with the times of both. It is linearizable if every
//! operation can be given one moment between its begin and its end, such that the operations, in the order of these
//! moments, do to a register what each of them was told. What got no answer happened at such a moment, or never.
//!
//! The keys of a store are independent, and so a store's history is linearizable when that of every key is (Herlihy and
//! Wing, 1990). The search is Wing and Gong's (1993) in the form of Lowe (2017): events in the order of time; what is
//! kept is every state that the register may have now, each with the operations under way that have already happened
//! for it to be so. An operation happens as late as it can: when another one ends, or itself.
//!
//! | file | part |
//! |---|---|
//! | `operation` | what clients ask and are told, and what that means for a register |
//! | `check` | the search |

mod check;
#[cfg(test)]
mod check_tests;
mod operation;

pub use check::{Checked, Violation, check};
pub use operation::{Answered, Asked, Call, State, Value};
