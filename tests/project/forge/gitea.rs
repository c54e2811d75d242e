//! The comment at a real Gitea: a program that other people wrote, with a database, a repository and pull requests.

use super::{Shop, ends};
use crate::support::server::{Server, built, start};
use serde_json::{Value as Json, json};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    process::{Command, Stdio},
    sync::OnceLock,
    thread,
};

/// The server, and who may do what there.
struct Gitea {
    server: Server,
    program: PathBuf,
    settings: PathBuf,
    _folder: tempfile::TempDir,
}

/// One for all tests of this process.
fn gitea() -> Option<&'static Gitea> {
    static GITEA: OnceLock<Option<Gitea>> = OnceLock::new();
    GITEA
        .get_or_init(|| {
            let program = built("gitea")?;
            let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            let settings = folder.path().join("app.ini");
            let set_up = |command: &mut Command, port: &str| {
                write_settings(&settings, &program, port);
                run(&program, &settings, &["migrate"]);
                command.arg("--config").arg(&settings).arg("web").env("HOME", folder.path());
            };
            let server = start("gitea", "/api/healthz", None, set_up)?;
            Some(Gitea { server, program, settings: settings.clone(), _folder: folder })
        })
        .as_ref()
}

/// Its own commands and the server write the same database: whoever finds it taken waits, where half a second would be the most and a token
/// would be taken for none.
fn write_settings(settings: &PathBuf, program: &std::path::Path, port: &str) {
    let folder = settings.parent().unwrap().display();
    let fixed = program.ancestors().nth(2).unwrap().join("static");
    let user = Command::new("id").arg("-un").output().unwrap().stdout;
    let user = String::from_utf8(user).unwrap();
    fs::write(
        settings,
        format!(
            "RUN_USER = {}\nRUN_MODE = prod\nI_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true\nWORK_PATH = {folder}\n\
             [server]\nPROTOCOL = http\nHTTP_ADDR = 127.0.0.1\nHTTP_PORT = {port}\nROOT_URL = http://127.0.0.1:{port}/\n\
             DISABLE_SSH = true\nOFFLINE_MODE = true\nSTATIC_ROOT_PATH = {}\n\
             [database]\nDB_TYPE = sqlite3\nPATH = {folder}/gitea.db\nSQLITE_TIMEOUT = 30000\nSQLITE_JOURNAL_MODE = WAL\n[repository]\nROOT = {folder}/repositories\n\
             [security]\nINSTALL_LOCK = true\nSECRET_KEY = testbed\nINTERNAL_TOKEN = testbed\nPASSWORD_HASH_ALGO = pbkdf2_v1\n\
             [log]\nMODE = console\nLEVEL = Warn\n[cron]\nENABLED = false\n[actions]\nENABLED = false\n\
             [indexer]\nISSUE_INDEXER_TYPE = db\n[mailer]\nENABLED = false\n",
            user.trim(),
            fixed.display()
        ),
    )
    .unwrap();
}

