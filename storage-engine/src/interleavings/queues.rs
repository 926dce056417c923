//! The queue between tasks and a drive's threads.

use std::sync::Arc;

use super::check;
use crate::drive::queue::Queue;
use crate::sync::thread;

#[test]
fn each_item_is_served_once_in_order_and_a_closed_queue_lets_everybody_go() {
    check(4000, || {
        let queue = Arc::new(Queue::new(4));
        let consumers: Vec<_> = (0..2)
            .map(|n| {
                let queue = queue.clone();
                thread::spawn(move || {
                    let mut served: Vec<u32> = Vec::new();
                    loop {
                        let items = if n == 0 { queue.pop_batch(3) } else { queue.pop().into_iter().collect() };
                        if items.is_empty() {
                            return served;
                        }
                        served.extend(items);
                    }
                })
            })
            .collect();
        let producer = {
            let queue = queue.clone();
            thread::spawn(move || (0..6).filter(|item| queue.push(*item).is_ok()).collect::<Vec<u32>>())
        };
        let pushed = producer.join().unwrap();
        queue.close();
        assert!(queue.push(9).is_err());
        let mut served = Vec::new();
        for consumer in consumers {
            let mine = consumer.join().unwrap();
            assert!(mine.is_sorted(), "{mine:?}");
            served.extend(mine);
        }
        served.sort_unstable();
        assert_eq!(served, pushed);
    });
}
