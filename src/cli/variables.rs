//! The root's variables, gathered from wherever a command line may give them (rule 10), and the evaluator that they make.
#![expect(clippy::disallowed_methods, reason = "--var-file names any file of the machine")]

use crate::{
    base::{Diagnostics, SourceMap, Value},
    cli::{
        context::Context,
        error::{Error, Result},
        loaded::{Chosen, Loaded},
        surroundings::Surroundings,
    },
    kinds,
    lang::{
        EnvValues, Evaluator, Given,
        values::{self, Origin},
    },
};
use std::{collections::BTreeMap, sync::Arc};

/// Values by the variable's name, as they were given, those of sensitive variables marked.
pub(crate) type Variables = BTreeMap<Arc<str>, Value>;

/// What is given, layer by layer, with whatever is wrong in it.
struct Layers {
    found: Vec<values::Values>,
    problems: Diagnostics,
    texts: SourceMap,
}

impl Layers {
    fn add(&mut self, (found, wrong): (values::Values, Diagnostics)) {
        self.found.push(found);
        self.problems.extend(wrong);
    }

    /// `--var-file` and `--var`.
    fn add_flags(&mut self, context: &Context, loaded: &Loaded) -> Result<()> {
        let declared = &loaded.configuration.root.variables;
        for file in &context.global.var_file {
            let shown = file.display().to_string();
            let bytes = std::fs::read(context.surroundings.folder.join(file))
                .map_err(|e| Error::usage("file_unreadable", format!("--var-file {shown}: {e}")))?;
            let layer = values::of_file(&bytes, &shown, Origin::File, declared, &mut self.texts);
            self.add(layer);
        }
        self.add(values::of_arguments(context.global.var.iter().map(String::as_str), declared));
        Ok(())
    }

    fn merge(self) -> Result<Variables> {
        if self.problems.has_errors() {
            return Err(Error::from(self.problems).with_sources(self.texts));
        }
        Ok(values::merge(self.found).into_iter().map(|(name, given)| (name, given.value)).collect())
    }
}

/// The values for an environment: `TERRACE_VAR_name`, `environments/NAME.toml`, `--var-file`, `--var`; later ones win.
/// What is missing is found by the evaluator, which knows the defaults.
///
/// # Errors
/// Everything that is wrong with them.
pub(crate) fn gather(context: &Context, loaded: &Loaded, env: &str) -> Result<Variables> {
    let declared = &loaded.configuration.root.variables;
    let mut layers =
        Layers { found: Vec::new(), problems: Diagnostics::new(), texts: loaded.configuration.sources.clone() };
    layers.add(values::of_process(&context.surroundings.variables, declared));
    let layer = values::of_environment(&*loaded.sources, &loaded.configuration, env, &mut layers.texts);
    layers.add(layer);
    layers.add_flags(context, loaded)?;
    layers.merge()
}

/// The values for a plan that was made before: its own, and the sensitive ones, of which it holds only seals, given again
/// (rule 9). Whether they are the same is the plan's freshness, which is checked later.
///
/// # Errors
/// A sensitive one that is not given, or values that are wrong.
pub(crate) fn again(context: &Context, loaded: &Loaded, plan: &Variables) -> Result<Variables> {
    let declared = &loaded.configuration.root.variables;
    let mut layers =
        Layers { found: Vec::new(), problems: Diagnostics::new(), texts: loaded.configuration.sources.clone() };
    let (process, wrong) = values::of_process(&context.surroundings.variables, declared);
    let sealed = |name: &Arc<str>| plan.get(name).is_some_and(Value::has_sealed);
    layers.add((process.into_iter().filter(|(name, _)| sealed(name)).collect(), wrong));
    layers.add_flags(context, loaded)?;
    let given = layers.merge()?;
    let missing: Vec<&str> = plan.keys().filter(|n| sealed(n) && !given.contains_key(*n)).map(|n| &**n).collect();
    if let [first, ..] = missing.as_slice() {
        let message = format!("the plan was made with sensitive values for {}; give them again", missing.join(", "));
        return Err(Error::usage("sensitive_variable_needed", message)
            .because("a plan file holds no secret, only what recognises it")
            .hint(format!("set TERRACE_VAR_{first}, or use --var-file")));
    }
    let mut out = plan.clone();
    out.extend(given);
    Ok(out)
}

/// What an evaluation is made with.
pub(crate) fn given(chosen: &Chosen, variables: Variables, plan_time: jiff::Timestamp) -> Given {
    Given {
        env: EnvValues {
            name: chosen.environment.name.clone(),
            region: chosen.connection.region.as_str().into(),
            account_id: chosen.connection.account_id.as_str().into(),
        },
        variables,
        plan_time,
    }
}

/// An evaluator for an environment, at the machine's own time.
///
/// # Errors
/// Whatever is wrong with the variables.
pub(crate) fn evaluator(context: &Context, loaded: &Loaded, chosen: &Chosen) -> Result<(Evaluator, Diagnostics)> {
    let variables = gather(context, loaded, &chosen.environment.name)?;
    let given = given(chosen, variables, Surroundings::now());
    let (evaluator, problems) =
        Evaluator::new(loaded.configuration.clone(), given, loaded.sources.clone(), kinds::schema());
    if problems.has_errors() {
        return Err(Error::from(problems).with_sources(loaded.texts()));
    }
    Ok((evaluator, problems))
}
