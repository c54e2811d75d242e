//! Back to the rolling strategy with the green side live: what is written by hand is held to where the traffic is.

use super::*;

/// Under the rolling strategy, on a side by its word.
fn rolling(text: &str, side: &str) -> String {
    text.replace("\"blue_green\"", "\"rolling\"").replace("groups[self.color]", &format!("groups[\"{side}\"]"))
}

async fn says_which_is_live(lab: &Lab) {
    let problems = refused(lab, &[]).await;
    assert_eq!(problems.iter().map(|p| &*p.code).collect::<Vec<_>>(), ["rollout_strategy"], "{problems:#?}");
    assert!(problems[0].summary.contains("the blue side of traffic.app, and its traffic is on green"), "{problems:#?}");
    let hint = problems[0].hint.as_deref().unwrap();
    assert!(hint.contains("write the green target group") && hint.contains("Green"), "{hint}");
    let text = &lab.files[&*problems[0].labels[0].span.file];
    assert!(text[problems[0].labels[0].span.range()].contains("roup"), "{problems:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_back_to_rolling_stays_on_the_side_that_has_its_traffic() {
    for (of, unit) in [(stack as fn(&str) -> String, "stack.app"), (module, "module.app")] {
        let mut lab = lab(&of("one"), INSIDE);
        lab.applied().await;
        lab.write(&of("two"));
        lab.applied().await;
        assert_eq!(traffic(&lab, unit).await, (Some(Color::Green), 100));
        let (both, calls) = (there(&lab), lab.calls_of("cloudformation:ExecuteChangeSet"));
        lab.write(&rolling(&of("two"), "blue"));
        says_which_is_live(&lab).await;
        assert_eq!((there(&lab), lab.calls_of("cloudformation:ExecuteChangeSet")), (both, calls), "nothing was done");
        lab.write(&rolling(&of("two"), "green"));
        lab.applied().await;
        assert_eq!(traffic(&lab, unit).await, (None, 100));
        // And as long as it is so.
        lab.write(&rolling(&of("three"), "blue"));
        says_which_is_live(&lab).await;
        lab.write(&rolling(&of("three"), "green"));
        lab.applied().await;
        // Rolled out once more it is blue, and may stay that.
        lab.write(&of("four"));
        lab.applied().await;
        assert_eq!(traffic(&lab, unit).await, (Some(Color::Blue), 0));
        lab.write(&rolling(&of("four"), "blue"));
        lab.applied().await;
        assert_eq!(traffic(&lab, unit).await, (None, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_back_to_rolling_keeps_the_name_of_what_has_the_traffic() {
    let named = |tag: &str, name: &str| {
        stack(tag).replace(
            "  template   = \"${path.root}/app.yaml\"",
            &format!("  name       = \"{name}\"\n  template   = \"${{path.root}}/app.yaml\""),
        )
    };
    let mut lab = lab(&named("one", "app-${self.color}"), INSIDE);
    lab.applied().await;
    lab.write(&named("two", "app-${self.color}"));
    lab.applied().await;
    lab.write(&rolling(&named("two", "app-blue"), "green"));
    let problems = refused(&lab, &[]).await;
    assert_eq!(problems.iter().map(|p| &*p.code).collect::<Vec<_>>(), ["rollout_strategy"], "{problems:#?}");
    assert!(problems[0].hint.as_deref().unwrap().contains("app-green"), "{problems:#?}");
    lab.write(&rolling(&named("two", "app-green"), "green"));
    lab.applied().await;
    assert_eq!(there(&lab), ["app-green"]);
}
