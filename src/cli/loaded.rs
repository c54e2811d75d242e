//! A plan, loaded and free of errors, and the environment that is meant.

use crate::{
    base::{Diagnostic, Diagnostics, Digest, SourceMap, Value},
    cli::{
        context::Context,
        error::{Error, Result, failure_diagnostic},
        exit::Exit,
        project::PlanPlace,
        releases,
        sources::{BundledSources, RecordingSources},
    },
    kinds,
    lang::{
        self, Configuration,
        configuration::{Environment, WorldBlock},
        suggest,
    },
    plan::{self, Saved},
    world::{AwsConnection, Failure, World as _},
};
use std::sync::Arc;

/// A plan that has no errors.
pub(crate) struct Loaded {
    /// Where it lies.
    pub(crate) place: PlanPlace,
    /// What it says.
    pub(crate) configuration: Arc<Configuration>,
    /// Its files, and what was read of them.
    pub(crate) sources: Arc<RecordingSources>,
    /// Warnings.
    pub(crate) warnings: Diagnostics,
    /// The release whose files these are; `None` for those of the working folder.
    pub(crate) release: Option<Digest>,
}

/// Where the plan is applied: an environment with its world decided.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    /// The environment.
    pub(crate) environment: Environment,
    /// The account and region.
    pub(crate) connection: AwsConnection,
    /// True for the embedded world: declared, or by `--sandbox`.
    pub(crate) sandbox: bool,
}

fn texts(sources: &RecordingSources) -> SourceMap {
    let mut texts = SourceMap::default();
    for (path, bytes) in sources.recorded().files {
        texts.insert(path.into(), String::from_utf8_lossy(&bytes).into());
    }
    texts
}

/// Loads the plan that is meant.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn load(context: &Context, plan: Option<&str>) -> Result<Loaded> {
    let place = context.plan(plan)?;
    let sources = Arc::new(RecordingSources::new(Arc::new(place.project.sources.clone())));
    checked(place, sources, None)
}

/// Loads the plan that is meant: the working folder's, or a release's.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) async fn load_meant(context: &Context, plan: Option<&str>, release: Option<&str>) -> Result<Loaded> {
    match release {
        Some(release) => releases::load(context, plan, release).await,
        None => load(context, plan),
    }
}

pub(crate) fn checked(place: PlanPlace, sources: Arc<RecordingSources>, release: Option<Digest>) -> Result<Loaded> {
    let (configuration, diagnostics) = lang::load(&*sources, &place.folder, kinds::schema());
    match configuration {
        Some(configuration) if !diagnostics.has_errors() => {
            Ok(Loaded { place, configuration: Arc::new(configuration), sources, warnings: diagnostics, release })
        }
        _ => Err(Error::from(diagnostics).with_sources(texts(&sources))),
    }
}

/// The plan that a saved plan was made from, out of what it brings along.
///
/// # Errors
/// A project that is not the plan's, or files that do not make a plan.
pub(crate) async fn from_saved(context: &Context, saved: &Saved) -> Result<Loaded> {
    let header = &saved.content.header;
    let project = context.project()?;
    if project.name != header.project {
        let message = format!("the plan is of the project {}, and this is {}", header.project, project.name);
        return Err(Error::new("plan_stale", message)
            .exit(Exit::Stale)
            .hint("run it in the project's folder, or name that with --project"));
    }
    let project = match &header.release {
        // Programs find what the release holds, and not what the folder has become since.
        Some(release) => releases::lay_out(context, project, release).await?,
        None => project,
    };
    let bundled = BundledSources::new(&saved.content.sources)?;
    let place = PlanPlace { project, folder: header.folder.to_string(), spoken: header.plan.to_string() };
    checked(place, Arc::new(RecordingSources::new(Arc::new(bundled))), header.release.clone())
}

impl Loaded {
    /// The environment that a saved plan was made for, in the world that it was made for.
    ///
    /// # Errors
    /// An environment that its files do not declare.
    pub(crate) async fn choose_as_saved(&self, context: &Context, saved: &Saved) -> Result<Chosen> {
        let header = &saved.content.header;
        let environment = self.configuration.environments.get(&header.env).ok_or_else(|| {
            Error::new("unknown_environment", format!("the plan has no environment `{}`", header.env))
        })?;
        let sandbox = context.global.sandbox || &*header.world.name == "sandbox";
        self.known(choose(environment, sandbox), context).await
    }

    /// The texts of all files that were read so far, for excerpts.
    pub(crate) fn texts(&self) -> SourceMap {
        texts(&self.sources)
    }

