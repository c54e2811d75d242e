//! Loads a plan: its files, the modules that it calls, all checks that need no evaluation.
//!
//! The one way in for everybody who needs a [`Configuration`]. It reads through [`Sources`] only, and reports every
//! problem that it finds.

use crate::{
    base::{Diagnostic, Diagnostics, SourceMap, Span},
    lang::{
        ast::Body,
        configuration::{Configuration, Module},
        decode::{Decoder, Root},
        parse::parse_file,
        phases, resolve,
        schema::Schema,
        sources::{Sources, normalize},
        version,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// How deep modules may call modules.
const MAX_MODULE_DEPTH: usize = 24;

/// Names that are declared but could not be decoded, by folder.
pub(crate) type Unsure = BTreeMap<Arc<str>, BTreeSet<(Arc<str>, Arc<str>)>>;

/// Loads the plan in a folder, for this version of terrace. As [`load_for`].
pub fn load(sources: &dyn Sources, plan_folder: &str, schema: &'static Schema) -> (Option<Configuration>, Diagnostics) {
    load_for(sources, plan_folder, schema, env!("CARGO_PKG_VERSION"))
}

/// Loads the plan in a folder (relative to the project), for a version of terrace.
///
/// The configuration is there as soon as the folder holds a plan, so that an editor can work with a broken one; whoever
/// acts on it looks at [`Diagnostics::has_errors`] first.
pub fn load_for(
    sources: &dyn Sources,
    plan_folder: &str,
    schema: &'static Schema,
    terrace: &str,
) -> (Option<Configuration>, Diagnostics) {
    let mut loader = Loader {
        sources,
        schema,
        texts: SourceMap::default(),
        modules: BTreeMap::new(),
        open: Vec::new(),
        unsure: BTreeMap::new(),
    };
    let mut diagnostics = Diagnostics::new();
    let folder: Arc<str> = match normalize(".", plan_folder) {
        Ok(folder) => folder.into(),
        Err(error) => return (None, Diagnostic::error("unreadable", error.to_string()).into()),
    };
    let Some((module, root)) = loader.folder(&folder, true, None, &mut diagnostics) else {
        diagnostics.normalize();
        return (None, diagnostics);
    };
    let Some(plan) = root.plan else {
        if diagnostics.has_errors() {
            // What is wrong with the files may well be why no plan was found in them.
            diagnostics.normalize();
            return (None, diagnostics);
        }
        let start =
            Span::new(loader.texts.iter().next().map_or_else(|| folder.clone(), |(file, _)| file.clone()), 0..0);
        diagnostics.push(
            Diagnostic::error("no_plan", format!("`{folder}` holds no plan"))
                .at(&start, "")
                .because("a plan is a folder in which one block `plan \"NAME\" {}` names it")
                .hint("write plan \"NAME\" {}, or name the folder of a plan"),
        );
        diagnostics.normalize();
        return (None, diagnostics);
    };
    let configuration = Configuration {
        label: plan.label,
        description: plan.description,
        requires_terrace: plan.requires_terrace,
        folder,
        environments: root.environments,
        phases: phases::ordered(root.phases, &mut diagnostics),
        kubernetes: root.kubernetes,
        aws: root.aws,
        fixtures: root.fixtures,
        root: Arc::new(module),
        sources: loader.texts,
    };
    check_version(&configuration, terrace, &mut diagnostics);
    check_environments(&configuration, &mut diagnostics);
    phases::check(&configuration, &mut diagnostics);
    resolve::check(&configuration, schema, &loader.unsure, &mut diagnostics);
    diagnostics.normalize();
    (Some(configuration), diagnostics)
}

fn check_version(configuration: &Configuration, terrace: &str, diagnostics: &mut Diagnostics) {
    let Some((constraint, span)) = &configuration.requires_terrace else { return };
    match version::meets(terrace, constraint) {
        Ok(true) => {}
        Ok(false) => diagnostics.push(
            Diagnostic::error(
                "wrong_version",
                format!("the plan requires terrace {constraint}, and this is {terrace}"),
            )
            .at(span, "")
            .hint("run it with a terrace of such a version"),
        ),
        Err(error) => diagnostics.push(
            Diagnostic::error("wrong_value", error.to_string())
                .at(span, "")
                .hint("write it like \">= 0.1\" or \"~> 1.2\""),
        ),
    }
}

/// Checks that environments come after such as exist, and not after themselves.
fn check_environments(configuration: &Configuration, diagnostics: &mut Diagnostics) {
    let all = &configuration.environments;
    if all.is_empty() {
        let span = Span::new(
            configuration.sources.iter().next().map_or_else(|| configuration.folder.clone(), |(file, _)| file.clone()),
            0..0,
        );
        diagnostics.push(
            Diagnostic::warning("no_environment", "the plan has no environment, so it can be applied nowhere")
                .at(&span, "")
                .hint("write environment \"dev\" { sandbox {} }, each block on its own lines"),
        );
    }
    for environment in all.values() {
        for name in environment.after.iter().filter(|name| !all.contains_key(*name)) {
            let mut diagnostic = Diagnostic::error("unknown_reference", format!("there is no environment `{name}`"))
                .at(&environment.span, "named in its `after`");
            diagnostic.hint = crate::lang::suggest::hint(name, all.keys().map(|n| &**n));
            diagnostics.push(diagnostic);
        }
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut waiting: Vec<&Arc<str>> = environment.after.iter().collect();
        while let Some(name) = waiting.pop() {
            if *name == environment.name {
                diagnostics.push(
                    Diagnostic::error("environment_cycle", format!("the environment `{name}` comes after itself"))
                        .at(&environment.span, ""),
                );
                break;
            }
            if seen.insert(name) {
                waiting.extend(all.get(name).into_iter().flat_map(|e| &e.after));
            }
        }
    }
}

struct Loader<'s> {
    sources: &'s dyn Sources,
    schema: &'static Schema,
    texts: SourceMap,
    /// What was loaded, by folder; `None` where it could not be.
    modules: BTreeMap<Arc<str>, Option<Arc<Module>>>,
    /// The folders that are being loaded, outermost first.
    open: Vec<Arc<str>>,
    unsure: Unsure,
}

impl Loader<'_> {
    /// Reads, parses and decodes one folder.
    fn folder(
        &mut self,
        folder: &Arc<str>,
        is_root: bool,
        from: Option<&Span>,
        diagnostics: &mut Diagnostics,
    ) -> Option<(Module, Root)> {
        let names = match self.sources.list(folder) {
            Ok(names) => names,
            Err(error) => {
                diagnostics.push(placed(Diagnostic::error("unreadable", error.to_string()), from));
                return None;
            }
        };
        let mut bodies: Vec<Body> = Vec::new();
        let mut files = 0;
        for name in names.iter().filter(|name| is_plan_file(name)) {
            files += 1;
            let path: Arc<str> =
                if &**folder == "." { name.as_str().into() } else { format!("{folder}/{name}").into() };
            bodies.extend(self.file(&path, from, diagnostics));
        }
        if files == 0 {
            let diagnostic = Diagnostic::error("unreadable", format!("`{folder}` holds no .hcl file"));
            diagnostics.push(placed(diagnostic, from));
            return None;
        }
        self.open.push(folder.clone());
        let schema = self.schema;
        let own = folder.clone();
        let mut load =
            |source: &str, span: &Span, diagnostics: &mut Diagnostics| self.module(&own, source, span, diagnostics);
        let mut decoder = Decoder::new(schema, folder, is_root, diagnostics, &mut load);
        for body in &bodies {
            decoder.file(body);
        }
        let Decoder { module, root, unsure, .. } = decoder;
        self.unsure.insert(folder.clone(), unsure);
        self.open.pop();
        Some((module, root))
    }

    fn file(&mut self, path: &Arc<str>, from: Option<&Span>, diagnostics: &mut Diagnostics) -> Option<Body> {
        let bytes = match self.sources.read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                diagnostics.push(placed(Diagnostic::error("unreadable", error.to_string()), from));
                return None;
            }
        };
        let text = match std::str::from_utf8(&bytes) {
            Ok(text) => text,
            Err(error) => {
                // No excerpt: what is no text would only spoil the screen.
                let at = error.valid_up_to();
                diagnostics.push(
                    Diagnostic::error("not_utf8", format!("{path} is not UTF-8 from byte {at} on"))
                        .hint("save it as UTF-8"),
                );
                return None;
            }
        };
        self.texts.insert(path.clone(), text.into());
        let (body, found) = parse_file(text, path);
        diagnostics.extend(found);
        Some(body)
    }

    /// Loads the module that a call names, once.
    fn module(
        &mut self,
        caller: &str,
        source: &str,
        span: &Span,
        diagnostics: &mut Diagnostics,
    ) -> Option<Arc<Module>> {
        let folder: Arc<str> = match normalize(caller, source) {
            Ok(folder) => folder.into(),
            Err(error) => {
                diagnostics.push(Diagnostic::error("unreadable", error.to_string()).at(span, ""));
                return None;
            }
        };
        if let Some(start) = self.open.iter().position(|open| *open == folder) {
            let chain: Vec<&str> = self.open[start..].iter().chain([&folder]).map(|f| &**f).collect();
            diagnostics.push(
                Diagnostic::error("module_cycle", format!("the module calls itself: {}", chain.join(" calls ")))
                    .at(span, ""),
            );
            return None;
        }
        if self.open.len() >= MAX_MODULE_DEPTH {
            diagnostics.push(
                Diagnostic::error("module_depth", format!("modules call modules more than {MAX_MODULE_DEPTH} deep"))
                    .at(span, ""),
            );
            return None;
        }
        if let Some(loaded) = self.modules.get(&folder) {
            return loaded.clone();
        }
        let loaded = self.folder(&folder, false, Some(span), diagnostics).map(|(module, _)| Arc::new(module));
        self.modules.insert(folder, loaded.clone());
        loaded
    }
}

/// Whether a name in a plan's or module's folder is a file of the plan: `*.hcl`, without tests and hidden ones.
#[expect(clippy::case_sensitive_file_extension_comparisons, reason = "what is read must not depend on the machine")]
#[must_use]
pub fn is_plan_file(name: &str) -> bool {
    name.ends_with(".hcl") && !name.ends_with(".test.hcl") && !name.starts_with('.')
}

fn placed(diagnostic: Diagnostic, span: Option<&Span>) -> Diagnostic {
    match span {
        Some(span) => diagnostic.at(span, ""),
        None => diagnostic,
    }
}
