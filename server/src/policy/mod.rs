//! IAM policies: parsed strictly, evaluated purely. No I/O, no clock, no HTTP.
//!
//! ```text
//!  JSON text ──▶ json (no duplicate member) ──▶ parse (every rule of the grammar) ──▶ Policy
//!                                                                                      │
//!  Request {principal, action, resource, context} ────────────────────────────▶ evaluate ──▶ Verdict
//! ```
//!
//! | file | part |
//! |---|---|
//! | `json` | a JSON value whose members cannot come twice |
//! | `parse` | the grammar, with AWS's words for each failing |
//! | `document` | a parsed policy |
//! | `principal` | who a statement names, and who asks |
//! | `actions` | every action of S3 that a policy may name |
//! | `keys` | every condition key |
//! | `pattern` | wildcards and policy variables |
//! | `condition` | the condition operators |
//! | `values` | dates, numbers and networks as policies write them |
//! | `evaluate` | what one policy says of one request |
//! | `names` | what principals are called in the text of a policy, brought up to date |
//! | `public` | what AWS calls a public policy |
//!
//! How the verdicts of several policies make a decision is in [`crate::access`].
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>

pub mod actions;
mod condition;
mod document;
mod evaluate;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod json;
pub mod keys;
mod names;
mod parse;
mod pattern;
mod principal;
mod public;
mod values;

#[cfg(test)]
mod case_tests;
#[cfg(test)]
mod property_tests;

pub use document::{Effect, Policy, Statement};
pub use evaluate::{Context, Request, Verdict};
pub use names::with_names;
pub use parse::{POLICY_LEN_BYTES_MAX, PolicyError, PolicyKind};
pub use principal::{Principal, PrincipalPattern, Principals};
pub use values::date as date_ms;