    /// The environment of a name.
    ///
    /// # Errors
    /// One that is not declared.
    pub(crate) fn named_environment(&self, name: &str) -> Result<&Environment> {
        let all = &self.configuration.environments;
        all.get(name).ok_or_else(|| {
            let error = Error::usage("unknown_environment", format!("the plan has no environment `{name}`"));
            let names: Vec<&str> = all.keys().map(|n| &**n).collect();
            match suggest::nearest(name, names.iter().copied()) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint(format!("environments: {}", names.join(", "))),
            }
        })
    }

    /// The environment that `--env` means; the only one where there is one.
    ///
    /// # Errors
    /// None or several, or one that is not declared.
    pub(crate) fn environment(&self, context: &Context) -> Result<&Environment> {
        let all = &self.configuration.environments;
        let names: Vec<&str> = all.keys().map(|n| &**n).collect();
        match context.global.env.as_deref() {
            Some(name) => self.named_environment(name),
            None if all.len() == 1 => all.values().next().ok_or_else(|| self.no_environment(&names)),
            None => Err(self.no_environment(&names)),
        }
    }

    /// The environment that `--env` means, with its world decided and its account known.
    ///
    /// # Errors
    /// As [`Loaded::environment`]; on AWS without a declared account, where the caller's cannot be found out.
    pub(crate) async fn choose(&self, context: &Context) -> Result<Chosen> {
        self.known(choose(self.environment(context)?, context.global.sandbox), context).await
    }

    /// Another environment of the plan, with its world decided and its account known.
    ///
    /// # Errors
    /// On AWS without a declared account, where the caller's cannot be found out.
    pub(crate) async fn whereabouts(&self, context: &Context, environment: &Environment) -> Result<Chosen> {
        self.known(choose(environment, context.global.sandbox), context).await
    }

    /// As [`Loaded::choose`], and asks nobody.
    ///
    /// # Errors
    /// As [`Loaded::environment`]; on AWS without a declared account.
    pub(crate) fn choose_unasked(&self, context: &Context) -> Result<Chosen> {
        let chosen = choose(self.environment(context)?, context.global.sandbox);
        if !chosen.sandbox && chosen.connection.account_id.is_empty() {
            let problem = Diagnostic::error("account_unknown", "the account is not declared, and nobody may be asked")
                .at(&chosen.environment.span, "declared here")
                .because("state is kept by account, so without it there is no telling which state is meant")
                .hint("write account_id in the environment's aws block, or leave --offline away");
            return Err(Error::from(problem).with_sources(self.texts()));
        }
        Ok(chosen)
    }

    /// State is kept by account (rule 2): where none is declared, it is that of whoever calls.
    async fn known(&self, mut chosen: Chosen, context: &Context) -> Result<Chosen> {
        if !chosen.sandbox && chosen.connection.account_id.is_empty() {
            let aws = context.live().aws(&chosen.connection)?;
            let caller = aws.identity.caller().await;
            chosen.connection.account_id = caller.map_err(|f| self.unknown_caller(&chosen.environment, &f))?.account;
        }
        Ok(chosen)
    }

    /// An environment on AWS where it cannot be known, or is not right, who calls.
    pub(crate) fn unknown_caller(&self, environment: &Environment, failure: &Failure) -> Error {
        let problem = failure_diagnostic(failure);
        Error::from(problem.at(&environment.span, "declared here")).with_sources(self.texts())
    }

    fn no_environment(&self, names: &[&str]) -> Error {
        if names.is_empty() {
            return Error::new(
                "no_environment",
                format!("the plan {} declares no environment", self.configuration.label),
            )
            .hint("write environment \"dev\" { sandbox {} }");
        }
        Error::usage("environment_needed", "which environment?")
            .hint(format!("name it with --env: {}", names.join(", ")))
    }
}

/// Decides an environment's world (rules 1 and 3).
pub(crate) fn choose(environment: &Environment, sandbox: bool) -> Chosen {
    match &environment.world {
        WorldBlock::Sandbox { region, account_id } => Chosen {
            environment: environment.clone(),
            connection: AwsConnection { region: region.clone(), account_id: account_id.clone(), ..Default::default() },
            sandbox: true,
        },
        WorldBlock::Aws(aws) => {
            let role = aws.rest.get("assume_role").map(|role| plan::connect::assume_role(&Value::from_json(role)));
            let of_role = role.as_ref().and_then(|r| plan::connect::account_of_role(&r.role_arn));
            let any = if sandbox { "000000000000" } else { "" };
            let region = aws.region.clone();
            let account_id = aws.account_id.clone().or(of_role).unwrap_or_else(|| any.to_owned());
            let connection = if sandbox {
                let template_bucket = aws.template_bucket.clone();
                AwsConnection { region, account_id, template_bucket, ..AwsConnection::default() }
            } else {
                AwsConnection {
                    region,
                    account_id,
                    endpoint_url: aws.endpoint_url.clone(),
                    profile: aws.profile.clone(),
                    assume_role: role,
                    ci_role_arn: aws.rest.get("ci_role_arn").and_then(|arn| arn.as_str()).map(str::to_owned),
                    template_bucket: aws.template_bucket.clone(),
                }
            };
            Chosen { environment: environment.clone(), connection, sandbox }
        }
    }
}
