//! A plan in an environment with its world open: what plan, apply, resume, drift and doctor all begin with.

use crate::{
    base::{Diagnostics, SourceMap, Value},
    cli::{
        context::Context,
        error::{Error, Result, defect},
        exit::Exit,
        loaded::{Chosen, Loaded},
        notify, place, policies,
        surroundings::Surroundings,
        variables::{self, Variables},
        views::View,
    },
    graph,
    kinds::{self, PlanOutputs, Programs},
    lang::Sources,
    plan::{self, Attachment, Ingredients, Made, Plan, Request, Saved, Subject},
    state,
    world::{ActingAs, Class, ClusterConnection, Failure, Ledger, World, live::OsRandom},
};
use std::{collections::BTreeMap, sync::Arc};

/// A plan in an environment, with its world open.
pub(crate) struct Stage {
    /// The plan.
    pub(crate) loaded: Loaded,
    /// What plans are made from.
    pub(crate) subject: Subject,
    /// The state's storage.
    pub(crate) ledger: Arc<dyn Ledger>,
}

/// Opens the world, looks who calls, and reads the state.
///
/// # Errors
/// As [`set_unasked`]; on AWS a caller who cannot be known, or who is not of the declared account.
pub(crate) async fn set(context: &Context, loaded: Loaded, chosen: Chosen, variables: Variables) -> Result<Stage> {
    let environment = chosen.environment.clone();
    let live = !chosen.sandbox;
    let stage = set_unasked(context, loaded, chosen, variables).await?;
    if live {
        let aws = stage.subject.world.aws(&stage.subject.aws)?;
        aws.identity.caller().await.map_err(|f| stage.loaded.unknown_caller(&environment, &f))?;
    }
    Ok(stage)
}

/// Opens the world and reads the state, and asks the world nothing.
///
/// # Errors
/// A plan whose graph is wrong, a world that cannot be opened, a state that cannot be read.
pub(crate) async fn set_unasked(
    context: &Context,
    loaded: Loaded,
    chosen: Chosen,
    variables: Variables,
) -> Result<Stage> {
    let project = &loaded.place.project;
    Surroundings::enter(&project.work)
        .map_err(|e| Error::new("file_unreadable", format!("{}: {e}", project.work.display())))?;
    let world = place::open_world(context, project, &chosen).map_err(|e| e.with_sources(loaded.texts()))?;
    let ledger = world.waited(place::ledger(context, &loaded, &chosen)?);
    let others = other_outputs(context, &loaded, &chosen).await;
    let subject = subject_in(&loaded, &chosen, variables, world, ledger.clone(), others).await?;
    let stage = Stage { loaded, subject, ledger };
    notify::check(&stage)?;
    Ok(stage)
}

/// What plans are made from, in a world and with a state of the caller's choice.
///
/// # Errors
/// A plan whose graph is wrong, a state that cannot be read.
pub(crate) async fn subject_in(
    loaded: &Loaded,
    chosen: &Chosen,
    variables: Variables,
    world: Arc<dyn World>,
    ledger: Arc<dyn Ledger>,
    plan_outputs: PlanOutputs,
) -> Result<Subject> {
    let (graph, problems) = graph::build(&loaded.configuration, kinds::schema());
    if problems.has_errors() {
        return Err(Error::from(problems).with_sources(loaded.texts()));
    }
    let state = place::snapshot(&ledger).await?;
    let seal = state::seal_key(&*ledger, &OsRandom, state.serial == 0).await?;
    Ok(Subject {
        graph: Arc::new(graph),
        given: variables::given(chosen, variables, world.clock().now()),
        sources: loaded.sources.clone(),
        world,
        aws: chosen.connection.clone(),
        project: loaded.place.project.name.clone(),
        protected: chosen.environment.protected,
        state,
        seal,
        ledger,
        plan_outputs,
        clusters: if chosen.sandbox {
            plan::Clusters::default()
        } else {
            other_clusters(loaded, &chosen.environment.name)
        },
        programs: Programs(loaded.place.project.settings.programs.clone()),
        release: loaded.release.clone(),
        configuration: loaded.configuration.clone(),
    })
}

/// The clusters that terrace.toml puts in the place of the plan's own in an environment.
fn other_clusters(loaded: &Loaded, environment: &str) -> plan::Clusters {
    let all = loaded.place.project.settings.kubernetes.iter();
    let here = all.filter(|((of, _), _)| of == environment).map(|((_, label), other)| {
        let (path, context) = (other.kubeconfig.clone(), other.context.clone());
        (label.clone(), ClusterConnection::Kubeconfig { path, context, acting_as: ActingAs::default() })
    });
    plan::Clusters::with(here.collect())
}

