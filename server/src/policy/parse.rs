//! The grammar of policies, every rule of it, with AWS's words for each failing.
//!
//! A policy that AWS would refuse is refused when it is stored; what is stored can then be evaluated
//! without a single error path.

use super::actions::{self, On};
use super::condition::{Condition, Operator};
use super::document::{Effect, Names, Policy, Statement};
use super::evaluate::Context;
use super::json::Json;
use super::keys;
use super::pattern::{Case, Pattern, Variables, Wildcards};
use super::principal::{PrincipalPattern, Principals};

/// Longest policy text in bytes: AWS's limit for bucket policies.
pub const POLICY_LEN_BYTES_MAX: usize = 20 * 1024;
/// Most statements of one policy.
pub(super) const STATEMENTS_MAX: usize = 1024;

/// What a policy is attached to, which decides its grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyKind<'b> {
    /// A bucket, by name: principals required, resources of this bucket only.
    Bucket(&'b str),
    /// A user, a group, or a session: no principals.
    Identity,
    /// A role: who may assume it; no resources.
    Trust,
}

/// Why a text is not a policy: for the person who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PolicyError(pub String);

type Parsed<T> = Result<T, PolicyError>;

fn wrong<T>(message: impl Into<String>) -> Parsed<T> {
    Err(PolicyError(message.into()))
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// [`PolicyError`], with the message that AWS sends as `MalformedPolicy`.
    pub fn parse(text: &str, kind: PolicyKind<'_>) -> Parsed<Self> {
        if text.len() > POLICY_LEN_BYTES_MAX {
            return wrong("Policy exceeds the maximum allowed document size.");
        }
        if !text.trim_start().starts_with('{') {
            return wrong("Policies must be valid JSON and the first byte must be '{'");
        }
        let Ok(Json::Object(members)) = Json::parse(text) else {
            return wrong("This policy contains invalid Json");
        };
        let mut variables = Variables::Literal;
        let mut statements = None;
        for (name, value) in members {
            match (name.as_str(), value) {
                ("Version", Json::Text(version)) if version == "2012-10-17" => variables = Variables::Expand,
                ("Version", Json::Text(version)) if version == "2008-10-17" => {}
                ("Version", _) => return wrong("The policy must contain a valid version string"),
                ("Id", Json::Text(_)) => {}
                ("Statement", Json::List(list)) => statements = Some(list),
                ("Statement", one @ Json::Object(_)) => statements = Some(vec![one]),
                ("Id" | "Statement", _) => return wrong("Invalid policy syntax."),
                (other, _) => return wrong(format!("Unknown field {other}")),
            }
        }
        let Some(statements) = statements else { return wrong("Missing required field Statement") };
        if statements.is_empty() {
            return wrong("Could not parse the policy: Statement is empty!");
        }
        if statements.len() > STATEMENTS_MAX {
            return wrong("Policy has too many statements");
        }
        let mut sids = Vec::new();
        let mut parsed = Vec::with_capacity(statements.len());
        for statement in statements {
            parsed.push(Fields::read(statement)?.statement(kind, variables, &mut sids)?);
        }
        Ok(Self { statements: parsed })
    }
}

/// The members of a statement, as found.
#[derive(Default)]
struct Fields {
    sid: Option<String>,
    effect: Option<String>,
    principal: Option<Json>,
    not_principal: Option<Json>,
    action: Option<Vec<String>>,
    not_action: Option<Vec<String>>,
    resource: Option<Vec<String>>,
    not_resource: Option<Vec<String>>,
    condition: Option<Json>,
}

impl Fields {
    fn read(statement: Json) -> Parsed<Self> {
        let Json::Object(members) = statement else { return wrong("Invalid policy syntax.") };
        let mut fields = Self::default();
        for (name, value) in members {
            match name.as_str() {
                "Sid" => fields.sid = Some(text(value)?),
                "Effect" => fields.effect = Some(text(value)?),
                "Principal" => fields.principal = Some(value),
                "NotPrincipal" => fields.not_principal = Some(value),
                "Action" => fields.action = Some(texts(value, &name)?),
                "NotAction" => fields.not_action = Some(texts(value, &name)?),
                "Resource" => fields.resource = Some(texts(value, &name)?),
                "NotResource" => fields.not_resource = Some(texts(value, &name)?),
                "Condition" => fields.condition = Some(value),
                _ => return wrong(format!("Unknown field {name}")),
            }
        }
        Ok(fields)
    }

