//! Who may do what: the one point where a request is authorised.
//!
//! ```text
//!  S3Request ──▶ needs (actions and resources of the operation) ──▶ decide, for each
//!                                                                     │
//!       identity policies · session policies · bucket policy · ACLs · public access block
//! ```
//!
//! | file | part |
//! |---|---|
//! | `standing` | who a caller is to policies, and what is attached to it |
//! | `needs` | what each operation asks for |
//! | `context` | the condition keys of a request |
//! | `documents` | policy, public access block and ownership of a bucket, as stored |
//! | `acl` | grants, canned ACLs, the headers and XML that carry them |
//! | `decide` | the decision |
//! | `writing` | owner and ACL of what is written |
//!
//! The edge calls [`App::authorise`](crate::app::App::authorise) before it dispatches, so no handler
//! can be reached by a caller who may not; a handler that learns of further resources (the source of
//! a copy, the keys of DeleteObjects) asks [`App::may`](crate::app::App::may) for each.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>

pub mod acl;
mod context;
mod decide;
pub mod documents;
mod needs;
pub mod standing;
mod writing;

pub use context::RequestContext;
pub(crate) use decide::object_acl;
pub use decide::{Asked, Decision};
pub use standing::{IdentityPolicies, Standing};
pub use writing::NewObjectAccess;
