//! The container images that a plan runs in an environment, and what their tags name.
//!
//! Charts are rendered without a cluster, so that whoever makes a release needs none. Whatever could not be known is listed as that.

use crate::{
    base::{Address, Diagnostic, Digest, Image, few},
    kinds::{Missing, Runs, images_of_objects},
    plan::{self, Ingredients},
    state::{ImageStanding, ListedImage},
    world::{Charts, Class, Failure, Outcome, Registry},
};
use futures::{StreamExt as _, stream};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// How many tags are asked for at once.
const ASKED_AT_ONCE: usize = 8;
/// How many a sentence lists.
const SHOWN: usize = 5;

/// The images of a plan in one environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Those that are known, with what declares them.
    pub known: BTreeMap<Image, BTreeSet<Address>>,
    /// What declares some that are not known, and why they are not.
    pub unknown: BTreeSet<(Address, String)>,
    /// Those of the unknown that the plan itself decides: what they run nobody can verify. Not what a cluster fills in, nor what a
    /// chart may run beside what it does with the values that are known.
    pub unseen: BTreeSet<(Address, String)>,
    /// Charts that could not be rendered at all. Each is among the unknown, too.
    pub failed: Vec<(Address, Failure)>,
    /// What is no reference to an image, and stands as one.
    pub wrong: Vec<Diagnostic>,
}

/// The images of a plan. Nothing but `charts` is asked.
pub async fn found(charts: &dyn Charts, made_of: Ingredients) -> Found {
    let mut found = Found::default();
    for (address, runs) in made_of.images {
        found.add(&address, runs);
    }
    let mut done = std::pin::pin!(plan::rendered(charts, made_of.renderings));
    while let Some((address, rendering, rendered)) = done.next().await {
        match rendered {
            Ok(rendered) => {
                let objects = rendered.objects.iter().chain(&rendered.hooks);
                for runs in images_of_objects(objects, &rendering.hidden) {
                    found.add(&address, runs);
                }
                if !rendering.unknown.is_empty() {
                    let why = format!(
                        "it may run others, by values that are not known yet: {}",
                        few(&rendering.unknown, SHOWN)
                    );
                    found.unknown.insert((address, why));
                }
            }
            Err(mut failure) => {
                failure.message = rendering.hidden.out_of(&failure.message);
                let why = match rendering.unknown.as_slice() {
                    [] => format!("its chart cannot be rendered here: {}", failure.message),
                    unknown => {
                        format!(
                            "its chart cannot be rendered without values that are not known yet: {}",
                            few(unknown, SHOWN)
                        )
                    }
                };
                if rendering.unknown.is_empty() {
                    found.failed.push((address.clone(), failure));
                }
                found.unseen.insert((address.clone(), why.clone()));
                found.unknown.insert((address, why));
            }
        }
    }
    found
}

impl Found {
    fn add(&mut self, address: &Address, runs: Runs) {
        let by = if runs.by.is_empty() { String::new() } else { format!("{}: ", runs.by) };
        match runs.image.map(|text| (Image::parse(&text), text)) {
            Ok((Ok(image), _)) => {
                self.known.entry(image).or_default().insert(address.clone());
            }
            Ok((Err(why), text)) => {
                let what = format!("{address}: `{text}` is no image");
                self.wrong.push(
                    Diagnostic::error("image_reference", what)
                        .because(format!("{by}{why}"))
                        .hint("an image is written REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@sha256:DIGEST"),
                );
            }
            Err(Missing::Later(why)) => {
                let why = format!("{by}{why}");
                self.unseen.insert((address.clone(), why.clone()));
                self.unknown.insert((address.clone(), why));
            }
            Err(Missing::Cluster(why)) => {
                self.unknown.insert((address.clone(), format!("{by}{why}")));
            }
        }
    }

    /// Those whose tag decides what runs.
    pub fn floating(&self) -> impl Iterator<Item = &Image> {
        self.known.keys().filter(|image| image.floats_by().is_some())
    }
}

