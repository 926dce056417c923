//! Wildcards and policy variables.

use std::borrow::Cow;

use super::evaluate::Context;

/// A text of a policy with `*`, `?` and `${variables}`.
///
/// What a variable stands for is taken literally: a star in a user's name matches a star.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// `*`
    AnyRun,
    /// `?`
    AnyOne,
    /// `${key}` or `${key, 'default'}`, the key as the catalogue has it.
    Variable {
        key: String,
        default: Option<String>,
    },
}

/// Whether `*` and `?` mean anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wildcards {
    Yes,
    No,
}

/// Whether `${…}` means anything: not in policies of version 2008-10-17.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variables {
    Expand,
    Literal,
}

/// Whether case counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Counts,
    Ignored,
}

impl Pattern {
    /// Reads a text; `None` if a `${` is not closed or names nothing.
    pub(super) fn parse(text: &str, wildcards: Wildcards, variables: Variables) -> Option<Self> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let after = &rest[c.len_utf8()..];
            let special = match c {
                '*' if wildcards == Wildcards::Yes => Some((Piece::AnyRun, after)),
                '?' if wildcards == Wildcards::Yes => Some((Piece::AnyOne, after)),
                '$' if variables == Variables::Expand && after.starts_with('{') => {
                    let (inside, after) = after[1..].split_once('}')?;
                    Some((variable(inside)?, after))
                }
                _ => None,
            };
            match special {
                Some((Piece::Text(text), after)) => {
                    literal.push_str(&text);
                    rest = after;
                }
                Some((piece, after)) => {
                    if !literal.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut literal)));
                    }
                    // Two stars say what one says.
                    if piece != Piece::AnyRun || pieces.last() != Some(&Piece::AnyRun) {
                        pieces.push(piece);
                    }
                    rest = after;
                }
                None => {
                    literal.push(c);
                    rest = after;
                }
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Some(Self { pieces })
    }

    /// Whether the whole of `text` matches. A variable without a value matches nothing.
    pub(super) fn matches(&self, text: &str, case: Case, context: &dyn Context) -> bool {
        let mut atoms = Vec::with_capacity(self.pieces.len());
        for piece in &self.pieces {
            atoms.push(match piece {
                Piece::Text(text) => Atom::Text(Cow::Borrowed(text.as_str())),
                Piece::AnyRun => Atom::AnyRun,
                Piece::AnyOne => Atom::AnyOne,
                Piece::Variable { key, default } => match (single(context.values(key)), default) {
                    (Some(value), _) => Atom::Text(Cow::Owned(value)),
                    (None, Some(default)) => Atom::Text(Cow::Borrowed(default.as_str())),
                    (None, None) => return false,
                },
            });
        }
        let fold = |text: &str| -> Vec<char> {
            match case {
                Case::Counts => text.chars().collect(),
                Case::Ignored => text.to_lowercase().chars().collect(),
            }
        };
        // The usual request meets a plain text: no need to spread it into characters.
        if let ([Atom::Text(only)], Case::Counts) = (&atoms[..], case) {
            return *only == *text;
        }
        if let ([Atom::AnyRun], _) = (&atoms[..], case) {
            return true;
        }
        let mut tokens = Vec::new();
        for atom in &atoms {
            match atom {
                Atom::Text(text) => tokens.extend(fold(text).into_iter().map(Token::Is)),
                Atom::AnyRun => tokens.push(Token::AnyRun),
                Atom::AnyOne => tokens.push(Token::AnyOne),
            }
        }
        glob(&tokens, &fold(text))
    }

    /// True if neither a wildcard nor a variable is in it.
    pub(super) fn is_fixed(&self) -> bool {
        self.pieces.iter().all(|piece| matches!(piece, Piece::Text(_)))
    }

    /// True if it is `*` alone.
    pub(super) fn is_anything(&self) -> bool {
        self.pieces == [Piece::AnyRun]
    }

    /// The keys of its variables.
    pub(super) fn variables(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Variable { key, .. } => Some(key.as_str()),
            _ => None,
        })
    }

    /// Whether some text that begins with `prefix` matches, whatever variables stand for.
    pub(super) fn may_match_under(&self, prefix: &str) -> bool {
        let mut rest = prefix;
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) if text.len() <= rest.len() => match rest.strip_prefix(text.as_str()) {
                    Some(left) => rest = left,
                    None => return false,
                },
                Piece::Text(text) => return text.starts_with(rest),
                Piece::AnyOne => match rest.chars().next() {
                    Some(c) => rest = &rest[c.len_utf8()..],
                    None => return true,
                },
                Piece::AnyRun | Piece::Variable { .. } => return true,
            }
        }
        rest.is_empty()
    }
}

