//! The one way into the sandbox: every call of every trait goes through [`Sandbox::call`], which lets time pass, strikes
//! with faults, counts, and settles what is due.

use super::{
    CrashBy, Sandbox,
    fault::{self, FaultKind},
    settle,
    tx::Tx,
};
use crate::world::{Class, Clock as _, Failure, Outcome};
use jiff::Timestamp;
use std::time::Duration;

/// How long a call without an answer takes to be given up by the client.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(60);

enum Step<R> {
    Answer(Outcome<R>),
    TimedOut,
    Hang,
    Crash,
    CrashAfter(Outcome<R>),
}

impl Sandbox {
    /// Makes one call of a service: `operation` as the service names it (`cloudformation:ExecuteChangeSet`), `subject` what
    /// it is about (a stack's name). `body` reads and writes the world; where it fails, what it wrote is taken back.
    ///
    /// # Errors
    /// What `body` fails with, what a fault commands, and a store that cannot be read or written.
    pub(in crate::world::sandbox) async fn call<R>(
        &self,
        operation: &str,
        subject: &str,
        body: impl FnOnce(&mut Tx<'_>) -> Outcome<R>,
    ) -> Outcome<R> {
        if self.is_down() {
            return std::future::pending().await;
        }
        self.clock.sleep(latency(operation)).await;
        let step = self.transact(|tx| {
            let count: u64 = tx.get("calls", operation).unwrap_or_default();
            tx.put("calls", operation, &(count + 1));
            match fault::strike(tx, operation, subject) {
                None => Step::Answer(attempt(tx, body)),
                Some(FaultKind::FailHalfway(how)) => {
                    tx.set_halfway(Some(how));
                    Step::Answer(attempt(tx, body))
                }
                Some(FaultKind::StaleRead) => {
                    tx.set_stale(true);
                    let answer = attempt(tx, body);
                    tx.set_stale(false);
                    Step::Answer(answer)
                }
                Some(FaultKind::Deny) => Step::Answer(Err(denied(operation, subject))),
                Some(FaultKind::Throttle) => {
                    Step::Answer(Err(Failure::new(Class::Throttled, operation, subject, "Rate exceeded")))
                }
                Some(FaultKind::TimeoutBefore) => Step::TimedOut,
                Some(FaultKind::TimeoutAfter) => {
                    let _ = attempt(tx, body);
                    Step::TimedOut
                }
                Some(FaultKind::Hang) => Step::Hang,
                Some(FaultKind::Crash { after: false }) => Step::Crash,
                Some(FaultKind::Crash { after: true }) => Step::CrashAfter(attempt(tx, body)),
            }
        })?;
        match step {
            Step::Answer(answer) => answer,
            Step::TimedOut => {
                self.clock.sleep(CLIENT_TIMEOUT).await;
                let message = format!("no answer within {} s", CLIENT_TIMEOUT.as_secs());
                Err(Failure::new(Class::TimedOut, operation, subject, message))
            }
            Step::Hang => std::future::pending().await,
            Step::Crash | Step::CrashAfter(_) => self.crash().await,
        }
    }

    /// Reads or writes the world without being a call of a service: no latency, no fault, no count. What is due by now is
    /// settled first.
    ///
    /// # Errors
    /// A store that cannot be read or written.
    pub(in crate::world::sandbox) fn transact<R>(&self, body: impl FnOnce(&mut Tx<'_>) -> R) -> Outcome<R> {
        self.clock.stir();
        let mine = self.clock.now();
        let (result, now) = self.store.transact(mine, |tx| {
            let stored = tx.get::<i64>("meta", "clock").and_then(|ms| Timestamp::from_millisecond(ms).ok());
            let now = stored.map_or(mine, |stored| stored.max(mine));
            settle(tx, now);
            tx.set_now(now);
            let before = tx.savepoint();
            let result = body(tx);
            tx.set_halfway(None);
            if tx.savepoint() > before && stored != Some(now) {
                tx.put("meta", "clock", &now.as_millisecond());
            }
            (result, now)
        })?;
        self.clock.at_least(now);
        Ok(result)
    }

    async fn crash<R>(&self) -> R {
        match self.options.crash {
            #[expect(clippy::disallowed_methods, reason = "dying on the spot is what this fault is")]
            CrashBy::Exit => std::process::exit(137),
            CrashBy::Halt => self.go_down(),
        }
        std::future::pending().await
    }
}

fn attempt<R>(tx: &mut Tx<'_>, body: impl FnOnce(&mut Tx<'_>) -> Outcome<R>) -> Outcome<R> {
    let mark = tx.savepoint();
    let answer = body(tx);
    if answer.is_err() {
        tx.rollback(mark);
    }
    answer
}

fn denied(operation: &str, subject: &str) -> Failure {
    let message = if operation.starts_with("kubernetes:") || operation.starts_with("helm:") {
        let verb = operation.split_once(':').map_or(operation, |(_, verb)| verb).to_lowercase();
        format!("forbidden: User \"terrace-sandbox\" cannot {verb} {subject}")
    } else {
        format!("User: terrace-sandbox is not authorized to perform: {operation} on resource: {subject}")
    };
    Failure::new(Class::Denied, operation, subject, message)
}

/// How long the service takes to answer, in virtual time.
fn latency(operation: &str) -> Duration {
    let (service, _) = operation.split_once(':').unwrap_or((operation, ""));
    let millis = match (service, fault::reads(operation)) {
        ("kubernetes", true) => 10,
        ("kubernetes", false) => 40,
        ("helm", true) => 150,
        ("helm", false) => 600,
        (_, true) => 90,
        (_, false) => 350,
    };
    Duration::from_millis(millis)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "each test has a folder of its own")]
