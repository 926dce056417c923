//! The search for an order in which everything could have happened.

use std::collections::{BTreeMap, HashSet};

use super::operation::{Call, State};

/// States that the search may keep at one time. A history of a few clients needs some tens; one that needs more is
/// refused rather than judged.
const CONFIGURATIONS_MAX: usize = 1 << 20;

/// A history that is linearizable, and what it took to say so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// What the key may hold after it, the smallest first.
    pub states: Vec<State>,
    /// The most states, with operations under way, that were possible at one time.
    pub configurations_max: usize,
}

/// No order explains this call, whatever was chosen before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The first call that cannot have ended as it did.
    pub call: Call,
    /// What the key may have held, for all that was told before.
    pub states: Vec<State>,
    /// What else was under way.
    pub under_way: Vec<Call>,
}

/// A state that the key may have, and which of the calls under way have happened, by their slots.
type Configuration = (State, u64);

/// Judges the calls on one key, in any order, from a key that holds `before`.
///
/// # Errors
/// The first call that nothing explains.
///
/// # Panics
/// If more than 64 calls are under way at one time or too many orders are possible: the history is too wide for this
/// search, which then says nothing about it.
pub fn check(before: State, calls: &[Call]) -> Result<Checked, Box<Violation>> {
    let mut events: Vec<(u64, bool, usize)> = Vec::with_capacity(calls.len() * 2);
    for (index, call) in calls.iter().enumerate() {
        // At the same time begins come before ends: that excludes less, and so accuses nobody wrongly.
        events.push((call.begin_ns, false, index));
        events.push((call.end_ns, true, index));
    }
    events.sort_unstable();
    let mut configurations: HashSet<Configuration> = HashSet::from([(before, 0)]);
    let mut under_way: BTreeMap<u32, usize> = BTreeMap::new();
    let mut configurations_max = 1;
    for (_, is_end, index) in events {
        let call = &calls[index];
        if !is_end {
            let slot = (0..64).find(|slot| !under_way.contains_key(slot)).expect("at most 64 calls are under way");
            under_way.insert(slot, index);
            continue;
        }
        let slot = *under_way.iter().find(|&(_, &at)| at == index).expect("what ends has begun").0;
        let all = everything_that_may_have_happened(&configurations, &under_way, calls);
        configurations_max = configurations_max.max(all.len());
        under_way.remove(&slot);
        let states = || states(&configurations);
        let done = 1 << slot;
        let after: HashSet<Configuration> = all
            .into_iter()
            // What got no answer may have happened or not; what got one has.
            .filter(|(_, happened)| call.answered.is_none() || happened & done != 0)
            .map(|(state, happened)| (state, happened & !done))
            .collect();
        if after.is_empty() {
            let under_way = under_way.values().map(|&at| calls[at]).collect();
            return Err(Box::new(Violation { call: *call, states: states(), under_way }));
        }
        configurations = after;
    }
    Ok(Checked { states: states(&configurations), configurations_max })
}

/// These configurations, and all that come of them when calls under way happen in any order.
fn everything_that_may_have_happened(
    from: &HashSet<Configuration>,
    under_way: &BTreeMap<u32, usize>,
    calls: &[Call],
) -> HashSet<Configuration> {
    let mut all = from.clone();
    let mut new: Vec<Configuration> = from.iter().copied().collect();
    while let Some((state, happened)) = new.pop() {
        for (slot, &index) in under_way {
            let done = 1 << slot;
            if happened & done != 0 {
                continue;
            }
            if let Some(after) = calls[index].happens(state)
                && all.insert((after, happened | done))
            {
                assert!(all.len() <= CONFIGURATIONS_MAX, "the history is too wide to be judged");
                new.push((after, happened | done));
            }
        }
    }
    all
}

fn states(configurations: &HashSet<Configuration>) -> Vec<State> {
    let mut states: Vec<State> = configurations.iter().map(|(state, _)| *state).collect();
    states.sort_unstable();
    states.dedup();
    states
}
