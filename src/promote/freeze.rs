//! Freezing: what was read of a plan to a release, in a form that is the same on every machine.
//!
//! Environment blocks and environments' values are not in a release (rule 26): they are cut out here, and put back from the
//! project's folder where a release is planned.

use crate::{
    base::{Diagnostics, Digest},
    lang::{is_plan_file, parse::parse_file},
    state::{Bundle, LockedChart, Release},
};
use std::{collections::BTreeMap, ops::Range, sync::Arc};

/// The name of the file, in a plan's folder, that a release's environment blocks are read from. No file on disk has it.
pub const ENVIRONMENTS: &str = "environments of the project.hcl";

/// What a release is made of.
#[derive(Debug, Clone, Default)]
pub struct Ingredients {
    /// Files by their path in the project.
    pub files: BTreeMap<String, Arc<[u8]>>,
    /// Charts with their archives.
    pub charts: Vec<(LockedChart, Option<Vec<u8>>)>,
    /// Tags of images with their digests, where they are to be part of it.
    pub images: Option<BTreeMap<String, Digest>>,
    /// The folders of the packs of rules, among the files.
    pub packs: Vec<String>,
}

/// Freezes a plan.
///
/// # Errors
/// A plan file that cannot be read as text with blocks.
pub fn freeze(plan: &Arc<str>, folder: &Arc<str>, made_of: Ingredients) -> Result<Bundle, Diagnostics> {
    let mut files: BTreeMap<String, Digest> = BTreeMap::new();
    let mut contents: BTreeMap<Digest, Arc<[u8]>> = BTreeMap::new();
    let mut add = |path: String, content: Arc<[u8]>| {
        let digest = Digest::of(&content);
        contents.insert(digest.clone(), content);
        files.insert(path, digest);
    };
    let prefix = if &**folder == "." { String::new() } else { format!("{folder}/") };
    let values = format!("{prefix}environments/");
    for (path, content) in made_of.files {
        let in_folder = path.strip_prefix(&prefix).filter(|name| !name.contains('/'));
        if in_folder == Some(ENVIRONMENTS) || (path.starts_with(&values) && is_values(&path)) {
            continue;
        }
        if in_folder.is_some_and(is_plan_file) {
            let text = String::from_utf8_lossy(&content);
            // A file with nothing but environments in it is none of the release's.
            if let Some(text) = without_environments(&text, &path.as_str().into())? {
                add(path, text.into_bytes().into());
            }
        } else {
            add(path, content);
        }
    }
    let mut charts = Vec::new();
    for (mut chart, archive) in made_of.charts {
        if let Some(archive) = archive {
            let path = format!("charts of the release/{}.tgz", Digest::of(&archive).short());
            chart.archive = Some(path.clone());
            add(path, archive.into());
        }
        charts.push(chart);
    }
    charts.sort();
    charts.dedup();
    let (images, packs) = (made_of.images, made_of.packs);
    let format = Release::format_of(images.as_ref(), &packs);
    let release = Release { format, plan: plan.clone(), folder: folder.clone(), files, charts, images, packs };
    Ok(Bundle { release, contents })
}

fn is_values(path: &str) -> bool {
    [".toml", ".hcl", ".json"].iter().any(|extension| path.ends_with(extension))
}

/// Where the `environment` blocks of a text are, each with the line end behind it.
fn environments(text: &str, file: &Arc<str>) -> Result<(Vec<Range<usize>>, bool), Diagnostics> {
    let (body, problems) = parse_file(text, file);
    if problems.has_errors() {
        return Err(problems);
    }
    let found = body.blocks.iter().filter(|b| &*b.kind == "environment").map(|block| {
        let end =
            text[block.body.span.range().end..].find('}').map_or(text.len(), |at| block.body.span.range().end + at + 1);
        let line = text[end..].find('\n').map_or(text.len(), |at| end + at + 1);
        // A comment behind the block goes with it; anything else cannot stand there.
        block.header.range().start..line
    });
    let found: Vec<Range<usize>> = found.collect();
    let others = !body.attributes.is_empty() || body.blocks.len() > found.len();
    Ok((found, others))
}