fn run(program: &PathBuf, settings: &PathBuf, words: &[&str]) -> String {
    let mut command = Command::new(program);
    command.arg("--config").arg(settings).args(words).env("HOME", settings.parent().unwrap()).stdin(Stdio::null());
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{words:?}\n{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

impl Gitea {
    /// Somebody, with a token that may do this.
    fn user(&self, name: &str, scopes: &str) -> String {
        let mail = format!("{name}@example.com");
        let words = ["admin", "user", "create", "--username", name, "--email", &mail, "--random-password"];
        run(&self.program, &self.settings, &[&words[..], &["--must-change-password=false"]].concat());
        self.token(name, "first", scopes)
    }

    fn token(&self, user: &str, name: &str, scopes: &str) -> String {
        let words =
            ["admin", "user", "generate-access-token", "--username", user, "--token-name", name, "--raw", "--scopes"];
        run(&self.program, &self.settings, &[&words[..], &[scopes]].concat()).trim().lines().last().unwrap().to_owned()
    }

    fn api(&self) -> String {
        format!("{}/api/v1", self.server.url)
    }

    /// Asks it, without any client of ours.
    fn ask(&self, token: &str, method: &str, path: &str, body: &Json) -> Json {
        let host = self.server.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        write!(
            stream,
            "{method} /api/v1{path} HTTP/1.0\r\nHost: {host}\r\nAuthorization: token {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        let (head, text) = said.split_once("\r\n\r\n").unwrap();
        assert!(head.split(' ').nth(1).is_some_and(|status| status.starts_with('2')), "{method} {path}\n{said}");
        serde_json::from_str(text).unwrap_or_default()
    }

    /// A repository with a pull request, and the commit that it ends with.
    fn pull_request(&self, token: &str, owner: &str, name: &str) -> String {
        let repository = json!({ "name": name, "auto_init": true, "default_branch": "main" });
        self.ask(token, "POST", "/user/repos", &repository);
        let file = json!({ "content": "eA==", "new_branch": "change", "message": "x" });
        self.ask(token, "POST", &format!("/repos/{owner}/{name}/contents/x.txt"), &file);
        let pull = json!({ "head": "change", "base": "main", "title": "x" });
        let pull = self.ask(token, "POST", &format!("/repos/{owner}/{name}/pulls"), &pull);
        assert_eq!(pull["number"], 1);
        pull["head"]["sha"].as_str().unwrap().to_owned()
    }

    fn comments(&self, token: &str, repository: &str) -> Vec<(String, String)> {
        let all = self.ask(token, "GET", &format!("/repos/{repository}/issues/1/comments"), &Json::Null);
        let text = |json: &Json| json.as_str().unwrap().to_owned();
        all.as_array().unwrap().iter().map(|c| (text(&c["user"]["login"]), text(&c["body"]))).collect()
    }
}

const MARKER: &str = "<!-- terrace: shop/app -->";

#[test]
fn a_real_gitea_has_one_comment_for_all_environments_whoever_else_writes_there() {
    let Some(gitea) = gitea() else { return };
    let shop = Shop::new(1);
    let bot = gitea.user("bot", "write:issue,write:repository,read:user,write:user");
    let mallory = gitea.user("mallory", "write:issue,write:repository,read:user");
    let commit = gitea.pull_request(&bot, "bot", "shop");
    let copied = json!({ "body": format!("{MARKER}\nno changes, believe me") });
    gitea.ask(&mallory, "POST", "/repos/bot/shop/issues/1/comments", &copied);
    gitea.ask(&bot, "POST", "/repos/bot/shop/issues/1/comments", &json!({ "body": "mine, by hand" }));
    let api = gitea.api();
    let post = |plans: &[&str], more: &[&str]| {
        let at = ["--repository", "bot/shop", "--pull-request", "1", "--api-url", &api];
        shop.run(&[&["comment"], plans, &at, more].concat(), &[("GITEA_TOKEN", &bot), ("GITHUB_TOKEN", &bot)])
    };
    // One environment, then both.
    ends(&post(&["dev.plan"], &["--gitea"]), 0, "comment created: http");
    let of_one = gitea.comments(&bot, "bot/shop");
    assert!(of_one[2].1.starts_with(MARKER) && !of_one[2].1.contains("`prd`"), "{of_one:?}");
    ends(&post(&["dev.plan", "prd.plan"], &["--gitea"]), 0, "comment edited");
    let of_both = gitea.comments(&bot, "bot/shop");
    assert!(of_both.len() == 3 && of_both[2].0 == "bot" && of_both[2].1.contains("| `prd`"), "{of_both:?}");
    assert_eq!(of_both[..2], of_one[..2], "what others wrote, and what was written by hand");
    ends(&post(&["dev.plan", "prd.plan"], &["--gitea"]), 0, "comment as it was");
    // The verdict.
    let status = gitea.ask(&bot, "GET", &format!("/repos/bot/shop/commits/{commit}/status"), &Json::Null);
    assert_eq!(
        (&status["state"], &status["statuses"][0]["context"]),
        (&json!("failure"), &json!("terrace/shop/app")),
        "{status}"
    );
    // As if it were GitHub, which it says it is to its jobs: without check runs the status stands in.
    shop.topics(0);
    ends(&post(&["dev.plan", "prd.plan"], &["--github"]), 0, "no check run, a commit status stands in for it");
    let status = gitea.ask(&bot, "GET", &format!("/repos/bot/shop/commits/{commit}/status"), &Json::Null);
    assert_eq!(status["state"], "success", "{status}");
    // Gone, it is written anew.
    let all = gitea.ask(&bot, "GET", "/repos/bot/shop/issues/1/comments", &Json::Null);
    gitea.ask(&bot, "DELETE", &format!("/repos/bot/shop/issues/comments/{}", all[2]["id"]), &Json::Null);
    ends(&post(&["dev.plan", "prd.plan"], &["--gitea"]), 0, "comment created");
    assert_eq!(gitea.comments(&bot, "bot/shop").len(), 3);
}

#[test]
fn processes_at_once_leave_one_comment_at_a_real_gitea() {
    let Some(gitea) = gitea() else { return };
    let shop = Shop::new(0);
    let bot = gitea.user("crowd", "write:issue,write:repository,read:user,write:user");
    gitea.pull_request(&bot, "crowd", "shop");
    let api = gitea.api();
    let words = [
        "comment",
        "dev.plan",
        "prd.plan",
        "--gitea",
        "--repository",
        "crowd/shop",
        "--pull-request",
        "1",
        "--api-url",
        &api,
    ];
    for _ in 0..3 {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| ends(&shop.run(&words, &[("GITEA_TOKEN", &bot)]), 0, "comment "));
            }
        });
        let comments = gitea.comments(&bot, "crowd/shop");
        assert!(comments.len() == 1 && comments[0].1.starts_with(MARKER), "{comments:?}");
        let all = gitea.ask(&bot, "GET", "/repos/crowd/shop/issues/1/comments", &Json::Null);
        gitea.ask(&bot, "DELETE", &format!("/repos/crowd/shop/issues/comments/{}", all[0]["id"]), &Json::Null);
    }
}

#[test]
fn a_real_gitea_says_no_in_words_that_help() {
    let Some(gitea) = gitea() else { return };
    let shop = Shop::new(0);
    let bot = gitea.user("owner", "write:issue,write:repository,read:user,write:user");
    gitea.pull_request(&bot, "owner", "shop");
    let reads = gitea.token("owner", "reads", "read:issue,read:repository,read:user");
    let no_user = gitea.token("owner", "nobody", "write:issue,write:repository");
    let api = gitea.api();
    for (token, repository, number, says) in [
        ("canaryTokenOfOthers", "owner/shop", "1", "Gitea does not take the token (401)"),
        (reads.as_str(), "owner/shop", "1", "the token may not do this (403): it needs"),
        (no_user.as_str(), "owner/shop", "1", "read:user"),
        (bot.as_str(), "owner/gone", "1", "Gitea knows nothing there (404)"),
        (bot.as_str(), "owner/shop", "9", "Gitea knows nothing there (404)"),
    ] {
        let words =
            ["comment", "dev.plan", "--gitea", "--repository", repository, "--pull-request", number, "--api-url", &api];
        ends(&shop.run(&words, &[("GITEA_TOKEN", token)]), 1, says);
    }
    assert!(gitea.comments(&bot, "owner/shop").is_empty());
}
