//! The condition operators.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>

use std::net::IpAddr;

use super::evaluate::Context;
use super::pattern::{Case, Pattern, Variables, Wildcards};
use super::values::{Network, date, number};

/// One key under one operator.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Condition {
    operator: Operator,
    /// Canonical.
    key: String,
    values: Values,
}

/// An operator with its qualifier and suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Operator {
    family: Family,
    /// `Not…`: holds where the plain one does not.
    negated: bool,
    quantifier: Option<Quantifier>,
    /// `…IfExists`: holds if the request does not have the key.
    if_exists: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantifier {
    ForAllValues,
    ForAnyValue,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Text { case: Case, like: bool },
    Number(Order),
    Date(Order),
    Bool,
    Binary,
    Address,
    Arn,
    Null,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What the policy holds a value against, read once.
#[derive(Debug, Clone, PartialEq)]
enum Values {
    Texts(Vec<Pattern>),
    /// Each of six parts.
    Arns(Vec<[Pattern; 6]>),
    Numbers(Vec<f64>),
    /// Milliseconds since 1970.
    Dates(Vec<i64>),
    Bools(Vec<bool>),
    Networks(Vec<Network>),
    Binary(Vec<String>),
}

impl Operator {
    /// Reads an operator's name, with qualifier and suffix.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (quantifier, name) = match text.split_once(':') {
            None => (None, text),
            Some((quantifier, name)) if quantifier.eq_ignore_ascii_case("ForAllValues") => {
                (Some(Quantifier::ForAllValues), name)
            }
            Some((quantifier, name)) if quantifier.eq_ignore_ascii_case("ForAnyValue") => {
                (Some(Quantifier::ForAnyValue), name)
            }
            Some(_) => return None,
        };
        let name = name.to_ascii_lowercase();
        let (name, if_exists) = match name.strip_suffix("ifexists") {
            Some(name) => (name, true),
            None => (name.as_str(), false),
        };
        let text = |case, like| Family::Text { case, like };
        let (family, negated) = match name {
            "stringequals" => (text(Case::Counts, false), false),
            "stringnotequals" => (text(Case::Counts, false), true),
            "stringequalsignorecase" => (text(Case::Ignored, false), false),
            "stringnotequalsignorecase" => (text(Case::Ignored, false), true),
            "stringlike" => (text(Case::Counts, true), false),
            "stringnotlike" => (text(Case::Counts, true), true),
            "numericequals" => (Family::Number(Order::Equal), false),
            "numericnotequals" => (Family::Number(Order::Equal), true),
            "numericlessthan" => (Family::Number(Order::Less), false),
            "numericlessthanequals" => (Family::Number(Order::LessOrEqual), false),
            "numericgreaterthan" => (Family::Number(Order::Greater), false),
            "numericgreaterthanequals" => (Family::Number(Order::GreaterOrEqual), false),
            "dateequals" => (Family::Date(Order::Equal), false),
            "datenotequals" => (Family::Date(Order::Equal), true),
            "datelessthan" => (Family::Date(Order::Less), false),
            "datelessthanequals" => (Family::Date(Order::LessOrEqual), false),
            "dategreaterthan" => (Family::Date(Order::Greater), false),
            "dategreaterthanequals" => (Family::Date(Order::GreaterOrEqual), false),
            "bool" => (Family::Bool, false),
            "binaryequals" => (Family::Binary, false),
            "ipaddress" => (Family::Address, false),
            "notipaddress" => (Family::Address, true),
            "arnequals" | "arnlike" => (Family::Arn, false),
            "arnnotequals" | "arnnotlike" => (Family::Arn, true),
            // Null asks about absence itself: neither a suffix nor a quantifier means anything with it.
            "null" if !if_exists && quantifier.is_none() => (Family::Null, false),
            _ => return None,
        };
        Some(Self { family, negated, quantifier, if_exists })
    }
}

impl Condition {
    /// Holds one key against values; `None` if a value is not what the operator compares.
    pub(super) fn new(operator: Operator, key: String, values: &[String], variables: Variables) -> Option<Self> {
        let values = match operator.family {
            Family::Text { like, .. } => {
                let wildcards = if like { Wildcards::Yes } else { Wildcards::No };
                Values::Texts(read(values, |text| Pattern::parse(text, wildcards, variables))?)
            }
            Family::Arn => Values::Arns(read(values, |text| arn_pattern(text, variables))?),
            Family::Number(_) => Values::Numbers(read(values, number)?),
            Family::Date(_) => Values::Dates(read(values, date)?),
            Family::Bool | Family::Null => Values::Bools(read(values, boolean)?),
            Family::Address => Values::Networks(read(values, Network::parse)?),
            Family::Binary => Values::Binary(values.to_vec()),
        };
        Some(Self { operator, key, values })
    }

