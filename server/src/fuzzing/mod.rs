//! What the fuzz targets of `fuzz/` run: every parser of bytes that strangers send, each held to properties.
//!
//! ```text
//! libFuzzer ──▶ fuzz/fuzz_targets/policy.rs ──▶ fuzzing::policy(bytes) ──▶ the parsers, and what must hold of them
//! cargo test ─▶ mutations (seeds, changed at random) ───────┘
//! ```
//!
//! | target | parsers | what must hold |
//! |---|---|---|
//! | `authorization` | claims in header and query, canonical request, payload, trailers declared | a signature that is not the right one never authenticates; the right one is never called wrong |
//! | `aws_chunked` | the framing, signed and unsigned, with trailers | however it is cut, it says the same; a changed body never passes for another |
//! | `post_form` | multipart/form-data, its fields, the policy of a form | however it is cut, it says the same; fields stay within their limit |
//! | `policy` | IAM policies, and their evaluation | the order of statements changes nothing; a deny decides; wildcards as a naive matcher has them |
//! | `routing` | target, host, query, parameters of listings, ids and tokens, lines of the access log | what is written reads back; a line stays one line |
//! | `headers` | conditions, ranges, checksums, metadata, tags, locks, copy sources, ACLs, keys of clients | what is written reads back; a range lies within its object |
//! | `documents` | every XML document but those of `bucket_rules`; the writer of XML | what is written reads back |
//! | `bucket_rules` | lifecycle, CORS and notification rules, and their evaluation | what is stored reads back |
//! | `sts` | tokens and keys of issuers, session tokens, forms of IAM and STS | a changed session token never opens; claims read back |
//! | `export` | exports, headers of parts, wraps, sealed boxes | what is not what was sealed never opens |
//! | `journal` | proofs, checkpoints, notes, leaves, bundles | what is written reads back; nothing unsigned verifies |
//!
//! Nothing here is in a server that is built to serve.

mod export;
mod headers;
mod input;
mod journal;
#[cfg(test)]
mod mutations;

pub use export::export;
pub use headers::headers;
pub(crate) use input::{Head, cut, pieces, text};
pub use journal::journal;

pub use crate::auth::fuzzing::{authorization, aws_chunked};
pub use crate::edge::fuzzing::routing;
pub use crate::policy::fuzzing::policy;
pub use crate::s3::form::fuzzing::post_form;
pub use crate::s3::ops::fuzzing::documents;
pub use crate::s3::settings::fuzzing::bucket_rules;
pub use crate::sts::fuzzing::sts;

/// Runs one input.
pub type Target = fn(&[u8]);

/// Every target by its name, which is also that of its seeds and of its dictionary in `fuzz/`.
pub const TARGETS: [(&str, Target); 11] = [
    ("authorization", authorization),
    ("aws_chunked", aws_chunked),
    ("bucket_rules", bucket_rules),
    ("documents", documents),
    ("export", export),
    ("headers", headers),
    ("journal", journal),
    ("policy", policy),
    ("post_form", post_form),
    ("routing", routing),
    ("sts", sts),
];
