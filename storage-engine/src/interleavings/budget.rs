//! The memory of transfers: copies that read and write at once, some given up in the middle.

use shuttle::future;

use super::check;
use crate::budget::Budget;

#[test]
fn copies_never_take_more_than_there_is_and_all_of_them_end() {
    check(4000, || {
        let budget = Budget::new(96 << 10);
        let copy = |n: usize, budget: Budget| async move {
            for round in 0..2 {
                let read = budget.readers().take(8 << 10).await;
                let written = budget.writers().take((n + 1 + round) * (16 << 10)).await;
                assert!(budget.used_bytes() <= 96 << 10);
                future::yield_now().await;
                drop((read, written));
            }
        };
        let copies: Vec<_> = (0..3).map(|n| future::spawn(copy(n, budget.clone()))).collect();
        let given_up = future::spawn(copy(1, budget.clone()));
        given_up.abort();
        future::block_on(async {
            for copy in copies {
                copy.await.unwrap();
            }
            // Aborted or done, as it was.
            let _ = given_up.await;
        });
        assert_eq!(budget.used_bytes(), 0, "what was given up came back too");
    });
}
