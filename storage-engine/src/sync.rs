//! Locks, channels and threads of the parts whose interleavings are tested (`interleavings`): drives, log,
//! committer, leases, budget.
//!
//! They are the standard library's; with the feature `shuttle` they are Shuttle's, which runs one at a time and
//! decides at each of them who goes on. Within those parts a lock of the other kind is never held across one of these.

#[cfg(not(feature = "shuttle"))]
mod of_the_system {
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, RwLock, mpsc};
    pub(crate) use std::thread;

    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Wake, Waker};

    struct Parked(thread::Thread);

    impl Wake for Parked {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    /// Waits for a future on a thread that no async runtime owns.
    pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
        let mut future = pin!(future);
        let waker = Waker::from(Arc::new(Parked(thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            match future.as_mut().poll(&mut context) {
                Poll::Ready(output) => return output,
                Poll::Pending => thread::park(),
            }
        }
    }

    /// Whether a thread has ended: joining it would not wait.
    pub(crate) fn is_finished(thread: &thread::JoinHandle<()>) -> bool {
        thread.is_finished()
    }
}

#[cfg(not(feature = "shuttle"))]
pub(crate) use of_the_system::*;

#[cfg(feature = "shuttle")]
mod scheduled {
    pub(crate) use shuttle::future::block_on;
    pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard, RwLock, mpsc};
    pub(crate) use shuttle::thread;

    /// Nobody can be stuck on a disk here: it is waited for.
    pub(crate) fn is_finished(_: &thread::JoinHandle<()>) -> bool {
        true
    }
}

#[cfg(feature = "shuttle")]
pub(crate) use scheduled::*;