    fn statement(self, kind: PolicyKind<'_>, variables: Variables, sids: &mut Vec<String>) -> Parsed<Statement> {
        if let Some(sid) = self.sid.filter(|sid| !sid.is_empty()) {
            if sids.contains(&sid) {
                return wrong("Statement IDs (SID) in a single policy must be unique.");
            }
            sids.push(sid);
        }
        let effect = match self.effect.as_deref() {
            Some("Allow") => Effect::Allow,
            Some("Deny") => Effect::Deny,
            Some(other) => return wrong(format!("Invalid effect: {other}")),
            None => return wrong("Missing required field Effect"),
        };
        let principals = principals(self.principal, self.not_principal, effect, kind)?;
        let actions = match one_of(self.action, self.not_action, "Action")? {
            Either::Plain(names) => Names::Any(actions(&names, kind)?),
            Either::Not(names) => Names::NoneOf(actions(&names, kind)?),
        };
        let resources = match (kind, self.resource, self.not_resource) {
            (PolicyKind::Trust, None, None) => Names::Any(resources(&["*".to_owned()], kind, variables)?),
            (PolicyKind::Trust, _, _) => return wrong("Has prohibited field Resource"),
            (_, plain, not) => match one_of(plain, not, "Resource")? {
                Either::Plain(names) => Names::Any(resources(&names, kind, variables)?),
                Either::Not(names) => Names::NoneOf(resources(&names, kind, variables)?),
            },
        };
        if let (PolicyKind::Bucket(bucket), Names::Any(actions), Names::Any(resources)) = (kind, &actions, &resources) {
            check_actions_meet_resources(bucket, actions, resources)?;
        }
        let conditions =
            self.condition.map(|block| conditions(block, kind, variables)).transpose()?.unwrap_or_default();
        Ok(Statement { effect, principals, actions, resources, conditions })
    }
}

fn text(value: Json) -> Parsed<String> {
    match value {
        Json::Text(text) => Ok(text),
        _ => wrong("Invalid policy syntax."),
    }
}

/// A text or a list of texts, not empty.
fn texts(value: Json, field: &str) -> Parsed<Vec<String>> {
    match value {
        Json::Text(text) => Ok(vec![text]),
        Json::List(list) if !list.is_empty() => list.into_iter().map(text).collect(),
        Json::List(_) => wrong(format!("Policy statement must contain {}.", field.to_lowercase())),
        _ => wrong("Invalid policy syntax."),
    }
}

enum Either {
    Plain(Vec<String>),
    Not(Vec<String>),
}

fn one_of(plain: Option<Vec<String>>, not: Option<Vec<String>>, field: &str) -> Parsed<Either> {
    match (plain, not) {
        (Some(plain), None) => Ok(Either::Plain(plain)),
        (None, Some(not)) => Ok(Either::Not(not)),
        (None, None) => wrong(format!("Missing required field {field}")),
        (Some(_), Some(_)) => wrong(format!("A statement has either {field} or Not{field}, not both")),
    }
}

fn principals(
    plain: Option<Json>,
    not: Option<Json>,
    effect: Effect,
    kind: PolicyKind<'_>,
) -> Parsed<Option<Principals>> {
    match (kind, plain, not) {
        (PolicyKind::Identity, None, None) => Ok(None),
        (PolicyKind::Identity, _, _) => wrong("Policy document should not specify a principal."),
        (_, Some(_), Some(_)) => wrong("A statement has either Principal or NotPrincipal, not both"),
        (_, None, None) => wrong("Missing required field Principal"),
        (_, Some(plain), None) => Ok(Some(Principals::Are(principal_list(plain, kind)?))),
        // It would grant to everybody but some, anonymous requests too.
        (_, None, Some(_)) if effect == Effect::Allow => wrong("Allow with NotPrincipal is not allowed."),
        (_, None, Some(not)) => Ok(Some(Principals::AreNot(principal_list(not, kind)?))),
    }
}

fn principal_list(value: Json, kind: PolicyKind<'_>) -> Parsed<Vec<PrincipalPattern>> {
    const INVALID: &str = "Invalid principal in policy";
    let members = match value {
        Json::Text(text) if text == "*" => return Ok(vec![PrincipalPattern::Anyone]),
        Json::Object(members) if !members.is_empty() => members,
        _ => return wrong(INVALID),
    };
    let mut list = Vec::new();
    for (provider, value) in members {
        for name in texts(value, "Principal")? {
            let parsed = match provider.as_str() {
                "AWS" => PrincipalPattern::parse_aws(&name),
                "CanonicalUser" => PrincipalPattern::parse_canonical(&name),
                "Service" => name.ends_with(".amazonaws.com").then_some(PrincipalPattern::Service(name)),
                "Federated" if kind == PolicyKind::Trust && !name.is_empty() => Some(PrincipalPattern::Federated(name)),
                _ => None,
            };
            match parsed {
                Some(parsed) => list.push(parsed),
                None => return wrong(INVALID),
            }
        }
    }
    Ok(list)
}

