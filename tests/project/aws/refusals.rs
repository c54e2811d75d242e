//! What cannot go well is said clearly, before anything is changed.

use super::{pair, status};
use crate::support::{Project, Proxy, Said, Trouble, trouble::What};

/// Plans and applies, which both have to end with an error that says all of this and leave nothing behind.
fn refused(project: &Project, proxy: &Proxy, says: &[&str]) {
    for words in [&["plan"][..], &["apply", "--auto-approve"]] {
        proxy.forget();
        let said: Said = project.run(words);
        assert_eq!(said.code, Some(1), "{said:?}");
        for text in says {
            assert!(said.err.contains(text), "no `{text}` in:\n{}", said.err);
        }
        assert_eq!(proxy.count("cloudformation:ExecuteChangeSet"), 0);
    }
}

#[test]
fn another_account_than_the_declared_one_is_refused_before_anything_is_asked() {
    let Some((project, proxy, account)) = pair() else { return };
    project.environment("    region     = \"eu-central-1\"\n    account_id = \"999999999999\"\n");
    refused(&project, &proxy, &[&account.id, "999999999999", "account_id"]);
    let calls: Vec<String> = proxy.counts().into_keys().collect();
    assert_eq!(calls, ["sts:GetCallerIdentity"]);
}

#[test]
fn without_credentials_it_says_how_to_have_some() {
    let Some((project, proxy, _)) = pair() else { return };
    let mut command = project.command(&["plan"]);
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    let said = Said::of(&command.output().unwrap());
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("there are no credentials") && said.err.contains("aws sso login"), "{said:?}");
    assert_eq!(proxy.calls(), []);
}

#[test]
fn credentials_that_have_expired_are_told_as_such() {
    let Some((project, proxy, _)) = pair() else { return };
    proxy.trouble(Trouble::new("*", What::Expire));
    refused(&project, &proxy, &["expired", "log in again"]);
}

#[test]
fn a_missing_permission_is_told_by_action_and_resource() {
    let Some((project, proxy, account)) = pair() else { return };
    proxy.trouble(Trouble::new("cloudformation:CreateChangeSet", What::Deny));
    refused(&project, &proxy, &["not authorized", "cloudformation:CreateChangeSet", "app-dev-first"]);
    assert_eq!(status(&account, "app-dev-first"), None);
}

#[test]
fn an_endpoint_that_does_not_answer_is_named() {
    let Some((project, proxy, _)) = pair() else { return };
    let mut command = project.command(&["plan"]);
    // Nobody listens where nobody may.
    command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
    let said = Said::of(&command.output().unwrap());
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("cannot be reached") && said.err.contains("AWS_ENDPOINT_URL"), "{said:?}");
    assert_eq!(proxy.calls(), []);
}

#[test]
fn an_endpoint_that_answers_html_is_no_aws() {
    let Some((project, proxy, _)) = pair() else { return };
    proxy.trouble(Trouble::new("*", What::Html));
    refused(&project, &proxy, &["HTTP 500", "no answer of AWS's", "Bad gateway", "endpoint_url"]);
}

#[test]
fn in_another_region_the_stacks_are_not_there_and_the_plan_says_where_it_looked() {
    let Some((project, _proxy, account)) = pair() else { return };
    project.ends(&["apply", "--auto-approve"], 0);
    project.environment(&format!("    region     = \"eu-west-1\"\n    account_id = \"{}\"\n", account.id));
    let plan = project.ends(&["plan"], 0).out;
    assert!(plan.contains("eu-west-1") && plan.contains("+ stack.first"), "{plan}");
    project.environment("    region     = \"eu central\"\n");
    let said = project.run(&["plan"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("region"), "{said:?}");
}

#[test]
fn a_stack_of_somebody_else_is_not_taken_over() {
    let Some((project, proxy, account)) = pair() else { return };
    let client = aws_sdk_cloudformation::Client::new(&account.sdk());
    let body = super::stored("/theirs");
    super::wait(client.create_stack().stack_name("app-dev-first").template_body(body).send()).unwrap();
    refused(&project, &proxy, &["app-dev-first", "import"]);
    assert!(super::parameter(&account, "/theirs").is_some());
}

#[test]
fn a_type_that_the_service_does_not_have_is_told_with_our_line() {
    let Some((project, proxy, account)) = pair() else { return };
    let template = super::stored("/first").replace("Outputs:", "  Nat:\n    Type: AWS::EC2::EIP\nOutputs:");
    project.write("plans/app/first.yaml", &template);
    refused(&project, &proxy, &["AWS::EC2::EIP"]);
    assert_eq!(status(&account, "app-dev-first"), None);
}
