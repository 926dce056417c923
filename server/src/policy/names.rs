//! The names of users and roles in the text of a policy, which may change after it was stored.

use std::collections::BTreeMap;

use serde_json::Value;

/// The text with other names for whom its statements are about; anything else that is written the same, in conditions
/// say, stays. A text without any of them stays to the byte.
pub fn with_names(text: &str, now: &BTreeMap<&str, &str>) -> String {
    let named = |text: &str| now.keys().any(|name| text.contains(name));
    let Some(mut policy) = named(text).then(|| serde_json::from_str::<Value>(text).ok()).flatten() else {
        return text.to_owned();
    };
    let statements = match policy.get_mut("Statement") {
        Some(Value::Array(list)) => list.as_mut_slice(),
        Some(one) => std::slice::from_mut(one),
        None => &mut [],
    };
    for statement in statements {
        for member in ["Principal", "NotPrincipal"] {
            if let Some(value) = statement.get_mut(member) {
                rename(value, now);
            }
        }
    }
    policy.to_string()
}

/// A name, a list of names, or these by their kind.
fn rename(value: &mut Value, now: &BTreeMap<&str, &str>) {
    match value {
        Value::String(name) => {
            if let Some(new) = now.get(name.as_str()) {
                *name = (*new).to_owned();
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| rename(value, now)),
        Value::Object(kinds) => kinds.values_mut().for_each(|value| rename(value, now)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn principals_are_renamed_and_nothing_else() {
        let of = |name: &str| {
            json!({"Statement": [
                {"Principal": {"AWS": [name, "*"]}, "Condition": {"StringEquals": {"aws:PrincipalArn": "a/ben"}}},
                {"NotPrincipal": {"AWS": name}, "Resource": "a/ben"}
            ]})
        };
        let renamed = with_names(&of("a/ben").to_string(), &BTreeMap::from([("a/ben", "a/zoe")]));
        assert_eq!(serde_json::from_str::<Value>(&renamed).unwrap(), of("a/zoe"));
        let one = "{\"Statement\":{\"Principal\":{\"AWS\":\"a/ben\"}}}";
        assert!(with_names(one, &BTreeMap::from([("a/ben", "AIDA")])).contains("\"AIDA\""));
        for same in ["{ \"Statement\" : [ ] }", "a/ben, and no policy"] {
            assert_eq!(with_names(same, &BTreeMap::from([("a/ben", "a/zoe")])), same);
        }
    }
}