fn actions(names: &[String], kind: PolicyKind<'_>) -> Parsed<Vec<Pattern>> {
    let nothing = std::collections::HashMap::new();
    let mut patterns = Vec::with_capacity(names.len());
    for name in names {
        let pattern = Pattern::parse(name, Wildcards::Yes, Variables::Literal)
            .ok_or_else(|| PolicyError("Policy has invalid action".into()))?;
        let known = match kind {
            PolicyKind::Bucket(_) => {
                name == "*"
                    || actions::all()
                        .any(|(action, _)| pattern.matches(&format!("s3:{action}"), Case::Ignored, &nothing))
            }
            // Identity policies come with the actions of every service.
            PolicyKind::Identity => {
                name == "*"
                    || name.split_once(':').is_some_and(|(service, action)| !service.is_empty() && !action.is_empty())
            }
            PolicyKind::Trust => {
                let of_sts = name.split_once(':').filter(|(service, _)| service.eq_ignore_ascii_case("sts"));
                if of_sts.is_none_or(|(_, action)| action.is_empty()) {
                    return wrong("AssumeRole policy may only specify STS AssumeRole actions.");
                }
                true
            }
        };
        if !known {
            return wrong("Policy has invalid action");
        }
        patterns.push(pattern);
    }
    Ok(patterns)
}

fn resources(names: &[String], kind: PolicyKind<'_>, variables: Variables) -> Parsed<Vec<Pattern>> {
    let invalid = || PolicyError("Policy has invalid resource".into());
    let mut patterns = Vec::with_capacity(names.len());
    for name in names {
        let pattern = Pattern::parse(name, Wildcards::Yes, variables).ok_or_else(invalid)?;
        let fits = match kind {
            PolicyKind::Bucket(bucket) => {
                (name.starts_with("arn:aws:s3:::") || pattern.is_anything())
                    && (may_be_bucket(&pattern, bucket) || may_be_object(&pattern, bucket))
            }
            PolicyKind::Identity => {
                name.contains('*') || (name.starts_with("arn:") && name.splitn(6, ':').count() == 6)
            }
            PolicyKind::Trust => true,
        };
        if !fits {
            return Err(invalid());
        }
        patterns.push(pattern);
    }
    Ok(patterns)
}

fn may_be_bucket(pattern: &Pattern, bucket: &str) -> bool {
    struct Nothing;
    impl Context for Nothing {
        fn values(&self, _: &str) -> Option<Vec<String>> {
            None
        }
    }
    let arn = format!("arn:aws:s3:::{bucket}");
    pattern.matches(&arn, Case::Counts, &Nothing)
        || (pattern.variables().next().is_some() && pattern.may_match_under(&arn))
}

fn may_be_object(pattern: &Pattern, bucket: &str) -> bool {
    pattern.may_match_under(&format!("arn:aws:s3:::{bucket}/"))
}

/// An action of buckets needs the bucket among the resources, one of objects needs objects of it.
fn check_actions_meet_resources(bucket: &str, actions: &[Pattern], resources: &[Pattern]) -> Parsed<()> {
    let nothing = std::collections::HashMap::new();
    let buckets = resources.iter().any(|pattern| may_be_bucket(pattern, bucket));
    let objects = resources.iter().any(|pattern| may_be_object(pattern, bucket));
    let meets = |pattern: &Pattern| {
        actions::all().filter(|(name, _)| pattern.matches(&format!("s3:{name}"), Case::Ignored, &nothing)).any(
            |(_, on)| match on {
                On::Account => false,
                On::Bucket => buckets,
                On::Object => objects,
            },
        )
    };
    if actions.iter().all(meets) { Ok(()) } else { wrong("Action does not apply to any resource(s) in statement") }
}

fn conditions(block: Json, kind: PolicyKind<'_>, variables: Variables) -> Parsed<Vec<Condition>> {
    let Json::Object(operators) = block else { return wrong("Invalid policy syntax.") };
    let mut conditions = Vec::new();
    for (name, keys) in operators {
        let Some(operator) = Operator::parse(&name) else { return wrong(format!("Invalid Condition type : {name}")) };
        let Json::Object(keys) = keys else { return wrong("Invalid policy syntax.") };
        for (key, values) in keys {
            let claim = if kind == PolicyKind::Trust { keys::federated(&key) } else { None };
            let Some(canonical) = keys::canonical(&key).or(claim) else {
                return wrong(format!("Policy has an invalid condition key - {key}"));
            };
            let values = condition_values(values)?;
            match Condition::new(operator, canonical, &values, variables) {
                Some(condition) => conditions.push(condition),
                None => return wrong(format!("Value of condition key {key} does not fit the operator {name}")),
            }
        }
    }
    Ok(conditions)
}

/// Texts, or numbers and booleans written without quotes.
fn condition_values(value: Json) -> Parsed<Vec<String>> {
    let one = |value| match value {
        Json::Text(text) | Json::Number(text) => Ok(text),
        Json::Bool(value) => Ok(value.to_string()),
        _ => wrong("Invalid policy syntax."),
    };
    match value {
        Json::List(list) if list.is_empty() => wrong("Invalid policy syntax."),
        Json::List(list) => list.into_iter().map(one).collect(),
        other => Ok(vec![one(other)?]),
    }
}
