//! The pipeline as it is looked at: drawn, watched, and what it names shown by its digest.

#![expect(clippy::disallowed_methods, reason = "reads what the program drew, and starts it")]

use super::Shop;
use serde_json::Value as Json;
use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

#[test]
fn the_pipeline_is_a_picture_that_leads_from_environment_to_environment() {
    let shop = Shop::new();
    let release = shop.release();
    shop.promote(&release, "dev", 0);
    let said = shop.0.stdout(&["pipeline", "--svg", "pipeline.svg"], 0);
    assert_eq!(said, "");
    let picture = fs::read_to_string(shop.0.path().join("pipeline.svg")).unwrap();
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"), "{picture}");
    assert_eq!(picture.matches("<rect class=\"box\"").count(), 3);
    assert_eq!(picture.matches("class=\"edge\"").count(), 2);
    let digits = &release.trim_start_matches("sha256:")[..12];
    for text in [digits, ">verified<", ">prd<"] {
        assert!(picture.contains(text), "{text}: {picture}");
    }
    let nowhere = shop.0.stderr(&["pipeline", "--svg", "no/such/folder/x.svg"], 1);
    assert!(nowhere.contains("x.svg"), "{nowhere}");
}

#[test]
fn whoever_watches_the_pipeline_is_told_of_each_change_once() {
    let shop = Shop::new();
    let release = shop.release();
    let digits = release.trim_start_matches("sha256:")[..12].to_owned();
    let mut command = Command::new(env!("CARGO_BIN_EXE_terrace"));
    command.env_clear().env("TERRACE_SANDBOX_SPEED", "instant").current_dir(shop.0.path());
    command.args(["pipeline", "--watch", "--every", "50ms"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut watching = command.spawn().unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines().map_while(Result::ok);
    let first: Vec<String> = lines.by_ref().take(6).collect();
    assert!(first.contains(&"dev holds nothing".to_owned()), "{first:?}");
    assert!(first.contains(&format!("dev: {digits} is eligible")), "{first:?}");
    shop.promote(&release, "dev", 0);
    let mut seen = Vec::new();
    for line in lines.by_ref() {
        seen.push(line.clone());
        if line == format!("dev holds {digits}, verified") {
            break;
        }
    }
    // As often as it looked in the meantime, nothing was said twice.
    let mut once = seen.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), seen.len(), "{seen:?}");
    watching.kill().unwrap();
    watching.wait().unwrap();
}

#[test]
fn a_plan_that_waits_and_a_release_are_shown_by_their_digests() {
    let shop = Shop::new();
    let release = shop.release();
    shop.promote(&release, "dev", 0);
    shop.advance("2h");
    shop.promote(&release, "tst", 0);
    shop.advance("25h");
    shop.promote(&release, "prd", 4);
    let plan = shop.waiting();
    let said = shop.ends("ben", &["show", &plan], 0);
    assert!(said.contains("333333333333") && said.contains("web") && said.contains(&plan), "{said}");
    let json: Json =
        serde_json::from_str(shop.0.stdout(&["show", &plan, "--json"], 0).lines().last().unwrap()).unwrap();
    assert!(json.to_string().contains("prd"), "{json}");
    let said = shop.ends("ben", &["show", &release], 0);
    assert!(said.contains(&release) && said.contains("motd.txt"), "{said}");
    for word in ["00000000", "ffff"] {
        let said = shop.ends("ben", &["show", word], 64);
        assert!(said.contains("no plan that waits and no release"), "{said}");
    }
    let said = shop.ends("ben", &["show", "no-such-file"], 1);
    assert!(said.contains("no-such-file"), "{said}");
}
