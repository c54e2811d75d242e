//! DescribeStacks for all who ask at once: those who ask in the same moment share one listing of the account and region
//! where that costs fewer calls, since DescribeStacks is throttled for the account as a whole.

use super::{convert, failure::failed, session::Session};
use crate::world::{Class, Outcome, Stack};
use std::{
    collections::BTreeMap,
    mem,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::oneshot;

/// How long those who ask are waited for.
const GATHER: Duration = Duration::from_millis(12);
/// Fewer than this are asked for one by one: an account may hold many more stacks than a plan.
const FEW: usize = 3;
/// How many single calls run at once.
const AT_ONCE: usize = 8;

type Answer = oneshot::Sender<Outcome<Option<Stack>>>;

/// The desk at which stacks are asked for.
pub(super) struct Describer {
    session: Arc<Session>,
    waiting: Mutex<Vec<(String, Answer)>>,
    /// How many pages the newest listing had.
    pages: AtomicUsize,
}

impl Describer {
    pub(super) fn new(session: Arc<Session>) -> Arc<Self> {
        Arc::new(Self { session, waiting: Mutex::new(Vec::new()), pages: AtomicUsize::new(1) })
    }

    /// The stack of this name or ARN; `None` where there is none.
    pub(super) async fn stack(self: &Arc<Self>, name: &str) -> Outcome<Option<Stack>> {
        let (answer, answered) = oneshot::channel();
        let first = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.push((name.to_owned(), answer));
            waiting.len() == 1
        };
        if first {
            let desk = self.clone();
            // Its own task, so that nobody waits in vain where the first who asked goes away.
            tokio::spawn(async move { desk.serve().await });
        }
        match answered.await {
            Ok(answer) => answer,
            Err(_) => one(&self.session, name).await,
        }
    }

    async fn serve(&self) {
        #[expect(clippy::disallowed_methods, reason = "calls are gathered in real time")]
        tokio::time::sleep(GATHER).await;
        let asked = mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        if asked.len() < FEW.max(2 * self.pages.load(Ordering::Relaxed)) {
            return self.one_by_one(asked).await;
        }
        match all(&self.session).await {
            Ok((stacks, pages)) => {
                self.pages.store(pages, Ordering::Relaxed);
                self.hand_out(asked, &stacks).await;
            }
            // Who may describe single stacks but not list them is no worse off.
            Err(failure) if failure.class == Class::Denied => self.one_by_one(asked).await,
            Err(failure) => asked.into_iter().for_each(|(_, answer)| drop(answer.send(Err(failure.clone())))),
        }
    }

    /// A listing holds no deleted stacks: those that are asked for by ARN are asked for one by one.
    async fn hand_out(&self, asked: Vec<(String, Answer)>, stacks: &[Stack]) {
        let by_name: BTreeMap<&str, &Stack> =
            stacks.iter().flat_map(|s| [(s.name.as_str(), s), (s.id.as_str(), s)]).collect();
        let mut rest = Vec::new();
        for (name, answer) in asked {
            match by_name.get(name.as_str()) {
                Some(stack) => drop(answer.send(Ok(Some((*stack).clone())))),
                None if name.starts_with("arn:") => rest.push((name, answer)),
                None => drop(answer.send(Ok(None))),
            }
        }
        self.one_by_one(rest).await;
    }

    async fn one_by_one(&self, asked: Vec<(String, Answer)>) {
        use futures::StreamExt as _;
        let calls = asked.into_iter().map(|(name, answer)| async move {
            drop(answer.send(one(&self.session, &name).await));
        });
        futures::stream::iter(calls).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    }
}

/// One stack by name or ARN.
async fn one(session: &Session, name: &str) -> Outcome<Option<Stack>> {
    let client = &session.clients().await?.cloudformation;
    let answer = client.describe_stacks().stack_name(name).send().await;
    match answer.map_err(failed("cloudformation:DescribeStacks", name)) {
        Ok(answer) => Ok(answer.stacks().first().map(convert::stack)),
        Err(failure) if failure.class == Class::NotFound => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// All stacks that are not deleted, and how many pages they took.
async fn all(session: &Session) -> Outcome<(Vec<Stack>, usize)> {
    let client = &session.clients().await?.cloudformation;
    let mut pages = client.describe_stacks().into_paginator().send();
    let (mut stacks, mut count) = (Vec::new(), 0);
    while let Some(page) = pages.next().await {
        let page = page.map_err(failed("cloudformation:DescribeStacks", ""))?;
        stacks.extend(page.stacks().iter().map(convert::stack));
        count += 1;
    }
    Ok((stacks, count.max(1)))
}
