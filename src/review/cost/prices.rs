//! Price files: what things cost in a region, each price with the page and the day that it is from. Read from bytes that `cli` hands in.
//!
//! Everything in such a file is known by name, and what is not is refused with its place: a price under a name that nothing asks for would
//! silently count for nothing.

use super::money::Price;
use crate::{
    base::{Diagnostic, Diagnostics, Span},
    lang::suggest,
};
use std::collections::BTreeMap;
use toml::Spanned;

/// The newest form of price files that this version reads.
const FORMAT: u32 = 1;

/// The prices that are shipped.
pub const SHIPPED: (&str, &str) = ("prices/us-east-1.toml", include_str!("../../../prices/us-east-1.toml"));

/// The names of single prices that are asked for.
const KNOWN: &[&str] = &[
    "alarm",
    "alb",
    "classic_balancer",
    "dashboard",
    "ebs_gp2",
    "ebs_gp3",
    "ebs_gp3_iops",
    "ebs_gp3_throughput",
    "ebs_io1",
    "ebs_io1_iops",
    "ebs_sc1",
    "ebs_st1",
    "eks_cluster",
    "fargate_gib",
    "fargate_vcpu",
    "interface_endpoint",
    "kms_key",
    "log_ingested",
    "nat_gateway",
    "nlb",
    "public_address",
    "rds_gp2",
    "rds_gp3",
    "rds_io1",
    "rds_io1_iops",
    "secret",
];

/// Prices by region.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Book(BTreeMap<String, Prices>);

/// The prices of a region.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prices {
    /// Where prices are from.
    pub sources: BTreeMap<String, Source>,
    /// Single prices by name.
    pub single: BTreeMap<String, Single>,
    /// Instances by type.
    pub instances: BTreeMap<String, Instance>,
    /// Databases by engine and class, an hour.
    pub databases: BTreeMap<String, BTreeMap<String, Hourly>>,
    /// Cache nodes by engine and type, an hour.
    pub caches: BTreeMap<String, BTreeMap<String, Hourly>>,
    /// What is paid by use, by type, in words.
    pub per_use: BTreeMap<String, String>,
    /// Types that cost nothing by themselves.
    pub free: Vec<String>,
    /// What add-ons of EKS ask for, by name.
    pub addons: BTreeMap<String, Vec<Worker>>,
    /// What a mesh puts beside a pod.
    pub proxy: Option<Proxy>,
}

/// Where prices are from.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The page that has them.
    pub page: String,
    /// When they were read: `2026-07-20`, or the month.
    pub read: String,
    /// By way of what, where not on that page.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<String>,
}

/// By what something is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Per {
    /// By the hour.
    Hour,
    /// By the month.
    Month,
    /// By what is used of it.
    Use,
}

/// A single price.
#[derive(Debug, Clone, PartialEq)]
pub struct Single {
    /// For one.
    pub price: Price,
    /// By what.
    pub per: Per,
    /// Which source.
    pub source: String,
    /// What comes on top and is not reckoned.
    pub beside: Option<String>,
    /// How many of it each thing is taken to use in a month.
    pub assumed: Option<u64>,
    /// Of what.
    pub unit: Option<String>,
}

/// An instance type.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// An hour.
    pub price: Price,
    /// Its vCPUs.
    pub vcpu: u64,
    /// Its memory in MiB.
    pub memory: u64,
    /// How many pods it runs at most.
    pub pods: u64,
    /// Whether it is one of Arm's.
    pub arm: bool,
    /// Which source.
    pub source: String,
}

/// Something that is paid by the hour.
#[derive(Debug, Clone, PartialEq)]
pub struct Hourly {
    /// An hour.
    pub price: Price,
    /// Which source.
    pub source: String,
}

/// How often the pods of an add-on run.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(untagged)]
pub enum Each {
    /// So many in the cluster.
    Cluster(u64),
    /// One on every node.
    Node(OnNode),
}

/// The word for every node.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnNode {
    /// It.
    Node,
}

/// The pods of an add-on.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worker {
    /// How often they run.
    pub each: Each,
    /// What each asks for, as Kubernetes writes it.
    pub cpu: String,
    /// What each asks for, as Kubernetes writes it.
    pub memory: String,
    /// Which source.
    pub source: String,
}

