//! What AWS calls a public policy.
//!
//! A policy is public if one of its statements allows everybody something and no condition confines it
//! to fixed principals, accounts or narrow networks.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html>

use super::condition::Condition;
use super::document::{Effect, Policy};
use super::principal::{PrincipalPattern, Principals};

impl Policy {
    /// Whether it grants anything to the public.
    pub fn is_public(&self) -> bool {
        self.statements.iter().any(|statement| {
            let everybody = match &statement.principals {
                Some(Principals::Are(list)) => list.contains(&PrincipalPattern::Anyone),
                Some(Principals::AreNot(_)) => true,
                None => false,
            };
            statement.effect == Effect::Allow && everybody && !statement.conditions.iter().any(Condition::confines)
        })
    }
}
