//! Writers, readers and those who free: the order in which each looks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use super::check;
use crate::blob::leases::Leases;
use crate::ids::StripeId;
use crate::sync::thread;

/// The walk for orphans looks for writers first and then for the owner; a writer names its blob before it lets go.
#[test]
fn a_blob_that_is_named_was_never_freed_as_an_orphan() {
    check(4000, || {
        let leases = Arc::new(Leases::default());
        let [stored, named, freed] = [(); 3].map(|()| Arc::new(AtomicBool::new(false)));
        let first = StripeId::first(1, [2; 6]);
        let writer = {
            let (leases, stored, named) = (leases.clone(), stored.clone(), named.clone());
            thread::spawn(move || {
                leases.begin_write(first);
                stored.store(true, SeqCst);
                thread::yield_now();
                leases.end_write(first);
                thread::yield_now();
                named.store(true, SeqCst);
                leases.settle(first);
            })
        };
        let walks: Vec<_> = (0..2)
            .map(|_| {
                let (leases, stored, named, freed) = (leases.clone(), stored.clone(), named.clone(), freed.clone());
                thread::spawn(move || {
                    if stored.load(SeqCst) && !leases.is_written(first) {
                        thread::yield_now();
                        if !named.load(SeqCst) {
                            freed.store(true, SeqCst);
                        }
                    }
                })
            })
            .collect();
        writer.join().unwrap();
        walks.into_iter().for_each(|walk| walk.join().unwrap());
        assert!(!freed.load(SeqCst) && !leases.is_written(first));
    });
}
