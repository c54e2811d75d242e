//! Templates of nested stacks that lie beside their parent's, and templates too long to be sent: both are read by
//! CloudFormation from a bucket, under the digest of their content, as `aws cloudformation package` does it.
//!
//! In what is planned, compared and approved, a nested template stands as `terrace-template:DIGEST`: no bucket is part of
//! it, so moving to another bucket changes nothing. Only what is sent names the bucket.

use crate::{
    base::{Diagnostic, Diagnostics, Digest, Label, Value},
    cfn::{Capability, ExprKind, Template},
    kinds::{Context, Desired},
    lang::{Sources, normalize},
    world::{Class, Failure, Outcome, StackRequest},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What a request may carry as a template, by the API reference of CreateChangeSet.
pub(super) const BODY_LIMIT: usize = 51_200;
/// What a template in a bucket may hold. Source for this and for what is counted: "CloudFormation quotas" of the user guide.
const LIMIT: usize = 1024 * 1024;
/// Nested templates are read this deep.
const DEEPEST: usize = 8;
/// What the documents of nested templates are called: this and their file.
const DOCUMENT: &str = "template:";
/// How a nested template stands in its parent.
const PLACEHOLDER: &str = "terrace-template:";
/// Where templates lie in the bucket.
const FOLDER: &str = "terrace-templates/";
/// The length of a digest in hexadecimal.
const DIGITS: usize = 64;

/// What reading the nested templates of one came to.
#[derive(Debug, Default)]
pub(super) struct Packaged {
    /// The template with placeholders where it named files.
    pub(super) text: String,
    /// What the nested ones need acknowledged.
    pub(super) capabilities: BTreeSet<Capability>,
}

/// Reads the files that a template's nested stacks name, recursively. Each becomes a document.
pub(super) fn package(
    template: &Template,
    text: &str,
    sources: &dyn Sources,
    documents: &mut BTreeMap<String, Arc<str>>,
    problems: &mut Diagnostics,
) -> Packaged {
    read(template, text, sources, documents, problems, 0)
}

fn read(
    template: &Template,
    text: &str,
    sources: &dyn Sources,
    documents: &mut BTreeMap<String, Arc<str>>,
    problems: &mut Diagnostics,
    depth: usize,
) -> Packaged {
    let mut out = Packaged { text: text.to_owned(), capabilities: BTreeSet::new() };
    if text.len() > LIMIT {
        problems.push(
            Diagnostic::error("template_size", format!("{} has {} bytes", template.file, text.len()))
                .because("CloudFormation takes templates of at most 1 MB")
                .hint("take some of it out into nested stacks"),
        );
    }
    for (count, most, what) in [
        (template.parameters.len(), 200, "parameters"),
        (template.mappings.len(), 200, "mappings"),
        (template.resources.len(), 500, "resources"),
        (template.outputs.len(), 200, "outputs"),
    ] {
        if count > most {
            problems.push(
                Diagnostic::error("template_size", format!("{} has {count} {what}", template.file))
                    .because(format!("CloudFormation takes at most {most}"))
                    .hint("take some of it out into nested stacks, or into a stack of its own"),
            );
        }
    }
    let mut replacements = Vec::new();
    for resource in template.resources.values().filter(|r| r.resource_type == "AWS::CloudFormation::Stack") {
        let Some(url) = resource.properties.as_ref().and_then(|p| p.get("TemplateURL")) else { continue };
        let ExprKind::String(written) = &url.kind else { continue };
        if written.contains("://") || written.starts_with(PLACEHOLDER) {
            continue;
        }
        let mut refuse = |why: String, hint: &str| {
            let mut problem = Diagnostic::error("nested_template", format!("`{written}` cannot be read")).because(why);
            problem.labels.push(Label { span: url.span.clone(), text: String::new() });
            problems.push(problem.hint(hint.to_owned()));
        };
        let hint = "a path is relative to the template that names it; what lies in a bucket is named by its https URL";
        if depth + 1 >= DEEPEST {
            refuse(format!("nested stacks are followed {DEEPEST} deep"), "does it name itself?");
            continue;
        }
        let folder = template.file.rsplit_once('/').map_or("", |(folder, _)| folder);
        let found = normalize(folder, written)
            .and_then(|path| sources.read(&path).map(|bytes| (path, bytes)))
            .map_err(|e| e.to_string())
            .and_then(|(path, bytes)| match std::str::from_utf8(&bytes) {
                Ok(text) => Ok((path, text.to_owned())),
                Err(_) => Err(format!("{path} is no UTF-8 text")),
            });
        let (path, inner) = match found {
            Ok(found) => found,
            Err(why) => {
                refuse(why, hint);
                continue;
            }
        };
        let (nested, found) = Template::parse(&path, &inner);
        problems.extend(found);
        let packaged = read(&nested, &inner, sources, documents, problems, depth + 1);
        out.capabilities.extend(nested.capabilities());
        out.capabilities.extend(packaged.capabilities);
        let digest = hex(&packaged.text);
        documents.insert(format!("{DOCUMENT}{path}"), packaged.text.into());
        replacements.push((url.span.start as usize, url.span.end as usize, written, format!("{PLACEHOLDER}{digest}")));
    }
    replacements.sort_by_key(|(start, ..)| std::cmp::Reverse(*start));
    for (start, end, written, placeholder) in replacements {
        // The span may take in quotes, which stay.
        if let Some(at) = text.get(start..end).and_then(|part| part.find(written.as_str())) {
            out.text.replace_range(start + at..start + at + written.len(), &placeholder);
        }
    }
    out
}

fn hex(text: &str) -> String {
    Digest::of(text.as_bytes()).as_str().trim_start_matches("sha256:").to_owned()
}

/// A live template as it was planned: the URLs of templates in a bucket of ours become placeholders again.
pub(super) fn normal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(FOLDER) {
        let (before, after) = (&rest[..at], &rest[at + FOLDER.len()..]);
        let digest = after.get(..DIGITS).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let url = before.rfind("http").filter(|url| !before[*url..].contains(['"', '\'', ' ', '\n']));
        if let (Some(digest), Some(url)) = (digest, url) {
            out.push_str(&before[..url]);
            out.push_str(PLACEHOLDER);
            out.push_str(digest);
            rest = &after[DIGITS..];
        } else {
            out.push_str(&rest[..at + FOLDER.len()]);
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

/// The digests of the nested templates that a text names.
fn named(text: &str) -> Vec<&str> {
    text.match_indices(PLACEHOLDER)
        .filter_map(|(at, _)| text.get(at + PLACEHOLDER.len()..at + PLACEHOLDER.len() + DIGITS))
        .collect()
}

/// Puts into the bucket what CloudFormation is to read from it, and has the request name it there. Makes no call where the
/// template can be sent as it is.
///
/// # Errors
/// No bucket is declared, or it cannot be written to.
pub(super) async fn send(
    context: &Context,
    documents: &BTreeMap<String, Arc<str>>,
    request: &mut StackRequest,
) -> Outcome<()> {
    let nested: BTreeMap<String, &Arc<str>> =
        documents.iter().filter(|(name, _)| name.starts_with(DOCUMENT)).map(|(_, text)| (hex(text), text)).collect();
    let mut urls = BTreeMap::new();
    // Inner ones first: a template is put only once all that it names has its URL.
    while urls.len() < nested.len() {
        let next = nested.iter().find(|(digest, text)| {
            !urls.contains_key(digest.as_str()) && named(text).iter().all(|inner| urls.contains_key(*inner))
        });
        let Some((digest, text)) = next else { break };
        let url = put(context, &request.name, digest, &with_urls(text, &urls)).await?;
        urls.insert(digest.as_str(), url);
    }
    request.template = with_urls(&request.template, &urls);
    if request.template.len() > BODY_LIMIT {
        let digest = hex(&request.template);
        request.template_url = Some(put(context, &request.name, &digest, &request.template).await?);
    }
    Ok(())
}

fn with_urls(text: &str, urls: &BTreeMap<&str, String>) -> String {
    urls.iter().fold(text.to_owned(), |text, (digest, url)| text.replace(&format!("{PLACEHOLDER}{digest}"), url))
}

async fn put(context: &Context, stack: &str, digest: &str, text: &str) -> Outcome<String> {
    let bucket = context.aws.as_ref().and_then(|(connection, _)| connection.template_bucket.clone());
    let Some(bucket) = bucket else {
        let why = if text.len() > BODY_LIMIT {
            format!("the template has {} bytes, and at most {BODY_LIMIT} can be sent", text.len())
        } else {
            "its nested templates are files, and CloudFormation reads such only from a bucket".to_owned()
        };
        return Err(Failure::new(Class::Invalid, "cloudformation:CreateChangeSet", stack, why).hint(
            "write template_bucket = \"NAME\" into the aws block: a bucket in the stack's region, for templates",
        ));
    };
    let objects = &context.aws()?.objects;
    let key = format!("{FOLDER}{digest}");
    context.patiently(|| objects.put_absent(&bucket, &key, text.as_bytes())).await
}

/// The nested template that a resource of one stands for: its file and its text.
fn inside<'d>(desired: &'d Desired, template: &Template, logical_id: &str) -> Option<(&'d str, &'d str)> {
    let url = template.resources.get(logical_id)?.properties.as_ref()?.get("TemplateURL")?;
    let ExprKind::String(written) = &url.kind else { return None };
    let digest = written.strip_prefix(PLACEHOLDER)?;
    desired.documents.iter().find_map(|(name, text)| {
        let file = name.strip_prefix(DOCUMENT)?;
        (hex(text) == digest).then_some((file, &**text))
    })
}

/// The line that declares a resource, by the logical ids of the nested stacks around it and its own: as near as we have a
/// template for.
pub(super) fn line(desired: &Desired, path: &[&str]) -> Option<String> {
    let mut file = desired.inputs.get("template").and_then(Value::as_str).unwrap_or("template").to_owned();
    let mut text: &str = desired.documents.get(super::desired::TEMPLATE)?;
    let mut found = None;
    for (depth, logical_id) in path.iter().enumerate() {
        let template = Template::parse(&file, text).0;
        let Some(span) = template.span_of(logical_id, None) else { break };
        let line = text.get(..span.start as usize)?.matches('\n').count() + 1;
        found = Some(format!("{file}:{line}"));
        if depth + 1 < path.len() {
            let Some((inner_file, inner)) = inside(desired, &template, logical_id) else { break };
            inner_file.clone_into(&mut file);
            text = inner;
        }
    }
    found
}

/// All templates of a stack: file and text, its own first.
pub(super) fn all(desired: &Desired) -> impl Iterator<Item = (&str, &str)> {
    let own = desired.inputs.get("template").and_then(Value::as_str).unwrap_or("template");
    let nested = desired.documents.iter().filter_map(|(name, text)| Some((name.strip_prefix(DOCUMENT)?, &**text)));
    let first = desired.documents.get(super::desired::TEMPLATE).map(|text| (own, &**text));
    first.into_iter().chain(nested)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::MemorySources;

    fn sources(files: &[(&str, &str)]) -> MemorySources {
        let mut sources = MemorySources::default();
        for (path, text) in files {
            sources.0.insert((*path).to_owned(), text.as_bytes().into());
        }
        sources
    }

    const PARENT: &str = "\
Resources:
  Child:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: './parts/child.yaml' # beside this one
";
    const CHILD: &str = "Resources: { Topic: { Type: 'AWS::SNS::Topic' }, Role: { Type: 'AWS::IAM::Role', Properties: { AssumeRolePolicyDocument: {} } } }";

    #[test]
    fn a_nested_template_is_a_document_and_its_parent_names_it_by_digest() {
        let sources = sources(&[("cfn/parts/child.yaml", CHILD)]);
        let (parent, problems) = Template::parse("cfn/parent.yaml", PARENT);
        assert!(!problems.has_errors(), "{problems:?}");
        let (mut documents, mut problems) = (BTreeMap::new(), Diagnostics::new());
        let packaged = package(&parent, PARENT, &sources, &mut documents, &mut problems);
        assert!(!problems.has_errors(), "{problems:?}");
        assert_eq!(documents.keys().collect::<Vec<_>>(), ["template:cfn/parts/child.yaml"]);
        let wanted = format!("'{PLACEHOLDER}{}' # beside", hex(CHILD));
        assert!(packaged.text.contains(&wanted), "{}", packaged.text);
        assert!(packaged.capabilities.contains(&Capability::Iam), "what is nested is acknowledged with its parent");

        let digest = hex(CHILD);
        let urls = [(digest.as_str(), format!("http://127.0.0.1:1/b/{FOLDER}{digest}"))].into();
        let sent = with_urls(&packaged.text, &urls);
        assert!(sent.contains("http://127.0.0.1:1/b/"), "{sent}");
        assert_eq!(normal(&sent), packaged.text, "what is live is compared with what was planned");
        assert_eq!(
            normal("a terrace-templates/b http://x/terrace-templates/y"),
            "a terrace-templates/b http://x/terrace-templates/y"
        );
    }

    #[test]
    fn a_nested_template_that_is_missing_broken_or_nested_in_itself_is_an_error_of_the_plan() {
        for (files, word) in [
            (&[][..], "child.yaml"),
            (&[("cfn/parts/child.yaml", "Resources: [")][..], ""),
            (
                &[(
                    "cfn/parts/child.yaml",
                    "Resources: { A: { Type: 'AWS::CloudFormation::Stack', Properties: { TemplateURL: child.yaml } } }",
                )][..],
                "deep",
            ),
        ] {
            let (parent, _) = Template::parse("cfn/parent.yaml", PARENT);
            let (mut documents, mut problems) = (BTreeMap::new(), Diagnostics::new());
            package(&parent, PARENT, &sources(files), &mut documents, &mut problems);
            assert!(problems.has_errors(), "{word}");
            let text: String = problems.iter().map(ToString::to_string).collect();
            assert!(text.contains(word), "{text}");
        }
    }
}