/// What stands between `${` and `}`.
fn variable(inside: &str) -> Option<Piece> {
    match inside {
        "*" | "?" | "$" => return Some(Piece::Text(inside.to_owned())),
        _ => {}
    }
    let (key, default) = match inside.split_once(',') {
        None => (inside.trim(), None),
        Some((key, default)) => {
            let default = default.trim().strip_prefix('\'')?.strip_suffix('\'')?;
            (key.trim(), Some(default.to_owned()))
        }
    };
    let key = super::keys::canonical(key)?;
    Some(Piece::Variable { key, default })
}

/// The one value of a key; a key with several cannot stand in a text.
fn single(values: Option<Vec<String>>) -> Option<String> {
    let mut values = values?;
    if values.len() == 1 { values.pop() } else { None }
}

enum Atom<'p> {
    Text(Cow<'p, str>),
    AnyRun,
    AnyOne,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    Is(char),
    AnyOne,
    AnyRun,
}

/// Matches greedily and goes back to the last star only: no more than tokens times characters.
fn glob(tokens: &[Token], text: &[char]) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while read < text.len() {
        match tokens.get(at) {
            Some(Token::AnyRun) => {
                retry = Some((at + 1, read));
                at += 1;
            }
            Some(Token::AnyOne) => (at, read) = (at + 1, read + 1),
            Some(Token::Is(c)) if *c == text[read] => (at, read) = (at + 1, read + 1),
            _ => match retry {
                Some((after_star, from)) => {
                    retry = Some((after_star, from + 1));
                    (at, read) = (after_star, from + 1);
                }
                None => return false,
            },
        }
    }
    tokens[at..].iter().all(|token| *token == Token::AnyRun)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        let context: HashMap<String, Vec<String>> =
            HashMap::from([("aws:username".into(), vec!["a*b".into()]), ("aws:tagkeys".into(), vec![])]);
        let pattern = Pattern::parse(pattern, Wildcards::Yes, Variables::Expand).unwrap();
        pattern.matches(text, Case::Counts, &context)
    }

    #[test]
    fn stars_and_question_marks() {
        for (pattern, text) in [
            ("*", ""),
            ("*", "anything/at all"),
            ("a*c", "ac"),
            ("a*c", "abbbc"),
            ("a*b*c", "a1b2b3c"),
            ("?", "é"),
            ("a?c", "abc"),
            ("**x**", "x"),
            ("*a*a*a*", "aaa"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("", "a"), ("?", ""), ("a*c", "abcd"), ("a?c", "ac"), ("*a*a*a*", "aa"), ("A", "a")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn variables_are_literal_text() {
        assert!(matches("home/${aws:username}/*", "home/a*b/x"));
        assert!(!matches("home/${aws:username}/*", "home/aab/x"));
        assert!(matches("${AWS:UserName}", "a*b"));
        assert!(matches("${aws:userid, 'nobody'}", "nobody"));
        assert!(!matches("${aws:userid}", ""));
        assert!(matches("${*}${?}${$}{x}", "*?${x}"));
        for bad in ["${", "${aws:username", "${}", "${nothing:known}", "${aws:userid, nobody}"] {
            assert!(Pattern::parse(bad, Wildcards::Yes, Variables::Expand).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_pattern_may_match_under_a_prefix() {
        let may = |pattern: &str| {
            let pattern = Pattern::parse(pattern, Wildcards::Yes, Variables::Expand).unwrap();
            pattern.may_match_under("arn:aws:s3:::one/")
        };
        assert!(may("*") && may("arn:aws:s3:::one/*") && may("arn:aws:s3:::one/a") && may("arn:aws:s3:::o?e/x"));
        assert!(may("arn:aws:s3:::one*") && may("arn:aws:s3:::*/k"));
        assert!(!may("arn:aws:s3:::one") && !may("arn:aws:s3:::two/*") && !may("arn:aws:s3:::ones/*"));
    }
}
