//! What one policy says of one request.

use std::collections::HashMap;

use super::document::{Effect, Names, Policy, Statement};
use super::pattern::{Case, Pattern};
use super::principal::{Principal, Reach};

/// The condition keys of a request. Values are made only for the keys that a policy asks for.
pub trait Context {
    /// The values of a key (lower case up to a slash), or `None` if the request does not have it.
    fn values(&self, key: &str) -> Option<Vec<String>>;
}

impl Context for HashMap<String, Vec<String>> {
    fn values(&self, key: &str) -> Option<Vec<String>> {
        self.get(key).cloned()
    }
}

/// What is asked.
#[derive(Clone, Copy)]
pub struct Request<'r> {
    /// Who asks.
    pub principal: &'r Principal,
    /// `s3:GetObject`.
    pub action: &'r str,
    /// `arn:aws:s3:::bucket/key`, or `*`.
    pub resource: &'r str,
    /// Everything else.
    pub context: &'r dyn Context,
}

/// What a policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Silent,
    /// Yes, to the account that the principal belongs to: the account decides for its members.
    AllowsAccount,
    /// Yes, to the principal itself.
    Allows,
    /// No, and nothing else counts.
    Denies,
}

impl Policy {
    /// Evaluates every statement: one that denies decides.
    pub fn evaluate(&self, request: Request<'_>) -> Verdict {
        let mut verdict = Verdict::Silent;
        for statement in &self.statements {
            let said = statement.evaluate(request);
            if said == Verdict::Denies {
                return said;
            }
            if said == Verdict::Allows || verdict == Verdict::Silent {
                verdict = said;
            }
        }
        verdict
    }
}

impl Statement {
    fn evaluate(&self, request: Request<'_>) -> Verdict {
        let reach = match &self.principals {
            None => Some(Reach::Itself),
            Some(principals) => principals.reach(request.principal),
        };
        let Some(reach) = reach else { return Verdict::Silent };
        let applies = self.actions.include(request.action, Case::Ignored, request.context)
            && self.resources.include(request.resource, Case::Counts, request.context)
            && self.conditions.iter().all(|condition| condition.holds(request.context));
        match (applies, self.effect, reach) {
            (false, _, _) => Verdict::Silent,
            (true, Effect::Deny, _) => Verdict::Denies,
            (true, Effect::Allow, Reach::Itself) => Verdict::Allows,
            (true, Effect::Allow, Reach::ThroughAccount) => Verdict::AllowsAccount,
        }
    }
}

impl Names {
    fn include(&self, name: &str, case: Case, context: &dyn Context) -> bool {
        let any = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(name, case, context));
        match self {
            Self::Any(patterns) => any(patterns),
            Self::NoneOf(patterns) => !any(patterns),
        }
    }
}
