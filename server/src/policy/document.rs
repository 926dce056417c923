//! A parsed policy.

use std::collections::BTreeMap;

use super::condition::Condition;
use super::pattern::Pattern;
use super::principal::{PrincipalPattern, Principals};

/// A policy that keeps every rule of the grammar; only [`Policy::parse`] makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    pub(super) statements: Vec<Statement>,
}

/// One statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    pub(super) effect: Effect,
    /// `None` in identity policies: whoever they are attached to.
    pub(super) principals: Option<Principals>,
    pub(super) actions: Names,
    pub(super) resources: Names,
    pub(super) conditions: Vec<Condition>,
}

/// What a statement does when it applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Grants.
    Allow,
    /// Refuses, whatever else grants.
    Deny,
}

/// `Action` or `NotAction`, `Resource` or `NotResource`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Names {
    /// One of these.
    Any(Vec<Pattern>),
    /// None of these.
    NoneOf(Vec<Pattern>),
}

impl Names {
    pub(super) fn patterns(&self) -> &[Pattern] {
        match self {
            Self::Any(patterns) | Self::NoneOf(patterns) => patterns,
        }
    }
}

impl Policy {
    /// Every principal that it names.
    pub fn principals(&self) -> impl Iterator<Item = &PrincipalPattern> {
        self.statements.iter().filter_map(|statement| statement.principals.as_ref()).flat_map(|principals| {
            match principals {
                Principals::Are(list) | Principals::AreNot(list) => list,
            }
        })
    }

    /// Whoever has one of these names now is meant from now on, whatever it will be called: unique ids by name.
    pub fn bind(&mut self, ids: &BTreeMap<String, String>) {
        for statement in &mut self.statements {
            let (Some(Principals::Are(list)) | Some(Principals::AreNot(list))) = &mut statement.principals else {
                continue;
            };
            for named in list {
                if let Some(id) = named.name().and_then(|name| ids.get(&name)) {
                    *named = PrincipalPattern::UniqueId(id.clone());
                }
            }
        }
    }

    /// Whether any condition or variable asks for a key that begins so. Lower case.
    pub fn asks_for(&self, key_prefix: &str) -> bool {
        self.statements.iter().any(|statement| {
            let patterns = statement.resources.patterns().iter();
            statement.conditions.iter().any(|condition| condition.asks_for(key_prefix))
                || patterns.flat_map(Pattern::variables).any(|key| key.starts_with(key_prefix))
        })
    }
}
