//! A thread that does something again and again: a controller, or visitors.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// The thread; it ends when it is dropped, and what went wrong in it goes wrong there.
pub(crate) struct Again {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Again {
    /// Does it, with so much time between.
    pub(crate) fn every(time: Duration, mut what: impl FnMut() + Send + 'static) -> Self {
        let ended = Arc::<AtomicBool>::default();
        let stop = Arc::clone(&ended);
        let thread = thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                what();
                thread::sleep(time);
            }
        });
        Self { ended, thread: Some(thread) }
    }

    /// True where it does no more: something went wrong in it.
    pub(crate) fn is_broken(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Again {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let joined = self.thread.take().map_or(Ok(()), JoinHandle::join);
        if let Err(panic) = joined
            && !thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}
