//! The work of putting back what drifted inside one thing: nothing of its declaration takes part in it, only what state
//! remembers and what is live.

use crate::{
    apply::{
        journal::{Desk, Effect},
        work::{End, connect::connection, context, tell},
    },
    base::ActionWord,
    kinds::{Kind, Observed, Owner, Step},
    plan::{Left, Planned, decide, remembered_connections},
    state::{Intent, Record, Resource, Status},
};

/// Everything that putting back the drift of one thing needs.
pub(in crate::apply) struct Revert<'r> {
    pub desk: &'r Desk<'r>,
    pub kind: &'static dyn Kind,
    pub planned: &'r Planned,
    pub remembered: Resource,
    /// Whether something measures it afterwards.
    pub verified_after: bool,
    pub attachment: Option<&'r Left>,
    /// An intent of this run whose end was not seen.
    pub open: Option<Intent>,
}

impl Revert<'_> {
    /// Does it.
    pub(in crate::apply) async fn run(self) -> End {
        match self.work().await {
            Ok(end) | Err(end) => end,
        }
    }

    async fn work(&self) -> Result<End, End> {
        let address = &self.planned.address;
        let connections = remembered_connections(self.desk.subject, &self.remembered);
        let timeout = self.kind.default_timeout(ActionWord::Update);
        let context = context(self.desk, address, &connections, timeout).await?;
        let observed = if let Some(intent) = &self.open {
            intent.image.clone().map(|image| {
                let owner = Owner::Ours(address.to_string());
                Observed { image, ..Observed::remembered(&decide::prior(&self.remembered), owner) }
            })
        } else {
            let identity = &self.remembered.identity;
            let read = context.patiently(|| self.kind.read(&context, identity, None)).await;
            let Some(live) = read.map_err(|f| End::Failed(tell(&f)))? else {
                return Err(End::Beyond("it was destroyed since the plan was made; plan again".to_owned()));
            };
            if self.planned.fingerprint.as_ref().is_some_and(|then| *then != live.fingerprint) {
                return Err(End::Beyond("it changed since the plan was made; plan again".to_owned()));
            }
            Some(live)
        };
        let identity = observed.as_ref().map_or(&self.remembered.identity, |o| &o.identity);
        let connection = connection(&connections);
        let effect = Effect {
            address,
            phase: &self.remembered.phase,
            kind: self.kind,
            context: &context,
            connection: &connection,
            former: Some(&self.remembered),
            image: observed.as_ref().map(|o| &o.image),
            step: Step {
                action: ActionWord::Update,
                desired: None,
                observed: observed.as_ref(),
                identity: Some(identity),
                token: "",
                attachment: self.attachment.map(|l| &l.attachment),
                facts: &self.planned.facts,
            },
        };
        let result = match &self.open {
            Some(intent) => self.desk.recover(&effect, &intent.id).await.map(|applied| (intent.id.clone(), applied)),
            None => self.desk.perform(&effect).await,
        };
        let (id, applied) = match result {
            Ok(done) => done,
            Err(ending) => return Err(self.desk.failed(ending, Vec::new()).await.into()),
        };
        // What was applied last is what it was: only what others may refer to can have moved.
        let resource = Resource {
            identity: applied.identity.clone(),
            exports: self.desk.subject.seal.seal_value(&applied.exports),
            status: if self.verified_after { Status::Applied } else { self.remembered.status },
            run: self.desk.run.clone(),
            at: self.desk.subject.world.clock().now(),
            ..self.remembered.clone()
        };
        self.desk.done(self.kind, &id, &applied.note, vec![Record::Resource(Box::new(resource))]).await?;
        Ok(End::Done { exports: applied.exports, action: ActionWord::Update })
    }
}
