//! Ways past the gates and ways back: what they say, who may take them, and what they leave.

use super::{ENVIRONMENTS, PLAN, Shop};
use serde_json::Value as Json;

#[test]
fn whoever_goes_back_is_told_first_what_that_does_not_bring_back() {
    let shop = Shop::new();
    let first = shop.release();
    shop.promote(&first, "dev", 0);
    shop.0.write("plans/shop/plan.hcl", &PLAN.replace("0.26.0", "0.27.0"));
    let second = shop.release();
    shop.promote(&second, "dev", 0);
    let output = shop.0.command(&["rollback", "--env", "dev", "--auto-approve"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let warned =
        "What going back does not bring back:\n  helm.web: custom resource definitions of its chart stay as they are";
    assert!(said.contains(warned), "{said}");
    // A way forward has nothing to say of that.
    let said = shop.promote(&second, "dev", 0);
    assert!(!said.contains("does not bring back"), "{said}");
}

#[test]
fn the_glass_is_broken_by_those_who_may_and_holds_up_the_next_until_another_looks() {
    let shop = Shop::new();
    let gates =
        ENVIRONMENTS.replace("  protected = true\n", "  protected = true\n  break_glass = [\"ada\", \"eve\"]\n");
    assert_ne!(gates, ENVIRONMENTS);
    shop.0.write("plans/shop/environments.hcl", &gates);
    let release = shop.release();
    let breaks = |who: &str, release: &str, code: i32| {
        let words = [
            "promote",
            release,
            "--to",
            "prd",
            "--break-glass",
            "the shop is down",
            "--auto-approve",
            "--confirm",
            "prd",
        ];
        shop.ends(who, &words, code)
    };
    // It passes approvals, and neither order nor soak.
    let said = breaks("ada", &release, 4);
    assert!(said.contains("never in tst") || said.contains("tst"), "{said}");
    shop.promote(&release, "dev", 0);
    shop.advance("2h");
    shop.promote(&release, "tst", 0);
    shop.advance("25h");
    let said = breaks("ben", &release, 4);
    assert!(said.contains("break"), "{said}");
    assert_eq!(shop.environment("prd")["holds"], "nothing");
    breaks("ada", &release, 0);
    let prd = shop.environment("prd");
    assert_eq!((prd["health"].as_str(), prd["holds"].as_str()), (Some("verified"), Some(&release[7..19])));
    let note = prd["notes"][0].as_str().unwrap();
    let run = note.split_whitespace().nth(2).unwrap();
    assert!(note.contains("broke the glass and was not reviewed"), "{note}");

    shop.0.write("plans/shop/motd.txt", "next");
    let next = shop.release();
    shop.promote(&next, "dev", 0);
    shop.advance("2h");
    shop.promote(&next, "tst", 0);
    shop.advance("25h");
    assert!(shop.reasons("prd").contains(&"review_due".to_owned()), "{:?}", shop.reasons("prd"));
    // Nobody breaks it twice, and nobody looks at what they did themselves.
    breaks("eve", &next, 4);
    let own = shop.ends("ada", &["approve", "--review", run, "--env", "prd"], 4);
    assert!(own.contains("cannot review it"), "{own}");
    shop.ends("ben", &["approve", "--review", run, "--env", "prd", "--reason", "it was right"], 0);
    assert_eq!(shop.environment("prd")["notes"].as_array().map(Vec::len), Some(0));
    shop.promote(&next, "prd", 4);
    let plan = shop.waiting();
    // Who agrees twice is one, and whoever did not count is in no record.
    for (who, times) in [("ada", 1), ("ben", 2), ("cat", 1)] {
        for _ in 0..times {
            shop.ends(who, &["approve", &plan, "--env", "prd"], 0);
        }
    }
    shop.promote(&next, "prd", 0);
    let state: Json = serde_json::from_str(&shop.0.stdout(&["state", "pull", "--env", "prd"], 0)).unwrap();
    let occupancies = state.to_string();
    assert!(occupancies.contains(r#""approved_by":["ben","cat"]"#), "{occupancies}");
}
