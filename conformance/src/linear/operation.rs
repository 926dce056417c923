//! A key as a register: what may be asked of it, and which answers are right in which state.

/// What was written, by a number that no other write has.
pub type Value = u64;

/// What a key holds: an object, or none.
pub type State = Option<Value>;

/// What a client asks of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// GET.
    Read,
    /// PUT, or the Complete of an upload, without a condition.
    Write(Value),
    /// The same with `If-None-Match: *`.
    Create(Value),
    /// The same with `If-Match` of the ETag of `expected`.
    Replace {
        /// What it must find.
        expected: Value,
        /// What it leaves.
        value: Value,
    },
    /// DELETE.
    Remove,
    /// DELETE with `If-Match` of the ETag of this value.
    RemoveIf(Value),
}

/// What a client was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// Of a read: what is there.
    Holds(State),
    /// 200 of a write, 204 of a removal.
    Done,
    /// 412: there is something that the condition does not want.
    Refused,
    /// 404 of `If-Match`: there is nothing.
    Absent,
}

/// One operation of one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Who asked. A client asks one thing at a time.
    pub client: u32,
    /// What it asked.
    pub asked: Asked,
    /// What it was told; `None` if no answer came.
    pub answered: Option<Answered>,
    /// Before the first byte of the request was sent, on any clock that all clients share.
    pub begin_ns: u64,
    /// After the last byte of the answer. Without an answer, a moment after which it cannot happen any more.
    pub end_ns: u64,
}

impl Asked {
    /// What a register in `state` answers, and holds afterwards.
    pub fn apply(self, state: State) -> (Answered, State) {
        match (self, state) {
            (Self::Read, _) => (Answered::Holds(state), state),
            (Self::Write(value), _) | (Self::Create(value), None) => (Answered::Done, Some(value)),
            (Self::Create(_), Some(_)) => (Answered::Refused, state),
            (Self::Replace { .. }, None) => (Answered::Absent, None),
            (Self::Replace { expected, value }, Some(held)) if held == expected => (Answered::Done, Some(value)),
            (Self::Remove, _) | (Self::RemoveIf(_), None) => (Answered::Done, None),
            (Self::RemoveIf(expected), Some(held)) if held == expected => (Answered::Done, None),
            (Self::Replace { .. } | Self::RemoveIf(_), Some(_)) => (Answered::Refused, state),
        }
    }
}

impl Call {
    /// What the register holds if this happens now; `None` if the client would have been told something else.
    pub(super) fn happens(&self, state: State) -> Option<State> {
        let (answer, after) = self.asked.apply(state);
        self.answered.is_none_or(|answered| answered == answer).then_some(after)
    }
}
