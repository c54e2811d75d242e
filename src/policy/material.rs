//! What the rules of an environment look at: templates, and objects of manifests and rendered charts, each with where it comes from.

use crate::{
    base::{Address, Path, SourceMap, Span},
    cfn::Template,
    kinds::{Matter, pods_of},
    plan::{self, Ingredients, Place},
    world::{Charts, Failure},
};
use futures::StreamExt as _;
use serde_json::{Value as Json, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

/// What rules look at.
#[derive(Debug, Clone, Default)]
pub struct Material {
    /// Templates.
    pub templates: Vec<TemplateMatter>,
    /// Objects.
    pub objects: Vec<ObjectMatter>,
    /// What could not be looked at, and why: a chart that cannot be rendered.
    pub unseen: Vec<(Address, Failure)>,
    /// Where each thing is declared.
    pub places: BTreeMap<Address, Span>,
}

/// A template of a stack.
#[derive(Debug, Clone)]
pub struct TemplateMatter {
    /// The stack.
    pub address: Address,
    /// Its file.
    pub file: Arc<str>,
    /// Its text.
    pub text: Arc<str>,
    /// Its resources, resolved.
    pub document: Json,
    /// The template, read when a place in it is first asked for.
    parsed: OnceLock<Template>,
}

/// An object of a manifest or chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMatter {
    /// What declares it.
    pub address: Address,
    /// The object.
    pub object: Json,
}

/// What the rules of an environment look at. Charts are rendered for no cluster; nothing but `charts` is asked.
pub async fn material(charts: &dyn Charts, made_of: Ingredients) -> Material {
    let mut found = Material { places: made_of.places, ..Material::default() };
    for (address, matter) in made_of.matters {
        found.add(&address, matter);
    }
    let mut done = std::pin::pin!(plan::rendered(charts, made_of.renderings));
    while let Some((address, rendering, rendered)) = done.next().await {
        match rendered {
            Ok(rendered) => found.add(&address, plan::rendered_matter(&rendering, rendered)),
            Err(mut failure) => {
                failure.message = rendering.hidden.out_of(&failure.message);
                found.unseen.push((address, failure));
            }
        }
    }
    found
}

impl Material {
    fn add(&mut self, address: &Address, matter: Matter) {
        match matter {
            Matter::Template { file, text, document } => {
                self.templates.push(TemplateMatter {
                    address: address.clone(),
                    file,
                    text,
                    document,
                    parsed: OnceLock::new(),
                });
            }
            Matter::Objects(objects) => {
                for object in objects {
                    // A list of objects is as many objects.
                    let is_list = object["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
                    match object["items"].as_array().filter(|_| is_list) {
                        Some(items) => self.add(address, Matter::Objects(items.clone())),
                        None => self.objects.push(ObjectMatter { address: address.clone(), object }),
                    }
                }
            }
        }
    }
}

impl TemplateMatter {
    /// A template made by hand, for tests of whatever looks at one.
    #[cfg(test)]
    pub(super) fn of(address: &str, document: Json) -> Self {
        let (address, file, text) = (address.parse().unwrap(), "t.yaml".into(), "".into());
        Self { address, file, text, document, parsed: OnceLock::new() }
    }

    /// The logical id that a path of Guard's leads into, and where that part is written.
    pub(super) fn place(&self, path: &str) -> (String, Option<Place>) {
        let mut steps = path.split('/').skip(1);
        let (Some("Resources"), Some(id)) = (steps.next(), steps.next()) else { return (String::new(), None) };
        let within = match steps.next() {
            Some("Properties") => steps.fold(Path::default(), |path, step| match step.parse() {
                Ok(index) => path.index(index),
                Err(_) => path.key(step),
            }),
            _ => Path::default(),
        };
        let template = self.parsed.get_or_init(|| Template::parse(&self.file, &self.text).0);
        let mut texts = SourceMap::default();
        texts.insert(self.file.clone(), self.text.clone());
        let span = template.span_of(id, Some(&within).filter(|path| !path.0.is_empty()));
        let place = span.and_then(|span| place_of(&span, &texts));
        (id.to_owned(), place)
    }
}

/// A span as people read it.
pub(super) fn place_of(span: &Span, texts: &SourceMap) -> Option<Place> {
    let (line, column) = texts.position(span)?;
    Some(Place { file: span.file.clone(), line, column })
}

/// An object as rules look at it. What has pods has them under `terrace` as well, at one place whatever its kind: `pod`, their
/// spec, and `containers`, all containers of it.
pub(super) fn as_judged(object: &Json) -> Json {
    let mut judged = object.clone();
    if let (Some((pod, containers)), Some(fields)) = (pods_of(object), judged.as_object_mut()) {
        fields.insert("terrace".to_owned(), json!({ "pod": pod, "containers": containers }));
    }
    judged
}
