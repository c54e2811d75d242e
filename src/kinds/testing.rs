//! What the tests of kinds share: values of every mark, and a way to seal.

use crate::{
    base::{ActionWord, Address, Data, Diagnostics, Digest, Value},
    kinds::{
        Change, Context, Desired, Difference, Kind, Marks, Observed, Prepare, Preview, Prior, Recovered, Seen, Step,
    },
    lang::MemorySources,
    world::{
        ActingAs, AwsConnection, ClusterConnection, Outcome, World as _,
        sandbox::{Drift, Fault, FaultKind, Halfway, Options, Sandbox},
    },
};
use proptest::prelude::*;
use serde_json::Value as Json;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Seals by digest; good enough where no key matters.
pub(in crate::kinds) fn seal(json: &Json) -> Arc<str> {
    crate::base::Digest::of_value(json).as_str().into()
}

/// Any value, with sensitive leaves, and with unknown ones where asked.
pub(in crate::kinds) fn any_value(unknown: bool) -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::NULL),
        any::<bool>().prop_map(Value::from),
        (-9i64..9).prop_map(Value::from),
        "[a-c]{0,3}".prop_map(Value::from),
        "[a-c]{1,3}".prop_map(|s| Value::from(s).sensitive()),
        Just(if unknown { Value::UNKNOWN } else { Value::from(true) }),
        Just(if unknown { Value::UNKNOWN.sensitive() } else { Value::from(1) }),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::tuple),
            (prop::collection::btree_map("[a-c]", inner, 0..4), any::<bool>()).prop_map(|(map, mark)| {
                let map = map.into_iter().map(|(k, v)| (Arc::from(k), v)).collect();
                Value::from(Data::Mapping(crate::base::MappingKind::Object, Arc::new(map))).with_mark(mark)
            }),
        ]
    })
    .boxed()
}

/// The marks of a plan `platform` in `dev`.
pub(in crate::kinds) fn marks() -> Marks {
    Marks {
        project: "shop".into(),
        plan: "platform".into(),
        env: "dev".into(),
        world: "sandbox".into(),
        account: "000000000000".into(),
        region: "us-east-1".into(),
    }
}

/// A project, a sandbox and what state would remember: enough of an executor to put a kind through its life.
pub(in crate::kinds) struct Bench {
    /// The world.
    pub sandbox: Arc<Sandbox>,
    /// Files of the project.
    pub sources: MemorySources,
    /// What was applied last, by address.
    pub state: Mutex<BTreeMap<Address, Prior>>,
    tokens: AtomicU64,
    home: tempfile::TempDir,
}

/// What planning one thing came to.
pub(in crate::kinds) struct Planned {
    /// What is wanted.
    pub desired: Desired,
    /// What is live.
    pub observed: Option<Observed>,
    /// What a look ahead told.
    pub preview: Option<Preview>,
    /// The difference.
    pub change: Change,
}

/// The cluster of the bench.
pub(in crate::kinds) const CLUSTER: &str = "demo";

