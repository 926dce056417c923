//! Every run of stripes that something owns, page by page.

use std::sync::Arc;

use crate::error::{StateError, StorageError};
use crate::ids::StripeId;
use crate::namespace::rows::{RunOwner, StripeRun};
use crate::state::StateMachine;

/// Runs looked up at once.
const PAGE_RUNS: usize = 256;

/// A walk over the owners of stripes, in order of stripe. What is written behind it is not seen.
pub(crate) struct RunWalk {
    machine: Arc<StateMachine>,
    after: Option<StripeId>,
    /// The runs of the row that was read last: the parts of one object follow one another.
    last: Option<(RunOwner, Vec<StripeRun>)>,
}

impl RunWalk {
    pub(crate) fn new(machine: Arc<StateMachine>) -> Self {
        Self { machine, after: None, last: None }
    }

    /// The next runs, `None` at the end. Runs that lost their owner meanwhile are left out.
    pub(crate) async fn next_page(&mut self) -> Result<Option<Vec<StripeRun>>, StorageError> {
        let machine = self.machine.clone();
        let (mut after, mut last) = (self.after, self.last.take());
        let page = tokio::task::spawn_blocking(move || {
            let page = read_page(&machine, &mut after, &mut last);
            page.map(|page| (page, after, last))
        });
        let (page, after, last) = page.await.map_err(|_| StorageError::Closed)??;
        (self.after, self.last) = (after, last);
        Ok(page)
    }
}

fn read_page(
    machine: &StateMachine,
    after: &mut Option<StripeId>,
    last: &mut Option<(RunOwner, Vec<StripeRun>)>,
) -> Result<Option<Vec<StripeRun>>, StateError> {
    let owned = machine.owned_runs(*after, PAGE_RUNS)?;
    let Some(end) = owned.last() else { return Ok(None) };
    *after = Some(end.first);
    let mut runs = Vec::with_capacity(owned.len());
    for owned in &owned {
        let same_row = |owner: &RunOwner| {
            (owner.bucket, &owner.key, &owner.place) == (owned.owner.bucket, &owned.owner.key, &owned.owner.place)
        };
        if !last.as_ref().is_some_and(|(owner, _)| same_row(owner)) {
            *last = Some((owned.owner.clone(), machine.runs_of(&owned.owner)?));
        }
        let of_row = last.iter().flat_map(|(_, runs)| runs);
        runs.extend(of_row.filter(|run| run.first == owned.first).cloned());
    }
    Ok(Some(runs))
}
