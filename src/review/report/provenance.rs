//! Where a plan is from, what it was made of, and how it goes on.

use super::{Sheet, html::Html};
use crate::{
    base::{Digest, plural},
    plan::{Judgement, Mode, SourceText},
    review::plain::shell,
};

/// So many files and variables are listed.
const LISTED: usize = 300;

/// The section.
pub(super) fn write(sheet: &Sheet<'_>) -> Html {
    let header = &sheet.plan.header;
    let mut page = Html::default();
    page.raw("<dl class=\"facts tall\">\n");
    let mut fact = |word: &'static str, text: &str| {
        page.raw("<div><dt>").raw(word).raw("</dt><dd>").code(text).raw("</dd></div>\n");
    };
    fact("Plan", sheet.saved.digest.as_str());
    fact("Release", header.release.as_ref().map_or("none: made from a working folder", Digest::as_str));
    fact("Configuration", header.configuration.as_str());
    let state = &header.state;
    let state = if state.lineage.is_empty() {
        "nothing remembered yet".to_owned()
    } else {
        format!("{}, serial {}", state.lineage, state.serial)
    };
    fact("State", &state);
    fact("Folder", &header.folder);
    if let Some(author) = &sheet.saved.attachment.author {
        fact("Made by", author.spoken());
    }
    if let Some(made) = sheet.saved.attachment.made {
        fact("Made", &made.to_string());
    }
    fact("With", &format!("terrace {}, plan format {}", header.terrace, header.format));
    for (label, cluster) in &header.clusters {
        fact("Cluster", &format!("kubernetes.{label} is {cluster}, as terrace.toml says"));
    }
    for (word, addresses) in [("Targets", &header.targets), ("Replaced", &header.replace)] {
        if !addresses.is_empty() {
            let named: Vec<&str> = addresses.iter().map(crate::base::Address::as_str).collect();
            fact(word, &named.join(", "));
        }
    }
    page.raw("</dl>\n");
    variables(sheet, &mut page);
    sources(sheet, &mut page);
    page.raw("<h3>How it goes on</h3>\n");
    next(sheet, &mut page);
    page
}

fn variables(sheet: &Sheet<'_>, page: &mut Html) {
    let all = &sheet.plan.variables;
    if all.is_empty() {
        return;
    }
    page.raw("<details class=\"fold\"><summary>").text(&plural(all.len(), "variable")).raw("</summary>\n");
    page.raw("<table class=\"list\"><caption>Variables as they were given</caption>\n<thead><tr><th scope=\"col\">Name</th><th scope=\"col\">Value</th></tr></thead>\n<tbody>\n");
    for (name, value) in all.iter().take(LISTED) {
        page.raw("<tr><th scope=\"row\">").code(name).raw("</th><td>").code(&sheet.value(value));
        page.raw("</td></tr>\n");
    }
    page.raw("</tbody></table>\n</details>\n");
}

fn sources(sheet: &Sheet<'_>, page: &mut Html) {
    let all = &sheet.plan.sources;
    if all.is_empty() {
        return;
    }
    page.raw("<details class=\"fold\"><summary>Made of ").text(&plural(all.len(), "file")).raw("</summary>\n");
    page.raw("<table class=\"list\"><caption>Files that it was made of</caption>\n<thead><tr><th scope=\"col\">File</th><th scope=\"col\">Digest of its text</th></tr></thead>\n<tbody>\n");
    for (path, text) in all.iter().take(LISTED) {
        page.raw("<tr><th scope=\"row\">").code(path).raw("</th><td>");
        match text {
            SourceText::Text(text) => page.code(Digest::of(text.as_bytes()).short()),
            SourceText::Base64(text) => page.code(Digest::of(text.as_bytes()).short()),
            SourceText::Folder(names) => page.text(&plural(names.len(), "name")),
        };
        page.raw("</td></tr>\n");
    }
    page.raw("</tbody></table>\n");
    if all.len() > LISTED {
        page.raw("<p class=\"more\">").number(all.len() - LISTED).raw(" more.</p>\n");
    }
    page.raw("</details>\n");
}

/// The commands with which it goes on, as far as there are any: the same as in the comment.
fn next(sheet: &Sheet<'_>, page: &mut Html) {
    let header = &sheet.plan.header;
    let denied = sheet.plan.judgement.as_ref().is_some_and(Judgement::denies);
    let release = header.release.as_ref().filter(|_| header.mode == Mode::Normal);
    if !sheet.plan.has_changes() {
        page.raw("<p>There is nothing to apply.</p>\n");
    } else if denied {
        page.raw("<p>Denied: there is nothing to approve before its rules hold, or a waiver of them counts.</p>\n");
    } else if header.offline {
        page.raw("<p>Made offline: it is only to be looked at.</p>\n");
    } else if let Some(release) = release {
        page.raw("<p>Where somebody has to approve it, promoting first stores the plan and ends with 4:</p>\n");
        let env = shell(&header.env);
        let promote = format!("terrace promote {release} --to {env}");
        let approve = format!("terrace approve {} --env {env}", sheet.saved.digest);
        commands(&format!("{promote}\n{approve}\n{promote}"), page);
    } else {
        page.raw("<p>A plan of a working folder is not approved: what is approved is a plan of a release, made of what was merged. After the merge:</p>\n");
        commands("terrace release create\nterrace promote RELEASE --to ENV", page);
        page.raw("<p>Where nobody has to approve, a saved plan is applied just as it is:</p>\n");
        commands("terrace apply FILE", page);
    }
}

fn commands(text: &str, page: &mut Html) {
    page.raw("<pre class=\"command\" tabindex=\"0\"><code>").lines(text).raw("</code></pre>\n");
}