/// A plan file without its `environment` blocks; `None` where nothing else is in it.
///
/// # Errors
/// A text with errors.
pub fn without_environments(text: &str, file: &Arc<str>) -> Result<Option<String>, Diagnostics> {
    let (found, others) = environments(text, file)?;
    if !others {
        return Ok(None);
    }
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for block in found {
        out.push_str(&text[at..block.start]);
        at = block.end;
    }
    out.push_str(&text[at..]);
    Ok(Some(out))
}

/// The `environment` blocks of a plan file, as they are written.
///
/// # Errors
/// A text with errors.
pub fn environment_blocks(text: &str, file: &Arc<str>) -> Result<String, Diagnostics> {
    let (found, _) = environments(text, file)?;
    Ok(found.into_iter().map(|block| text[block].trim_end().to_owned() + "\n\n").collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIXED: &str = "plan \"p\" {}\n\nenvironment \"dev\" { # first\n  soak = \"}\"\n  sandbox {}\n} # behind\n\nvariable \"x\" {}\n";

    #[test]
    fn environments_are_cut_out_and_nothing_else() {
        let cut = without_environments(MIXED, &"plan.hcl".into()).unwrap().unwrap();
        assert_eq!(cut, "plan \"p\" {}\n\n\nvariable \"x\" {}\n");
        let only = "# Where it runs.\nenvironment \"dev\" {\n  sandbox {}\n}\n";
        assert_eq!(without_environments(only, &"e.hcl".into()).unwrap(), None);
        assert!(without_environments("environment \"dev\" {", &"e.hcl".into()).is_err());
    }

    #[test]
    fn what_is_cut_out_can_be_put_back() {
        let blocks = environment_blocks(MIXED, &"plan.hcl".into()).unwrap();
        assert_eq!(blocks, "environment \"dev\" { # first\n  soak = \"}\"\n  sandbox {}\n} # behind\n\n");
    }

    fn frozen(files: &[(&str, &str)]) -> Digest {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().into())).collect();
        let made_of = Ingredients { files, ..Ingredients::default() };
        freeze(&"p".into(), &"plans/p".into(), made_of).unwrap().release.digest().unwrap()
    }

    #[test]
    fn digests_of_images_are_part_of_the_name_and_a_list_without_them_is_what_it_was() {
        let with = |images: Option<&str>| {
            let files = [("plans/p/plan.hcl".to_owned(), b"plan \"p\" {}\n".as_slice().into())].into();
            let images = images.map(|content| [("a:1".to_owned(), Digest::of(content.as_bytes()))].into());
            freeze(&"p".into(), &"plans/p".into(), Ingredients { files, images, ..Ingredients::default() })
                .unwrap()
                .release
        };
        assert_ne!(with(Some("a")).digest().unwrap(), with(Some("b")).digest().unwrap());
        assert!(with(Some("a")).images.is_some() && with(None).images.is_none());
        let list = String::from_utf8(with(None).canonical().unwrap()).unwrap();
        assert!(list.contains("\"format\":1") && !list.contains("images"), "{list}");
    }

    #[test]
    fn the_name_is_that_of_the_content_and_not_of_environments() {
        let of = |soak: &str, value: &str, template: &str| {
            let env = format!("environment \"dev\" {{\n  soak = \"{soak}\"\n  sandbox {{}}\n}}\n");
            frozen(&[
                ("plans/p/plan.hcl", &format!("plan \"p\" {{}}\n{env}")),
                ("plans/p/environments.hcl", &env),
                ("plans/p/environments/dev.toml", value),
                ("cfn-templates/a.yaml", template),
            ])
        };
        assert_eq!(of("1h", "x = 1", "a"), of("2h", "x = 2", "a"));
        assert_ne!(of("1h", "x = 1", "a"), of("1h", "x = 1", "b"));
    }
}
