//! The condition keys of a call.

use std::collections::HashMap;

use super::Call;
use crate::policy::Context;
use crate::s3::request::Transport;

/// What conditions are held against: the call, and what its action adds.
pub(crate) struct CallContext<'r> {
    call: &'r Call<'r>,
    added: HashMap<String, Vec<String>>,
}

impl<'r> CallContext<'r> {
    pub(crate) fn new(call: &'r Call<'r>) -> Self {
        Self { call, added: HashMap::new() }
    }

    /// Adds the values of a key, lower case; none are no key.
    pub(crate) fn with(mut self, key: impl Into<String>, values: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let values: Vec<String> = values.into_iter().map(Into::into).collect();
        if !values.is_empty() {
            self.added.insert(key.into(), values);
        }
        self
    }
}

impl Context for CallContext<'_> {
    fn values(&self, key: &str) -> Option<Vec<String>> {
        // What conditions name has no case, the keys of session tags included.
        if let Some((_, values)) = self.added.iter().find(|(added, _)| added.eq_ignore_ascii_case(key)) {
            return Some(values.clone());
        }
        let Call { app, caller, origin, user_agent, .. } = self.call;
        let now_us = app.now_us();
        let value = match key {
            "sts:authentication" => Some(caller.standing.session.is_some().to_string()),
            "aws:currenttime" => chartrier_journal::format_time(now_us / 1_000_000 * 1_000_000),
            "aws:epochtime" => Some((now_us / 1_000_000).to_string()),
            "aws:sourceip" => Some(origin.peer.to_canonical().to_string()),
            "aws:securetransport" => Some((origin.transport == Transport::Tls).to_string()),
            "aws:useragent" => user_agent.clone(),
            "aws:requestedregion" => Some(app.config.region.clone()),
            "aws:principalisawsservice" | "aws:viaawsservice" => Some("false".to_owned()),
            other => other.strip_prefix("aws:").and_then(|name| caller.standing.condition_value(name)),
        };
        value.map(|value| vec![value])
    }
}
