//! What helm says when it fails, as a failure: its class by the words that helm and the API server use, and what to do.

use super::program::Ended;
use crate::world::{Class, Failure};

/// Words of helm, and what they mean; the first that is found counts.
const WORDS: &[(&str, Class, Option<&str>)] = &[
    ("cannot re-use a name that is still in use", Class::AlreadyExists, None),
    ("cannot reuse a name that is still in use", Class::AlreadyExists, None),
    ("another operation (install/upgrade/rollback) is in progress", Class::Stuck, Some("terrace doctor")),
    ("has no deployed releases", Class::NotFound, None),
    ("release: not found", Class::NotFound, None),
    (
        "failed to create: namespaces",
        Class::NotFound,
        Some("make the namespace first, or leave it to `create_namespace`"),
    ),
    (
        "invalid ownership metadata",
        Class::Conflict,
        Some(
            "the object belongs to another release or to none: delete it, or let Helm adopt it by its labels and annotations",
        ),
    ),
    (
        "values don't meet the specifications of the schema",
        Class::Invalid,
        Some("the chart's values.schema.json says what it takes"),
    ),
    (
        "found in Chart.yaml, but missing in charts/",
        Class::Invalid,
        Some("run `helm dependency build` in the chart's folder"),
    ),
    ("chart requires kubeVersion", Class::Invalid, Some("take a version of the chart for this version of Kubernetes")),
    ("execution error at", Class::Invalid, None),
    ("parse error at", Class::Invalid, None),
    ("YAML parse error on", Class::Invalid, None),
    ("error converting YAML to JSON", Class::Invalid, None),
    ("admission webhook", Class::Failed, None),
    ("because it is being terminated", Class::Conflict, Some("its namespace is going away: wait until it is gone")),
    (
        "is forbidden",
        Class::Denied,
        Some(
            "allow it in a Role or ClusterRole that is bound to the caller; docs/kubernetes.md has those that are needed",
        ),
    ),
    ("Unauthorized", Class::Denied, Some("the credentials of the cluster's connection are not taken any more")),
    (
        "no matches for kind",
        Class::Invalid,
        Some("the cluster does not have this type: install its CRD first, in an earlier phase or by depends_on"),
    ),
    ("cluster unreachable", Class::Unavailable, None),
    ("context deadline exceeded", Class::Failed, None),
    ("timed out waiting", Class::Failed, None),
    ("Apply failed with", Class::Conflict, Some("another manager owns these fields")),
];

/// The failure of a run that did not end well.
pub(super) fn failed(verb: &str, subject: &str, ended: &Ended) -> Failure {
    let operation = format!("helm {verb}");
    let said = said(&ended.stderr);
    let (class, hint) = WORDS
        .iter()
        .find(|(words, ..)| said.contains(words))
        .map_or((Class::Failed, None), |(_, class, hint)| (*class, *hint));
    let message = match (said.is_empty(), ended.code) {
        _ if ended.late => "it took longer than it may and was ended".to_owned(),
        (true, None) => "helm was killed".to_owned(),
        (true, Some(code)) => format!("helm ended with {code} and said nothing"),
        (false, _) => said,
    };
    let failure = Failure::new(class, operation, subject, message);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// What helm complained: from `Error:` on, without the warnings before it and what it says of itself.
fn said(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().collect();
    let from = lines.iter().rposition(|line| line.starts_with("Error:"));
    let mut text = String::new();
    for line in &lines[from.unwrap_or(0)..] {
        let line = line.trim().trim_start_matches("Error: ");
        let line = ["INSTALLATION FAILED: ", "UPGRADE FAILED: "].iter().fold(line, |l, w| l.trim_start_matches(w));
        let noise = line.is_empty()
            || line.starts_with("WARNING: Kubernetes configuration file is")
            || line.starts_with("Use --debug flag");
        if noise {
            continue;
        }
        if !text.is_empty() {
            text.push_str(if text.ends_with(':') { " " } else { "; " });
        }
        text.push_str(line);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(stderr: &str, code: Option<i32>) -> Failure {
        failed("upgrade", "apps/web", &Ended { code, stdout: String::new(), stderr: stderr.to_owned(), late: false })
    }

    #[test]
    fn what_helm_says_is_told_without_its_noise_and_by_its_class() {
        let failure = of(
            "WARNING: Kubernetes configuration file is group-readable\nError: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress\n",
            Some(1),
        );
        assert_eq!(failure.class, Class::Stuck);
        assert_eq!(failure.message, "another operation (install/upgrade/rollback) is in progress");
        let failure = of(
            "Error: values don't meet the specifications of the schema(s) in the following chart(s):\nweb:\n- at '/replicas': got string, want integer\n",
            Some(1),
        );
        assert_eq!(failure.class, Class::Invalid);
        assert_eq!(
            failure.message,
            "values don't meet the specifications of the schema(s) in the following chart(s): web: - at '/replicas': got string, want integer"
        );
        let failure =
            of("Error: execution error at (web/templates/a.yaml:3:4): no\n\nUse --debug flag to render\n", Some(1));
        assert_eq!(
            (failure.class, failure.message.as_str()),
            (Class::Invalid, "execution error at (web/templates/a.yaml:3:4): no")
        );
        assert_eq!(of("", None).message, "helm was killed");
    }
}