mod tests {
    use super::*;
    use crate::world::sandbox::{Fault, Halfway, Options};
    use std::sync::Arc;

    fn world(folder: &std::path::Path) -> Arc<Sandbox> {
        let options = Options {
            speed: f64::INFINITY,
            start: Some(Timestamp::UNIX_EPOCH),
            crash: CrashBy::Halt,
            ..Options::default()
        };
        Sandbox::open(folder, options).unwrap()
    }

    async fn write(sandbox: &Sandbox, value: u64) -> Outcome<u64> {
        sandbox
            .call("cloudformation:UpdateStack", "s", |tx| {
                let halfway = tx.take_halfway().is_some();
                tx.put("t", "k", &value);
                if value == 13 {
                    return Err(Failure::new(Class::Invalid, "x", "s", "thirteen"));
                }
                Ok(if halfway { value + 1000 } else { value })
            })
            .await
    }

    async fn read(sandbox: &Sandbox) -> Option<u64> {
        sandbox.call("cloudformation:DescribeStacks", "s", |tx| Ok(tx.get("t", "k"))).await.unwrap()
    }

    #[tokio::test]
    async fn a_call_that_fails_leaves_nothing_but_its_count() {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = world(folder.path());
        write(&sandbox, 1).await.unwrap();
        write(&sandbox, 13).await.unwrap_err();
        assert_eq!(read(&sandbox).await, Some(1));
        assert_eq!(sandbox.show(None).unwrap().calls["cloudformation:UpdateStack"], 2);
    }

    #[tokio::test]
    async fn denials_throttles_and_timeouts_have_or_have_not_the_effect_they_say() {
        for (kind, class, effect) in [
            (FaultKind::Deny, Class::Denied, None),
            (FaultKind::Throttle, Class::Throttled, None),
            (FaultKind::TimeoutBefore, Class::TimedOut, None),
            (FaultKind::TimeoutAfter, Class::TimedOut, Some(5)),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let sandbox = world(folder.path());
            sandbox.add_fault(&Fault::new("cloudformation:Update*", kind)).unwrap();
            assert_eq!(write(&sandbox, 5).await.unwrap_err().class, class);
            assert_eq!(read(&sandbox).await, effect);
            assert_eq!(write(&sandbox, 6).await, Ok(6));
        }
    }

    #[tokio::test]
    async fn a_stale_read_shows_the_world_before_the_newest_write() {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = world(folder.path());
        write(&sandbox, 1).await.unwrap();
        write(&sandbox, 2).await.unwrap();
        sandbox.add_fault(&Fault::new("*", FaultKind::StaleRead)).unwrap();
        assert_eq!((read(&sandbox).await, read(&sandbox).await), (Some(1), Some(2)));
    }

    #[tokio::test]
    async fn a_halfway_fault_reaches_the_call_that_lasts_and_only_it() {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = world(folder.path());
        sandbox.add_fault(&Fault::new("*", FaultKind::FailHalfway(Halfway::default()))).unwrap();
        assert_eq!(read(&sandbox).await, None);
        assert_eq!((write(&sandbox, 1).await, write(&sandbox, 2).await), (Ok(1001), Ok(2)));
    }

    #[tokio::test]
    async fn a_hanging_call_never_answers_and_does_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = world(folder.path());
        sandbox.add_fault(&Fault::new("*", FaultKind::Hang)).unwrap();
        let answered = tokio::select! {
            _ = write(&sandbox, 1) => true,
            () = sandbox.clock.sleep(Duration::from_secs(86_400)) => false,
        };
        assert!(!answered);
        assert_eq!(read(&sandbox).await, None);
    }

    #[tokio::test]
    async fn a_crash_strikes_exactly_before_or_after_the_effect_and_not_again() {
        for (after, effect) in [(false, None), (true, Some(1))] {
            let folder = tempfile::tempdir().unwrap();
            let sandbox = world(folder.path());
            sandbox.add_fault(&Fault::new("*:UpdateStack", FaultKind::Crash { after })).unwrap();
            tokio::select! {
                _ = write(&sandbox, 1) => unreachable!("the call does not answer"),
                () = sandbox.crashed() => {}
            }
            drop(sandbox);
            let sandbox = world(folder.path());
            assert_eq!(read(&sandbox).await, effect);
            assert_eq!(write(&sandbox, 2).await, Ok(2));
        }
    }

    fn draw(tx: &mut Tx<'_>) -> u64 {
        tx.random()
    }

    #[tokio::test]
    async fn no_process_begins_before_the_last_one_ended() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Sandbox::open(folder.path(), Options { speed: 1000.0, ..Options::default() }).unwrap();
        let sandbox = open();
        write(&sandbox, 1).await.unwrap();
        // Nothing happens any more, and time goes on.
        sandbox.clock.sleep(Duration::from_secs(10)).await;
        let seen = sandbox.clock.now();
        drop(sandbox);
        assert!(open().clock.now() >= seen);
    }

    #[tokio::test]
    async fn time_and_chance_go_on_where_they_stood_when_the_world_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = world(folder.path());
        sandbox.clock.sleep(Duration::from_secs(100)).await;
        write(&sandbox, 1).await.unwrap();
        let first = sandbox.transact(draw).unwrap();
        drop(sandbox);
        let sandbox = world(folder.path());
        assert!(sandbox.clock.now().as_second() >= 100);
        assert_ne!(sandbox.transact(draw).unwrap(), first);
        assert!(sandbox.advance(Duration::from_secs(3600)).unwrap().as_second() >= 3700);
    }
}
