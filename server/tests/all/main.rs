//! The real server on port 0, driven over real sockets. One binary: linking RocksDB takes a while.
#![expect(unreachable_pub, reason = "one binary of tests: nothing outside uses it")]
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

mod access_log;
mod acl;
mod admin;
mod anonymous;
mod buckets;
mod conditions;
mod cors;
mod edge_latency;
mod edge_limits;
mod edge_memory;
mod edge_rules;
mod edge_stop;
mod edge_tls;
mod iam;
mod iam_resources;
mod lifecycle;
mod limits;
mod listing;
mod lock;
mod multipart;
mod notifications;
mod objects;
mod outward_tls;
mod policy;
mod post_object;
mod settings;
mod sts;
mod tagging;
mod versions;