    /// Whether it holds for a request.
    pub(super) fn holds(&self, context: &dyn Context) -> bool {
        let found = context.values(&self.key);
        if let (Family::Null, Values::Bools(wanted)) = (self.operator.family, &self.values) {
            return wanted.contains(&found.is_none());
        }
        let Operator { negated, quantifier, if_exists, .. } = self.operator;
        let found = match found {
            Some(values) => values,
            None if if_exists => return true,
            None => Vec::new(),
        };
        // One value of the request against all of the policy: a plain operator wants one that matches,
        // a negated one wants none.
        let one = |value: &String| self.matches(value, context) != negated;
        match quantifier {
            Some(Quantifier::ForAllValues) => found.iter().all(one),
            Some(Quantifier::ForAnyValue) => found.iter().any(one),
            None if negated => found.iter().all(one),
            None => found.iter().any(one),
        }
    }

    fn matches(&self, value: &str, context: &dyn Context) -> bool {
        match (&self.values, self.operator.family) {
            (Values::Texts(patterns), Family::Text { case, .. }) => {
                patterns.iter().any(|pattern| pattern.matches(value, case, context))
            }
            (Values::Arns(patterns), _) => patterns.iter().any(|pattern| arn_matches(pattern, value, context)),
            (Values::Numbers(numbers), Family::Number(order)) => {
                number(value).is_some_and(|value| numbers.iter().any(|other| order.holds(&value, other)))
            }
            (Values::Dates(dates), Family::Date(order)) => {
                date(value).is_some_and(|value| dates.iter().any(|other| order.holds(&value, other)))
            }
            (Values::Bools(bools), _) => boolean(value).is_some_and(|value| bools.contains(&value)),
            (Values::Networks(networks), _) => {
                value.parse::<IpAddr>().is_ok_and(|address| networks.iter().any(|network| network.holds(address)))
            }
            (Values::Binary(texts), _) => texts.iter().any(|text| text == value),
            _ => false,
        }
    }

    /// Whether its key, or a variable in its values, begins so.
    pub(super) fn asks_for(&self, key_prefix: &str) -> bool {
        let in_values = match &self.values {
            Values::Texts(patterns) => {
                patterns.iter().flat_map(Pattern::variables).any(|key| key.starts_with(key_prefix))
            }
            Values::Arns(patterns) => {
                patterns.iter().flatten().flat_map(Pattern::variables).any(|key| key.starts_with(key_prefix))
            }
            _ => false,
        };
        self.key.starts_with(key_prefix) || in_values
    }

    /// Whether it admits only requests from known places or principals, in the sense of a public policy.
    pub(super) fn confines(&self) -> bool {
        // Absent, such a key would let everybody through.
        if self.operator.negated
            || self.operator.if_exists
            || self.operator.quantifier == Some(Quantifier::ForAllValues)
        {
            return false;
        }
        match &self.values {
            Values::Networks(networks) => self.key == "aws:sourceip" && networks.iter().all(Network::is_narrow),
            Values::Texts(patterns) => CONFINING.contains(&self.key.as_str()) && patterns.iter().all(Pattern::is_fixed),
            Values::Arns(patterns) => {
                CONFINING.contains(&self.key.as_str()) && patterns.iter().flatten().all(Pattern::is_fixed)
            }
            _ => false,
        }
    }
}

/// Keys whose fixed values make a policy not public.
///
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html>
const CONFINING: [&str; 12] = [
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceorgid",
    "aws:userid",
    "aws:username",
    "s3:dataaccesspointaccount",
    "s3:dataaccesspointarn",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
];

impl Order {
    fn holds<T: PartialOrd>(self, value: &T, other: &T) -> bool {
        match self {
            Self::Equal => value == other,
            Self::Less => value < other,
            Self::LessOrEqual => value <= other,
            Self::Greater => value > other,
            Self::GreaterOrEqual => value >= other,
        }
    }
}

fn read<T>(values: &[String], one: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    values.iter().map(|value| one(value)).collect()
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// Six parts, each a pattern of its own: a star does not reach over a colon, but in the last part.
fn arn_pattern(text: &str, variables: Variables) -> Option<[Pattern; 6]> {
    let text = if text == "*" { "*:*:*:*:*:*" } else { text };
    // A variable may hold colons in its name, so parts are cut outside of braces only.
    let mut parts = vec![String::new()];
    let mut in_braces = false;
    for c in text.chars() {
        match c {
            '{' => in_braces = true,
            '}' => in_braces = false,
            ':' if !in_braces && parts.len() < 6 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut()?.push(c);
    }
    let patterns: Option<Vec<_>> = parts.iter().map(|part| Pattern::parse(part, Wildcards::Yes, variables)).collect();
    patterns?.try_into().ok()
}

fn arn_matches(pattern: &[Pattern; 6], value: &str, context: &dyn Context) -> bool {
    let parts: Vec<&str> = value.splitn(6, ':').collect();
    parts.len() == 6 && pattern.iter().zip(parts).all(|(pattern, part)| pattern.matches(part, Case::Counts, context))
}