/// The outputs of the project's other plans in the same environment and world; read once, and only where the plan asks
/// for any.
pub(crate) async fn other_outputs(context: &Context, loaded: &Loaded, chosen: &Chosen) -> PlanOutputs {
    let project = &loaded.place.project;
    let failed = |subject: &str, why: String| Failure::new(Class::Local, "read state", subject, why);
    let asks = loaded.configuration.declarations().iter().any(|d| &*d.kind == "data.plan_outputs");
    let mut known: BTreeMap<String, Result<Option<Value>, Failure>> = BTreeMap::new();
    let labels = if asks { place::labels(context, project, chosen).await } else { Ok(Vec::new()) };
    let labels = match labels {
        Ok(labels) => labels,
        Err(error) => {
            let why = error.summary();
            return Arc::new(move |label: &str| Err(failed(label, why.clone())));
        }
    };
    for label in labels {
        let outputs = match place::ledger_of(context, project, &label, chosen) {
            Ok(ledger) => match state::load(&*ledger).await {
                Ok(snapshot) if snapshot.runs.is_empty() => Ok(None),
                Ok(snapshot) => Ok(Some(Value::object(snapshot.outputs))),
                Err(error) => Err(failed(&label, error.to_string())),
            },
            Err(error) => {
                let why = error.summary();
                Err(failed(&label, why))
            }
        };
        known.insert(label, outputs);
    }
    Arc::new(move |label: &str| known.get(label).cloned().unwrap_or(Ok(None)))
}

impl Stage {
    /// The texts for excerpts: everything read so far, templates included.
    pub(crate) fn texts(&self) -> SourceMap {
        self.loaded.texts()
    }

    /// An error with this plan's texts beneath it.
    pub(crate) fn explained<E: Into<Error>>(&self, error: E) -> Error {
        error.into().with_sources(self.texts())
    }

    /// Makes a plan, and tells of it. Ctrl-C ends it: nothing is changed by making a plan.
    ///
    /// # Errors
    /// Everything that keeps the plan from being made.
    pub(crate) async fn make(&self, context: &Context, request: &Request) -> Result<Made> {
        let view = View::new(&context.terminal);
        let made = tokio::select! {
            made = plan::make(&self.subject, request, &view) => made,
            _ = tokio::signal::ctrl_c() => {
                view.finish();
                return Err(Error::silent(Exit::Interrupted));
            }
        };
        view.finish();
        let mut made = made.map_err(|e| self.explained(e))?;
        self.complete(&mut made.plan);
        Ok(made)
    }

    /// What the plan is made of in its environment, as far as it is known before anything is applied.
    pub(crate) fn ingredients(&self) -> Result<Ingredients> {
        let subject = &self.subject;
        let (graph, given, marks) = (&subject.graph, subject.given.clone(), subject.marks());
        let sources: Arc<dyn Sources> = self.loaded.sources.clone();
        plan::ingredients(&subject.configuration, graph, given, &sources, &marks).map_err(|p| self.explained(p))
    }

    /// As [`Self::make`], and judged by policy. Of a plan that cannot be judged nothing is left in the world.
    pub(crate) async fn make_judged(&self, context: &Context, request: &Request) -> Result<Made> {
        let mut made = self.make(context, request).await?;
        match policies::judge(self, &made.plan, context).await {
            Ok(judgement) => {
                made.plan.judgement = judgement;
                // The packs of a release are among the files that apply reads instead of the folder.
                made.plan.sources = self.loaded.sources.recorded().into_texts();
            }
            Err(error) => {
                self.discard(&made.attachment, context).await;
                return Err(error);
            }
        }
        Ok(made)
    }

    /// What a plan cannot know by itself: the files it was made from, and the warnings of loading them.
    fn complete(&self, plan: &mut Plan) {
        plan.sources = self.loaded.sources.recorded().into_texts();
        let mut notes = Diagnostics(std::mem::take(&mut plan.notes));
        notes.extend(self.loaded.warnings.clone());
        notes.normalize();
        plan.notes = notes.0;
    }

    /// Takes away what making a plan left in the world, where nobody will apply it (rule 11).
    pub(crate) async fn discard(&self, attachment: &Attachment, context: &Context) {
        if let Err(failure) = plan::discard(&self.subject, &attachment.previews).await {
            context.terminal.status(&format!("what the plan left could not be taken away: {failure}"));
            context.terminal.status("terrace doctor finds it");
        }
    }
}

/// A plan with its digest.
///
/// # Errors
/// A defect: something that is not sealed.
pub(crate) fn save(made: Made) -> Result<Saved> {
    plan::saved(made.plan, made.attachment).map_err(|e| defect(&e))
}
