//! The verdict on what the clients recorded, and whether the same judge would have seen one wrong read.

use std::io::{self, Write as _};
use std::path::Path;

use chartrier_conformance::linear::{Answered, Asked, Call, Violation, check};
use chartrier_conformance::random::Random;

/// Wrong reads that the judge must find, a key.
const WRONG_READS: usize = 50;

/// Counts over all keys.
#[derive(Default)]
pub(crate) struct Totals {
    pub(crate) calls: usize,
    pub(crate) reads: usize,
    pub(crate) writes: usize,
    pub(crate) removals: usize,
    pub(crate) refused: usize,
    pub(crate) without_answer: usize,
    pub(crate) configurations_max: usize,
    pub(crate) wrong: usize,
    pub(crate) wrong_found: usize,
}

/// Judges the calls on one key.
///
/// # Errors
/// If no order explains them: the calls around the one that cannot be are in the error, all of them in `record`.
pub(crate) fn judge(
    key: &str,
    calls: &[Call],
    record: &Path,
    random: &mut Random,
    totals: &mut Totals,
) -> io::Result<()> {
    let checked = match check(None, calls) {
        Ok(checked) => checked,
        Err(violation) => {
            write_record(record, calls)?;
            let told = tell(&violation, calls);
            return Err(io::Error::other(format!("{key} is not linearizable; see {}\n{told}", record.display())));
        }
    };
    let count = |is: fn(&Call) -> bool| calls.iter().filter(|call| is(call)).count();
    totals.calls += calls.len();
    totals.reads += count(|call| matches!(call.answered, Some(Answered::Holds(_))));
    totals.writes += count(|call| {
        call.answered == Some(Answered::Done) && !matches!(call.asked, Asked::Remove | Asked::RemoveIf(_))
    });
    totals.removals +=
        count(|call| call.answered == Some(Answered::Done) && matches!(call.asked, Asked::Remove | Asked::RemoveIf(_)));
    totals.refused += count(|call| matches!(call.answered, Some(Answered::Refused | Answered::Absent)));
    totals.without_answer += count(|call| call.answered.is_none());
    totals.configurations_max = totals.configurations_max.max(checked.configurations_max);
    for _ in 0..WRONG_READS {
        if let Some(wrong) = with_a_stale_read(calls, random) {
            totals.wrong += 1;
            totals.wrong_found += usize::from(check(None, &wrong).is_err());
        }
    }
    Ok(())
}

/// The same history, one of whose reads gives what an earlier read gave, if that was something else.
fn with_a_stale_read(calls: &[Call], random: &mut Random) -> Option<Vec<Call>> {
    let is_read = |call: &Call| matches!(call.answered, Some(Answered::Holds(_)));
    let reads: Vec<usize> = (0..calls.len()).filter(|&at| is_read(&calls[at])).collect();
    let at = *reads.get(random.below(reads.len() as u64) as usize)?;
    let earlier = calls.iter().filter(|call| call.end_ns < calls[at].begin_ns && is_read(call));
    let stale = earlier.filter(|call| call.answered != calls[at].answered).max_by_key(|call| call.end_ns)?.answered;
    let mut wrong = calls.to_vec();
    wrong[at].answered = stale;
    Some(wrong)
}

fn tell(violation: &Violation, calls: &[Call]) -> String {
    let mut text = format!("cannot be: {:?}\nthe key may have held {:?}\n", violation.call, violation.states);
    let mut before: Vec<&Call> = calls.iter().filter(|call| call.end_ns <= violation.call.end_ns).collect();
    before.sort_by_key(|call| call.end_ns);
    for call in &before[before.len().saturating_sub(20)..] {
        text.push_str(&format!("ended before:  {call:?}\n"));
    }
    for call in &violation.under_way {
        text.push_str(&format!("was under way: {call:?}\n"));
    }
    text
}

fn write_record(path: &Path, calls: &[Call]) -> io::Result<()> {
    let mut file = std::fs::File::create(path)?;
    let mut calls: Vec<&Call> = calls.iter().collect();
    calls.sort_by_key(|call| call.begin_ns);
    calls.iter().try_for_each(|call| writeln!(file, "{call:?}"))
}