/// What a mesh puts beside a pod.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proxy {
    /// As Kubernetes writes it.
    pub cpu: String,
    /// As Kubernetes writes it.
    pub memory: String,
    /// Which source.
    pub source: String,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: Spanned<u32>,
    region: Spanned<String>,
    currency: Spanned<String>,
    #[serde(default)]
    source: BTreeMap<String, Spanned<Source>>,
    #[serde(default)]
    price: BTreeMap<Spanned<String>, WrittenSingle>,
    #[serde(default)]
    instance: BTreeMap<String, WrittenInstance>,
    #[serde(default)]
    database: BTreeMap<String, BTreeMap<String, WrittenHourly>>,
    #[serde(default)]
    cache: BTreeMap<String, BTreeMap<String, WrittenHourly>>,
    #[serde(default)]
    per_use: BTreeMap<String, String>,
    #[serde(default)]
    free: Free,
    #[serde(default)]
    addon: BTreeMap<String, Vec<Spanned<Worker>>>,
    proxy: Option<Spanned<Proxy>>,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Free {
    types: Vec<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSingle {
    usd: Spanned<f64>,
    per: Per,
    source: Spanned<String>,
    beside: Option<String>,
    assumed: Option<u64>,
    unit: Option<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenInstance {
    usd: Spanned<f64>,
    vcpu: Spanned<u64>,
    memory: Spanned<f64>,
    pods: u64,
    #[serde(default)]
    arm: bool,
    source: Spanned<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenHourly {
    usd: Spanned<f64>,
    source: Spanned<String>,
}

impl Book {
    /// The prices that are shipped.
    #[must_use]
    pub fn shipped() -> Self {
        let mut book = Self::default();
        // A test reads the shipped file; where it were broken, everything would be unpriced.
        let _ = book.add(SHIPPED.0, SHIPPED.1);
        book
    }

    /// Adds a price file: what it says of a region takes the place of what is known of that.
    ///
    /// # Errors
    /// All that is wrong with it, with its places.
    pub fn add(&mut self, file: &str, text: &str) -> Result<(), Diagnostics> {
        let written: Written = toml::from_str(text).map_err(|error| {
            let what = format!("the price file cannot be read: {}", in_words(error.message()));
            Diagnostic::error("prices_wrong", what)
                .at(&Span::new(file, error.span().unwrap_or(0..0)), "here")
                .hint("prices/us-east-1.toml is one to go by, and docs/cost.md says what may stand in one")
        })?;
        let mut reader = Reader { file, problems: Diagnostics::new() };
        let region = written.region.get_ref().clone();
        let base = self.0.get(&region).cloned().unwrap_or_default();
        let prices = reader.prices(written, base);
        if reader.problems.has_errors() {
            reader.problems.normalize();
            return Err(reader.problems);
        }
        self.0.insert(region, prices);
        Ok(())
    }

    /// The prices of a region.
    #[must_use]
    pub fn at(&self, region: &str) -> Option<&Prices> {
        self.0.get(region)
    }

    /// The regions that there are prices of.
    pub fn regions(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// The first line of what the library says, without its own names of types.
fn in_words(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    line.replace("f64", "a number").replace("u64", "a whole number").replace("u32", "a whole number")
}

struct Reader<'a> {
    file: &'a str,
    problems: Diagnostics,
}

impl Reader<'_> {
    fn prices(&mut self, written: Written, base: Prices) -> Prices {
        if *written.format.get_ref() != FORMAT {
            let what = format!("the price file has the form {}", written.format.get_ref());
            let problem = Diagnostic::error("prices_wrong", what).because(format!("this version reads {FORMAT}"));
            self.push(problem, &written.format, "use the version of terrace that it was written for, or write it anew");
        }
        if written.currency.get_ref() != "USD" {
            let problem = Diagnostic::error("prices_wrong", "prices are in US dollars")
                .because("amounts of several currencies cannot be added");
            self.push(problem, &written.currency, "write currency = \"USD\", and the prices in that");
        }
        let mut prices = base;
        for (name, source) in written.source {
            self.source(&source);
            prices.sources.insert(name, source.into_inner());
        }
        for (name, single) in written.price {
            if !KNOWN.contains(&name.get_ref().as_str()) {
                let problem =
                    Diagnostic::error("prices_wrong", format!("there is no price called `{}`", name.get_ref()))
                        .because("nothing would ever be reckoned by it");
                let hint = suggest::nearest(name.get_ref(), KNOWN.iter().copied()).map_or_else(
                    || format!("these are asked for: {}", KNOWN.join(", ")),
                    |n| format!("did you mean `{n}`?"),
                );
                self.push(problem, &name, hint);
            }
            if single.per == Per::Use && single.assumed.is_some() && single.unit.is_none() {
                let problem =
                    Diagnostic::error("prices_wrong", format!("`{}` assumes something without a unit", name.get_ref()));
                self.push(problem, &name, "say what is assumed: unit = \"GB taken in\"");
            }
            self.is_known(&single.source, &prices);
            let price = self.price(&single.usd);
            let WrittenSingle { per, source, beside, assumed, unit, .. } = single;
            let single = Single { price, per, source: source.into_inner(), beside, assumed, unit };
            prices.single.insert(name.into_inner(), single);
        }
        for (name, instance) in written.instance {
            self.is_known(&instance.source, &prices);
            let (price, memory) = (self.price(&instance.usd), self.mebibytes(&instance.memory));
            if !(1..=1024).contains(instance.vcpu.get_ref()) {
                let problem = Diagnostic::error("prices_wrong", format!("{name} has no such number of vCPUs"));
                self.push(problem, &instance.vcpu, "write a whole number between 1 and 1024");
            }
            let WrittenInstance { vcpu, pods, arm, source, .. } = instance;
            let (vcpu, source) = (vcpu.into_inner(), source.into_inner());
            prices.instances.insert(name, Instance { price, vcpu, memory, pods, arm, source });
        }
        for (all, written) in [(&mut prices.databases, written.database), (&mut prices.caches, written.cache)] {
            for (engine, classes) in written {
                for (class, hourly) in classes {
                    if !prices.sources.contains_key(hourly.source.get_ref()) {
                        self.unknown_source(&hourly.source);
                    }
                    let price = self.price(&hourly.usd);
                    let hourly = Hourly { price, source: hourly.source.into_inner() };
                    all.entry(engine.clone()).or_default().insert(class, hourly);
                }
            }
        }
        prices.per_use.extend(written.per_use);
        prices.free.extend(written.free.types);
        for (name, workers) in written.addon {
            for worker in workers.iter().filter(|w| !prices.sources.contains_key(&w.get_ref().source)) {
                let span = Spanned::new(worker.span(), worker.get_ref().source.clone());
                self.unknown_source(&span);
            }
            prices.addons.insert(name, workers.into_iter().map(Spanned::into_inner).collect());
        }
        if let Some(proxy) = written.proxy {
            self.is_known(&Spanned::new(proxy.span(), proxy.get_ref().source.clone()), &prices);
            prices.proxy = Some(proxy.into_inner());
        }
        prices
    }

    fn push<T>(&mut self, problem: Diagnostic, at: &Spanned<T>, hint: impl Into<String>) {
        self.problems.push(problem.at(&Span::new(self.file, at.span()), "here").hint(hint));
    }

    fn price(&mut self, usd: &Spanned<f64>) -> Price {
        Price::of(*usd.get_ref()).unwrap_or_else(|| {
            let problem = Diagnostic::error("prices_wrong", format!("{} is no price", usd.get_ref()));
            self.push(problem, usd, "write US dollars for one of it, 0 or more");
            Price::of(0.0).expect("invariant: nothing is a price")
        })
    }

    fn mebibytes(&mut self, gibibytes: &Spanned<f64>) -> u64 {
        let gib = *gibibytes.get_ref();
        if !(gib > 0.0 && gib <= 65_536.0) {
            let problem = Diagnostic::error("prices_wrong", format!("{gib} is no size of a memory"));
            self.push(problem, gibibytes, "write GiB, more than 0");
            return 0;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "its bounds were just looked at")]
        let mebibytes = (gib * 1024.0).round() as u64;
        mebibytes
    }

    fn is_known(&mut self, source: &Spanned<String>, prices: &Prices) {
        if !prices.sources.contains_key(source.get_ref()) {
            self.unknown_source(source);
        }
    }

    fn unknown_source(&mut self, source: &Spanned<String>) {
        let name = source.get_ref();
        let problem = Diagnostic::error("prices_wrong", format!("no source is called `{name}`"))
            .because("nobody could tell where the price is from, or how old it is");
        self.push(problem, source, format!("write [source.{name}] with `page` and `read`"));
    }

    /// A page and a day. How old a price is, only that tells.
    fn source(&mut self, source: &Spanned<Source>) {
        let Source { page, read, .. } = source.get_ref();
        if !is_day(read) {
            let problem = Diagnostic::error("prices_wrong", format!("`{read}` is no day"));
            self.push(problem, source, "write `read` as 2026-07-20, or as 2026-07 where the day is not known");
        }
        if page.trim().is_empty() {
            let problem = Diagnostic::error("prices_wrong", "a source names no page");
            self.push(problem, source, "write the address of the page that has the prices");
        }
    }
}

fn is_day(text: &str) -> bool {
    let whole = if text.len() == 7 { format!("{text}-01") } else { text.to_owned() };
    whole.parse::<jiff::civil::Date>().is_ok() && whole.len() == 10
}

impl Prices {
    /// A single price.
    #[must_use]
    pub fn single(&self, name: &str) -> Option<&Single> {
        self.single.get(name)
    }

    /// Whether a type costs nothing by itself.
    #[must_use]
    pub fn is_free(&self, kind: &str) -> bool {
        self.free.iter().any(|pattern| matches(pattern, kind))
    }

    /// By what use a type is paid.
    #[must_use]
    pub fn use_of(&self, kind: &str) -> Option<&str> {
        self.per_use.iter().find(|(pattern, _)| matches(pattern, kind)).map(|(_, what)| what.as_str())
    }
}

fn matches(pattern: &str, kind: &str) -> bool {
    pattern.strip_suffix('*').map_or_else(|| pattern == kind, |begin| kind.starts_with(begin))
}

#[cfg(test)]
mod tests;