impl Bench {
    #[expect(clippy::disallowed_methods, reason = "each test has a folder of its own")]
    pub(in crate::kinds) fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let start = Some("2026-08-01T00:00:00Z".parse().unwrap());
        let options = Options { speed: f64::INFINITY, start, ..Options::default() };
        Self {
            sandbox: Sandbox::open(folder.path(), options).unwrap(),
            sources: MemorySources::default(),
            state: Mutex::default(),
            tokens: AtomicU64::default(),
            home: folder,
        }
    }

    /// With a cluster that has nodes.
    pub(in crate::kinds) async fn with_cluster() -> Self {
        let mut bench = Self::open();
        bench.file("cluster.yaml", include_str!("../../examples/quickstart/templates/cluster.yaml"));
        let stack = Address::root("stack", "cluster");
        let inputs = serde_json::json!({"template": "cluster.yaml", "parameters": {"ClusterName": CLUSTER, "SubnetIds": "subnet-1,subnet-2"}});
        bench.apply(&stack, &Value::from_json(&inputs)).await.unwrap();
        bench
    }

    /// A folder of the machine's own for what programs make.
    pub(in crate::kinds) fn folder(&self) -> String {
        self.home.path().display().to_string()
    }

    pub(in crate::kinds) fn file(&mut self, path: &str, text: &str) {
        self.sources.0.insert(path.to_owned(), text.as_bytes().into());
    }

    pub(in crate::kinds) fn fault(&self, operation: &str, kind: FaultKind) {
        self.sandbox.add_fault(&Fault::new(operation, kind)).unwrap();
    }

    /// The next call of `operation` starts something that fails part-way.
    pub(in crate::kinds) fn fail(&self, operation: &str, part: Option<&str>) {
        let how = Halfway { part: part.map(str::to_owned), ..Halfway::default() };
        self.fault(operation, FaultKind::FailHalfway(how));
    }

    pub(in crate::kinds) fn drift(&self, target: &str, path: &str, value: &str) {
        let set = vec![(path.to_owned(), value.to_owned())];
        self.sandbox.drift(&Drift { target: target.to_owned(), set, ..Drift::default() }).unwrap();
    }

    pub(in crate::kinds) fn context(&self, address: &Address) -> Context {
        let connection = AwsConnection {
            region: "us-east-1".into(),
            account_id: "000000000000".into(),
            template_bucket: Some("templates".to_owned()),
            ..AwsConnection::default()
        };
        let aws = self.sandbox.aws(&connection).unwrap();
        let eks = ClusterConnection::Eks {
            name: CLUSTER.into(),
            aws: Box::new(connection.clone()),
            role_arn: None,
            acting_as: ActingAs::default(),
        };
        let cluster = self.sandbox.cluster(&eks).unwrap();
        let clock = self.sandbox.clock();
        Context {
            address: address.clone(),
            aws: Some((connection, aws)),
            cluster: Some((eks, cluster)),
            command: self.sandbox.command(),
            terraform: self.sandbox.terraform(),
            programs: crate::kinds::Programs::default(),
            http: self.sandbox.http(),
            deadline: clock.now() + Duration::from_secs(3600),
            clock,
            entropy: self.sandbox.entropy(),
            sources: Arc::new(self.sources.clone()),
            marks: marks(),
            progress: Arc::new(|_| {}),
            outlook: crate::kinds::Outlook::default(),
            former: crate::kinds::Former::new(
                self.prior(address).map_or(crate::base::Value::NULL, |prior| prior.inputs),
                Arc::new(seal),
            ),
            planning: false,
            plan_outputs: Arc::new(|plan| Ok((plan == "other").then(|| Value::object([("a", Value::from("b"))])))),
            seen: Seen::default(),
            written: crate::base::Value::NULL,
        }
    }

    fn kind(address: &Address) -> &'static dyn Kind {
        crate::kinds::kind(address.kind()).unwrap()
    }

    pub(in crate::kinds) fn prior(&self, address: &Address) -> Option<Prior> {
        self.state.lock().unwrap().get(address).cloned()
    }

    pub(in crate::kinds) fn token(&self) -> String {
        format!("token-{}", self.tokens.fetch_add(1, Ordering::SeqCst))
    }

    pub(in crate::kinds) fn prepare(&self, address: &Address, inputs: &Value) -> Result<Desired, Diagnostics> {
        let prior = self.prior(address);
        Self::kind(address).prepare(&Prepare {
            address,
            inputs,
            place: &|_| None,
            sources: &self.sources,
            marks: &marks(),
            fixed: prior.as_ref().map(|p| &p.identity),
        })
    }

    pub(in crate::kinds) async fn plan(&self, address: &Address, inputs: &Value) -> Outcome<Planned> {
        self.plan_ignoring(address, inputs, &[]).await
    }

    pub(in crate::kinds) async fn plan_ignoring(
        &self,
        address: &Address,
        inputs: &Value,
        ignore: &[String],
    ) -> Outcome<Planned> {
        let kind = Self::kind(address);
        let desired = self.prepare(address, inputs).unwrap_or_else(|problems| panic!("{problems:?}"));
        let prior = self.prior(address);
        let context = self.context(address);
        let identity = prior.as_ref().map(|p| p.identity.clone()).or_else(|| desired.identity.clone());
        let observed = match &identity {
            Some(identity) if kind.reads(identity) => kind.read(&context, identity, Some(&desired)).await?,
            _ => prior.as_ref().map(|p| Observed::remembered(p, crate::kinds::Owner::Nobody)),
        };
        let ahead = Difference {
            desired: &desired,
            prior: prior.as_ref(),
            observed: observed.as_ref(),
            preview: None,
            ignore,
            seal: &seal,
        };
        let preview = if desired.inputs.has_unknown() || !kind.asks_ahead(&ahead) {
            None
        } else {
            kind.preview(&context, &desired, observed.as_ref(), &self.token()).await?
        };
        let change = kind.diff(&Difference {
            desired: &desired,
            prior: prior.as_ref(),
            observed: observed.as_ref(),
            preview: preview.as_ref(),
            ignore,
            seal: &seal,
        });
        serde_json::to_string(&change.fields).unwrap();
        serde_json::to_string(&change.children).unwrap();
        Ok(Planned { desired, observed, preview, change })
    }

    /// Plans and applies; an answer that is lost is looked for as after a crash.
    pub(in crate::kinds) async fn apply(&self, address: &Address, inputs: &Value) -> Outcome<Planned> {
        let planned = self.plan(address, inputs).await?;
        let actions: &[ActionWord] = match planned.change.action {
            ActionWord::NoOp => return Ok(planned),
            ActionWord::Replace => &[ActionWord::Delete, ActionWord::Create],
            ActionWord::Update => &[ActionWord::Update],
            _ => &[ActionWord::Create],
        };
        for action in actions {
            self.step(address, *action, &planned).await?;
        }
        Ok(planned)
    }

    async fn step(&self, address: &Address, action: ActionWord, planned: &Planned) -> Outcome<()> {
        let kind = Self::kind(address);
        let prior = self.prior(address);
        let token = self.token();
        let facts = planned.preview.as_ref().map(|p| p.facts.clone()).unwrap_or_default();
        let live = planned.observed.as_ref().map(|o| o.identity.clone());
        let identity = prior.as_ref().map(|p| p.identity.clone()).or(live);
        let creates = action == ActionWord::Create;
        let step = Step {
            action,
            desired: (action != ActionWord::Delete).then_some(&planned.desired),
            observed: planned.observed.as_ref().filter(|_| !creates),
            identity: identity.as_ref().filter(|_| !creates),
            token: &token,
            attachment: planned
                .preview
                .as_ref()
                .and_then(|p| p.attachment.as_ref())
                .filter(|_| action != ActionWord::Delete),
            facts: &facts,
        };
        let context = self.context(address);
        let mut applied = kind.apply(&context, &step).await;
        for _ in 0..3 {
            let Err(failure) = &applied else { break };
            if !failure.class.effect_unknown() {
                break;
            }
            applied = match kind.recover(&context, &step).await? {
                Recovered::Done(applied) => Ok(applied),
                Recovered::NotDone => kind.apply(&context, &step).await,
                Recovered::Failed(failure) => Err(failure),
                Recovered::Stuck { why, .. } => panic!("stuck: {why}"),
            };
        }
        let applied = applied?;
        let mut state = self.state.lock().unwrap();
        if action == ActionWord::Delete {
            state.remove(address);
        } else {
            assert!(!applied.exports.has_unknown() || address.kind() == "helm", "{:?}", applied.exports);
            let documents = planned.desired.documents.iter();
            let prior = Prior {
                inputs: planned.desired.inputs.sealed(&seal),
                documents: documents.map(|(k, v)| (k.clone(), Digest::of(v.as_bytes()))).collect(),
                exports: applied.exports.sealed(&seal),
                identity: applied.identity,
            };
            serde_json::to_string(&prior).unwrap();
            state.insert(address.clone(), prior);
        }
        Ok(())
    }

    /// Takes back the newest effect on an address to what `before` saw.
    pub(in crate::kinds) async fn undo(&self, address: &Address, before: &Planned) -> Outcome<String> {
        let identity = self.prior(address).unwrap().identity;
        let image = before.observed.as_ref().map(|o| &o.image);
        let said = Self::kind(address).undo(&self.context(address), &identity, image, &self.token()).await?;
        if image.is_none() {
            self.state.lock().unwrap().remove(address);
        }
        Ok(said)
    }

    pub(in crate::kinds) async fn delete(&self, address: &Address, planned: &Planned) -> Outcome<()> {
        self.step(address, ActionWord::Delete, planned).await
    }
}
