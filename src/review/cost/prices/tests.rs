//! Price files: what is shipped, what a project puts over it, and what is refused.

use super::*;
use crate::base::SourceMap;

const HEAD: &str = "format = 1\nregion = \"us-east-1\"\ncurrency = \"USD\"\n";
const SOURCE: &str = "[source.own]\npage = \"https://example.com\"\nread = \"2026-07-20\"\n";

/// Each problem as a person reads it: what, where, and what to do.
fn refused(text: &str) -> Vec<String> {
    let problems = Book::shipped().add("own.toml", text).expect_err("it should be refused");
    let mut texts = SourceMap::default();
    texts.insert("own.toml".into(), text.into());
    let line = |problem: &Diagnostic| {
        let place = problem.labels.first().and_then(|label| texts.position(&label.span)).unwrap_or_default();
        format!("{}:{} {} ({})", place.0, place.1, problem.summary, problem.hint.clone().unwrap_or_default())
    };
    problems.iter().map(line).collect()
}

#[test]
fn the_shipped_prices_are_read_and_every_name_that_is_asked_for_but_one_is_there() {
    let mut book = Book::default();
    book.add(SHIPPED.0, SHIPPED.1).unwrap();
    let prices = book.at("us-east-1").unwrap();
    let missing: Vec<&str> = KNOWN.iter().copied().filter(|name| prices.single(name).is_none()).collect();
    // Nobody could be found who quotes it.
    assert_eq!(missing, ["ebs_io1_iops"]);
    assert_eq!(book.at("eu-west-1"), None);
}

#[test]
fn every_shipped_price_has_a_page_and_a_day_and_every_source_is_used() {
    let book = Book::shipped();
    let prices = book.at("us-east-1").unwrap();
    let used: std::collections::BTreeSet<&String> = prices
        .single
        .values()
        .map(|single| &single.source)
        .chain(prices.instances.values().map(|instance| &instance.source))
        .chain(prices.databases.values().chain(prices.caches.values()).flat_map(|all| all.values()).map(|h| &h.source))
        .chain(prices.addons.values().flatten().map(|worker| &worker.source))
        .chain(prices.proxy.iter().map(|proxy| &proxy.source))
        .collect();
    assert_eq!(used, prices.sources.keys().collect());
    assert!(prices.sources.values().all(|source| source.page.starts_with("https://") && is_day(&source.read)));
}

#[test]
fn own_prices_take_the_place_of_shipped_ones_and_leave_the_others() {
    let mut book = Book::shipped();
    let text = format!("{HEAD}{SOURCE}[price]\nnat_gateway = {{ usd = 0.04, per = \"hour\", source = \"own\" }}\n");
    book.add("own.toml", &text).unwrap();
    let prices = book.at("us-east-1").unwrap();
    assert_eq!(prices.single("nat_gateway").map(|single| single.price), Price::of(0.04));
    assert_eq!(prices.single("eks_cluster").map(|single| single.price), Price::of(0.10));
    let elsewhere = text.replace("us-east-1", "eu-west-1");
    book.add("own.toml", &elsewhere).unwrap();
    assert_eq!(book.at("eu-west-1").unwrap().single("eks_cluster"), None);
    assert_eq!(book.regions().collect::<Vec<_>>(), ["eu-west-1", "us-east-1"]);
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_what_to_do() {
    let typo = format!("{HEAD}{SOURCE}[price]\nnat_gatway = {{ usd = 1, per = \"hour\", source = \"own\" }}\n"); // spellchecker:disable-line
    assert_eq!(refused(&typo), ["8:1 there is no price called `nat_gatway` (did you mean `nat_gateway`?)"]); // spellchecker:disable-line
    let nowhere = format!("{HEAD}[price]\nalb = {{ usd = -1, per = \"hour\", source = \"aws\" }}\n");
    assert_eq!(
        refused(&nowhere),
        [
            "5:15 -1 is no price (write US dollars for one of it, 0 or more)",
            "5:42 no source is called `aws` (write [source.aws] with `page` and `read`)",
        ]
    );
    let undated = format!("{HEAD}[source.own]\npage = \"\"\nread = \"last week\"\n");
    let said = refused(&undated);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("`last week` is no day") || said[1].contains("`last week` is no day"), "{said:?}");
    let newer = HEAD.replace("format = 1", "format = 2").replace("USD", "EUR");
    let said = refused(&newer);
    assert!(said[0].contains("the form 2") && said[1].contains("US dollars"), "{said:?}");
    let assumed =
        format!("{HEAD}{SOURCE}[price]\nlog_ingested = {{ usd = 1, per = \"use\", assumed = 3, source = \"own\" }}\n");
    assert_eq!(refused(&assumed).len(), 1);
    let tiny = format!(
        "{HEAD}{SOURCE}[instance]\n\"a.b\" = {{ usd = 1, vcpu = 0, memory = -1, pods = 1, source = \"own\" }}\n"
    );
    assert_eq!(refused(&tiny).len(), 2);
}

#[test]
fn what_is_no_price_file_is_refused_at_its_place() {
    for (text, place, said) in [
        ("format = \n", "1:10", "cannot be read"),
        ("format = 1\nregion = \"a\"\n", "1:1", "missing field `currency`"),
        (&format!("{HEAD}[prices]\n"), "4:2", "unknown field `prices`"),
        (
            &format!("{HEAD}{SOURCE}[price]\nalb = {{ usd = \"1\", per = \"hour\", source = \"own\" }}\n"),
            "8:15",
            "expected a number",
        ),
        (
            &format!("{HEAD}{SOURCE}[price]\nalb = {{ usd = 1, per = \"day\", source = \"own\" }}\n"),
            "8:24",
            "unknown variant",
        ),
    ] {
        let found = refused(text);
        assert!(found[0].starts_with(place) && found[0].contains(said), "{found:?}");
    }
}

#[test]
fn a_pattern_stands_for_whatever_begins_so() {
    let book = Book::shipped();
    let prices = book.at("us-east-1").unwrap();
    assert!(prices.is_free("AWS::IAM::Role") && prices.is_free("AWS::EC2::VPC"));
    assert!(!prices.is_free("AWS::EC2::VPCEndpoint") && !prices.is_free("AWS::EC2::NatGateway"));
    assert_eq!(prices.use_of("AWS::S3::Bucket"), Some("GB stored and requests"));
    assert_eq!(prices.use_of("AWS::Bedrock::Guardrail"), Some("tokens"));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_reading_panic(text in "\\PC*") {
        let _ = Book::default().add("own.toml", &text);
        let _ = Book::default().add("own.toml", &format!("{HEAD}{text}"));
    }
}
