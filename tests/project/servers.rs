//! The stand-ins for AWS and the proxy in front of them do what the other tests rely on.

#![expect(clippy::disallowed_methods, reason = "starts a process to see it end")]

use crate::support::{
    Account, Project, Proxy, Trouble, ministack, moto,
    server::{kept, wait},
    trouble::What,
};
use aws_sdk_ssm::{error::ProvideErrorMetadata as _, types::ParameterType};
use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

#[test]
fn each_test_has_an_account_of_its_own_on_ministack() {
    let Some(server) = ministack() else { return };
    let (mine, other) = (server.account(), server.account());
    put(&mine, "/a").unwrap();
    assert_eq!(get(&mine, "/a").unwrap(), "x");
    assert_eq!(get(&other, "/a").unwrap_err(), "ParameterNotFound");
    let caller = wait(aws_sdk_sts::Client::new(&other.sdk()).get_caller_identity().send()).unwrap();
    assert_eq!(caller.account(), Some(other.id.as_str()));
}

#[test]
fn moto_answers_with_its_account() {
    let Some(server) = moto() else { return };
    let account = server.account();
    let caller = wait(aws_sdk_sts::Client::new(&account.sdk()).get_caller_identity().send()).unwrap();
    assert_eq!(caller.account(), Some(account.id.as_str()));
}

#[test]
fn a_proxy_counts_calls_and_makes_trouble_for_those_that_it_is_told() {
    let Some(server) = ministack() else { return };
    let account = server.account();
    let proxy = Proxy::new(&account.url);
    let through = account.at(&proxy.url);
    put(&through, "/a").unwrap();
    get(&through, "/a").unwrap();
    let count = |name: &str| proxy.count(name);
    assert_eq!((count("ssm:PutParameter"), count("ssm:GetParameter")), (1, 1));
    assert_eq!(proxy.calls()[0].subject, "/a");

    // The SDK tries thrice by itself.
    proxy.forget();
    proxy.trouble(Trouble::new("ssm:GetParameter", What::Throttle).times(2));
    assert_eq!(get(&through, "/a").unwrap(), "x");
    assert_eq!(count("ssm:GetParameter"), 3);

    proxy.peace();
    proxy.trouble(Trouble::new("*", What::Deny));
    assert_eq!(get(&through, "/a").unwrap_err(), "AccessDeniedException");
    proxy.peace();
    proxy.trouble(Trouble::new("ssm:*", What::Html));
    assert_eq!(get(&through, "/a").unwrap_err(), "");

    // What was cut off before the service did not happen; what lost its answer did, each time that it was tried.
    proxy.peace();
    proxy.trouble(Trouble::new("ssm:PutParameter", What::Cut));
    put(&through, "/cut").unwrap_err();
    assert_eq!(get(&account, "/cut").unwrap_err(), "ParameterNotFound");
    proxy.peace();
    proxy.trouble(Trouble::new("ssm:PutParameter", What::LoseAnswer).times(1));
    assert_eq!(put(&through, "/lost").unwrap_err(), "ParameterAlreadyExists");
    assert_eq!(get(&account, "/lost").unwrap(), "x");
}

#[test]
fn a_limit_lets_through_what_an_account_would() {
    let Some(server) = ministack() else { return };
    let proxy = Proxy::new(&server.url);
    let account = server.account().at(&proxy.url);
    put(&account, "/a").unwrap();
    proxy.trouble(Trouble::limit("ssm:GetParameter", 2.0));
    for _ in 0..4 {
        // How long the SDK rests between its three tries is left to chance, and may be less than the half second it takes.
        let let_through = (0..10).any(|_| match get(&account, "/a") {
            Ok(value) => value == "x",
            Err(code) => {
                assert_eq!(code, "ThrottlingException");
                false
            }
        });
        assert!(let_through, "{:?}", proxy.counts());
    }
    assert!(proxy.count("ssm:GetParameter") > 4, "none was refused: {:?}", proxy.counts());
}

#[test]
fn all_services_are_told_apart_by_their_requests() {
    let Some(server) = ministack() else { return };
    let proxy = Proxy::new(&server.url);
    let through = server.account().at(&proxy.url);
    let config = through.sdk();
    wait(async {
        let stacks = aws_sdk_cloudformation::Client::new(&config);
        stacks.describe_stacks().stack_name("absent").send().await.unwrap_err();
        let clusters = aws_sdk_eks::Client::new(&config);
        clusters.describe_cluster().name("absent").send().await.unwrap_err();
        let secrets = aws_sdk_secretsmanager::Client::new(&config);
        secrets.get_secret_value().secret_id("absent").send().await.unwrap_err();
        let objects = through.bucket("a-bucket").await;
        let body = aws_sdk_s3::primitives::ByteStream::from_static(b"text");
        objects.put_object().bucket("a-bucket").key("a/key").body(body).send().await.unwrap();
        let got = objects.get_object().bucket("a-bucket").key("a/key").send().await.unwrap();
        assert_eq!(got.body.collect().await.unwrap().to_vec(), b"text");
    });
    let made: Vec<String> = proxy.counts().into_keys().collect();
    let expected = [
        "cloudformation:DescribeStacks",
        "eks:DescribeCluster",
        "s3:CreateBucket",
        "s3:GetObject",
        "s3:PutObject",
        "secretsmanager:GetSecretValue",
    ];
    assert_eq!(made, expected);
    assert_eq!(proxy.calls()[0].subject, "absent");
}

#[test]
fn a_server_ends_when_whoever_started_it_is_gone() {
    let mut keeper =
        kept(Path::new("sh")).args(["-c", "echo $$; exec sleep 1000"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut server = String::new();
    BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut server).unwrap();
    let alive = || Command::new("kill").args(["-0", server.trim()]).output().unwrap().status.success();
    assert!(alive());
    // The system closes it for a process that is killed, too.
    drop(keeper.stdin.take());
    assert!(keeper.wait().unwrap().success());
    assert!(!alive());
}

#[test]
fn the_program_is_run_in_a_project_with_nothing_inherited() {
    let account =
        Account { url: "http://127.0.0.1:9".to_owned(), id: "1".repeat(12), region: "eu-central-1".to_owned() };
    let project = Project::new(&account, "value \"a\" {\n  input = env.account_id\n}\n");
    let said = project.ends(&["validate", "plans/app"], 0);
    assert!(said.err.contains("valid: "), "{said:?}");
    let ended = project.start(&["--version"]).wait_with_output().unwrap();
    assert!(ended.status.success());
}

fn put(account: &Account, name: &str) -> Result<(), String> {
    let client = aws_sdk_ssm::Client::new(&account.sdk());
    let call = client.put_parameter().name(name).value("x").r#type(ParameterType::String);
    let sent = async { tokio::time::timeout(Duration::from_secs(20), call.send()).await.unwrap() };
    wait(sent).map(drop).map_err(|e| e.code().unwrap_or_default().to_owned())
}

fn get(account: &Account, name: &str) -> Result<String, String> {
    let client = aws_sdk_ssm::Client::new(&account.sdk());
    let got = wait(client.get_parameter().name(name).send());
    got.map(|got| got.parameter().and_then(|p| p.value()).unwrap_or_default().to_owned())
        .map_err(|e| e.code().unwrap_or_default().to_owned())
}