/// The list of what several environments run, each once, in the order of the references; what is not known last.
#[must_use]
pub fn listed(found: &[(Arc<str>, Found)], digest: impl Fn(&str, &Image) -> Option<Digest>) -> Vec<ListedImage> {
    type Row = (BTreeSet<Address>, BTreeSet<Arc<str>>);
    let mut known: BTreeMap<(String, ImageStanding, Option<Digest>), Row> = BTreeMap::new();
    let mut unknown: BTreeMap<&str, Row> = BTreeMap::new();
    for (environment, found) in found {
        for (image, of) in &found.known {
            let of_it = image.digest.clone().or_else(|| digest(environment, image));
            let standing = match (&image.digest, &of_it) {
                (Some(_), _) => ImageStanding::Pinned,
                (None, Some(_)) => ImageStanding::Resolved,
                (None, None) => ImageStanding::Floating,
            };
            let row = known.entry((image.to_string(), standing, of_it)).or_default();
            row.0.extend(of.iter().cloned());
            row.1.insert(environment.clone());
        }
        for (address, why) in &found.unknown {
            let row = unknown.entry(why).or_default();
            row.0.insert(address.clone());
            row.1.insert(environment.clone());
        }
    }
    let texts = |row: Row| {
        let of = row.0.iter().map(ToString::to_string).collect::<Vec<_>>();
        (of, row.1.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let known = known.into_iter().map(|((image, standing, digest), row)| {
        let (of, environments) = texts(row);
        ListedImage { image: Some(image), standing, digest, of, environments, why: None }
    });
    let unknown = unknown.into_iter().map(|(why, row)| {
        let (of, environments) = texts(row);
        let why = Some(why.to_owned());
        ListedImage { image: None, standing: ImageStanding::Unknown, digest: None, of, environments, why }
    });
    known.chain(unknown).collect()
}

/// What the tags of images name now, each asked for once, several at once. An image without a tag is not asked for.
pub async fn digests<'i>(
    open: impl Fn(&Image) -> Outcome<Arc<dyn Registry>>,
    images: impl IntoIterator<Item = &'i Image>,
) -> Vec<(&'i Image, Outcome<Digest>)> {
    let jobs = images.into_iter().filter_map(|image| Some((image, image.floats_by()?))).map(|(image, tag)| {
        let registry = open(image);
        async move {
            let read = async {
                let registry = registry?;
                registry.digest(tag).await?.ok_or_else(|| {
                    let what = format!("{} has no tag `{tag}`", registry.place());
                    Failure::new(Class::NotFound, "read image", "", what)
                })
            };
            (image, read.await)
        }
    });
    let mut all: Vec<_> = stream::iter(jobs.collect::<Vec<_>>()).buffer_unordered(ASKED_AT_ONCE).collect().await;
    all.sort_by(|a, b| a.0.cmp(b.0));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{base::Hidden, kinds::Rendering, world::ReleaseRequest, world::World as _};

    fn address(name: &str) -> Address {
        Address::root("manifest", name)
    }

    fn runs(image: &str) -> Runs {
        Runs { image: Ok(image.to_owned()), by: "Pod x".to_owned() }
    }

    fn sandbox() -> (tempfile::TempDir, Arc<crate::world::sandbox::Sandbox>) {
        let folder = tempfile::tempdir().unwrap();
        let options = crate::world::sandbox::Options { speed: f64::INFINITY, ..Default::default() };
        let sandbox = crate::world::sandbox::Sandbox::open(folder.path(), options).unwrap();
        (folder, sandbox)
    }

    #[tokio::test]
    async fn each_image_is_listed_once_with_all_that_runs_it() {
        let (_folder, sandbox) = sandbox();
        let of = |images: Vec<(Address, Runs)>| Ingredients { images, ..Ingredients::default() };
        let dev = of(vec![
            (address("a"), runs("nginx:1")),
            (address("b"), runs("docker.io/library/nginx:1")),
            (address("b"), Runs::unknown("", "because")),
        ]);
        let prd = of(vec![(address("a"), runs("nginx:1")), (address("a"), runs("nginx:2"))]);
        let all = vec![
            (Arc::from("dev"), found(&*sandbox.charts(), dev).await),
            (Arc::from("prd"), found(&*sandbox.charts(), prd).await),
        ];
        let listed = listed(&all, |_, image| (image.tag.as_deref() == Some("2")).then(|| Digest::of(b"2")));
        let said: Vec<_> =
            listed.iter().map(|l| (l.image.as_deref(), l.standing, l.of.len(), l.environments.len())).collect();
        assert_eq!(
            said,
            [
                (Some("docker.io/library/nginx:1"), ImageStanding::Floating, 2, 2),
                (Some("docker.io/library/nginx:2"), ImageStanding::Resolved, 1, 1),
                (None, ImageStanding::Unknown, 1, 1),
            ]
        );
    }

    #[tokio::test]
    async fn what_stands_as_an_image_and_is_none_is_named_with_its_place() {
        let (_folder, sandbox) = sandbox();
        let made_of = Ingredients { images: vec![(address("a"), runs("Nginx:1"))], ..Ingredients::default() };
        let found = found(&*sandbox.charts(), made_of).await;
        assert!(found.known.is_empty());
        assert_eq!(found.wrong[0].summary, "manifest.a: `Nginx:1` is no image");
    }

    #[tokio::test]
    async fn a_chart_is_rendered_for_its_images_and_one_that_cannot_be_is_listed_as_unknown() {
        let (_folder, sandbox) = sandbox();
        let chart = |version: Option<&str>, unknown: &[&str]| Rendering {
            request: ReleaseRequest {
                name: "x".into(),
                namespace: "x".into(),
                chart: crate::world::ChartRef {
                    chart: "headlamp".into(),
                    repository: Some("https://kubernetes-sigs.github.io/headlamp".into()),
                    version: version.map(str::to_owned),
                },
                ..ReleaseRequest::default()
            },
            unknown: unknown.iter().map(|u| (*u).to_owned()).collect(),
            hidden: Hidden::default(),
        };
        let helm = |name: &str| Address::root("helm", name);
        let made_of = Ingredients {
            renderings: vec![
                (helm("good"), chart(Some("0.26.0"), &["image.tag"])),
                (helm("bad"), chart(Some("99.9.9"), &[])),
            ],
            ..Ingredients::default()
        };
        let found = found(&*sandbox.charts(), made_of).await;
        assert!(found.known.keys().any(|image| image.repository.contains("headlamp")), "{found:?}");
        let unknown: Vec<_> = found.unknown.iter().map(|(a, why)| (a.to_string(), why.as_str())).collect();
        assert_eq!(unknown.len(), 2, "{unknown:?}");
        assert!(unknown[0].1.contains("cannot be rendered") && unknown[1].1.contains("image.tag"), "{unknown:?}");
        assert_eq!(found.failed.len(), 1);
    }

    #[tokio::test]
    async fn a_tag_is_read_and_one_that_is_not_there_is_told() {
        let (_folder, sandbox) = sandbox();
        let [one, two] = ["nginx:1", "nginx:2"].map(|text| Image::parse(text).unwrap());
        let pinned = Image::parse(&format!("nginx@{}", Digest::of(b""))).unwrap();
        let target = format!("image/{two}");
        sandbox.drift(&crate::world::sandbox::Drift { target, delete: true, ..Default::default() }).unwrap();
        let all = digests(|image| sandbox.registry(&image.address()), [&two, &one, &pinned]).await;
        assert_eq!(all.len(), 2, "what is pinned is not asked for");
        assert!(all[0].0 == &one && all[0].1.is_ok());
        assert_eq!(all[1].1.as_ref().unwrap_err().class, Class::NotFound);
    }
}
