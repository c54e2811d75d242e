//! `terrace policy waive` and `waivers`: what rules find and is let pass, for a time, for a reason, by two people (rule 43).

use crate::{
    base::Address,
    cli::{
        context::Context,
        delivery,
        error::{Error, Result},
        exit::Exit,
        loaded::{Loaded, load},
        place, policies,
        style::{bold, clean},
        views::{json::answer, table},
    },
    lang::{Declaration, gates::moment, suggest},
    plan::WaiverStanding,
    policy,
    state::{Decision, Fact, Standing, Waived, facts},
    world::live::OsRandom,
};
use serde_json::json;

/// So many hours a waiver may count: a year.
const LONGEST_HOURS: i64 = 366 * 24;

/// Arguments of `policy waive`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The rule; with --lift, the waiver
    #[arg(value_name = "RULE")]
    rule: String,
    /// Of what; of everything in the environment where it is not given
    #[arg(long, value_name = "ADDRESS", conflicts_with = "lift")]
    address: Option<Address>,
    /// Until when: a date, or RFC 3339
    #[arg(long, value_name = "TIME", required_unless_present = "lift", conflicts_with = "lift")]
    until: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// It counts no more
    #[arg(long)]
    lift: bool,
}

/// Asks for a waiver, or lifts one.
pub(super) async fn run(args: Args, context: &Context) -> Result<Exit> {
    if args.reason.trim().is_empty() {
        return Err(Error::usage("reason_needed", "say why: the reason is empty").hint("--reason TEXT"));
    }
    let loaded = load(context, None)?;
    let desk = Desk::open(&loaded, context).await?;
    if args.lift {
        let (name, _) = desk.find(&args.rule)?;
        let name = name.to_owned();
        desk.record(args.reason, Decision::LiftWaiver { waiver: name.clone() }, context).await?;
        context.terminal.status(&format!("the waiver {name} counts no more"));
        return Ok(Exit::Done);
    }
    known(&args.rule, &loaded, context).await?;
    let text = args.until.unwrap_or_default();
    let until = moment(&text, &jiff::tz::TimeZone::UTC).ok_or_else(|| {
        Error::usage("wrong_value", format!("--until {text} is no moment"))
            .hint("write a date like 2026-12-20, or 2026-12-20T08:00:00Z")
    })?;
    if until <= desk.now {
        return Err(Error::usage("wrong_value", format!("--until {text} is over: it is {}", desk.now))
            .hint("a waiver counts until a moment that comes"));
    }
    if until.duration_since(desk.now).as_hours() > LONGEST_HOURS {
        return Err(Error::usage("wrong_value", format!("--until {text} is more than a year away"))
            .because("a waiver that nobody ever looks at again is a rule that is not there")
            .hint("ask for it anew when its time is over; or set the rule to warn in [policy.severity]"));
    }
    if let Some(address) = &args.address
        && loaded.configuration.resource(&Declaration::from(&address.plain())).is_none()
    {
        context.terminal.status(&format!("warning: nothing is declared as {address} now"));
    }
    let decision = Decision::Waive { rule: args.rule.clone(), address: args.address.clone(), until };
    let fact = desk.record(args.reason, decision, context).await?;
    let name = fact.name();
    let of = args.address.map_or_else(|| "everything".to_owned(), |address| address.to_string());
    if context.terminal.json {
        let said = json!({ "name": name, "rule": args.rule, "of": of, "until": until });
        context.terminal.json_line(&answer("policy_waiver", said));
        return Ok(Exit::Done);
    }
    context.terminal.status(&format!("waiver {}: {} of {of}, until {until}", bold(&name), args.rule));
    let sandbox = if context.global.sandbox { " --sandbox" } else { "" };
    let next = format!("terrace approve --waiver {name} --env {}{sandbox}", desk.env);
    context.terminal.status(&format!("It counts once somebody else agrees. Next: {}", bold(next)));
    Ok(Exit::Done)
}

/// Refuses a rule that there is not.
async fn known(rule: &str, loaded: &Loaded, context: &Context) -> Result<()> {
    let packs = policies::read(&loaded.place.project, None, context).await?.all;
    let own = policy::RULES.iter().map(|rule| rule.name);
    let all: Vec<&str> = packs.iter().flat_map(|pack| pack.rules.keys()).map(String::as_str).chain(own).collect();
    if all.contains(&rule) {
        return Ok(());
    }
    let error = Error::usage("policy_rule_unknown", format!("there is no rule `{rule}`"));
    Err(match suggest::nearest(rule, all.iter().copied()) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint("terrace policy list names all rules"),
    })
}

/// Lists the waivers of an environment.
pub(super) async fn list(context: &Context) -> Result<Exit> {
    let loaded = load(context, None)?;
    let desk = Desk::open(&loaded, context).await?;
    let word = |standing| match standing {
        WaiverStanding::Counts => "counts",
        WaiverStanding::Unapproved => "waits for somebody else",
        WaiverStanding::Expired => "is over",
    };
    if context.terminal.json {
        for (name, waived) in &desk.standing.waivers {
            let said = json!({
                "name": name, "rule": waived.rule, "address": waived.address, "until": waived.until,
                "standing": policy::standing(waived, desk.now), "reason": waived.fact.reason,
                "by": waived.fact.by.spoken(), "at": waived.fact.at,
                "agreed": waived.agreed.as_ref().map(|fact| fact.by.spoken()),
            });
            context.terminal.json_line(&answer("policy_waiver", said));
        }
        return Ok(Exit::Done);
    }
    if desk.standing.waivers.is_empty() {
        context.terminal.status(&format!("no rule is waived in {}", desk.env));
        return Ok(Exit::Done);
    }
    let row = |(name, waived): (&String, &Waived)| {
        vec![
            name.clone(),
            waived.rule.clone(),
            waived.address.as_ref().map_or_else(|| "everything".to_owned(), ToString::to_string),
            word(policy::standing(waived, desk.now)).to_owned(),
            waived.until.to_string(),
            waived.fact.by.spoken().to_owned(),
            waived.agreed.as_ref().map_or_else(String::new, |fact| fact.by.spoken().to_owned()),
            clean(&waived.fact.reason).replace('\n', " "),
        ]
    };
    let rows: Vec<Vec<String>> = desk.standing.waivers.iter().map(row).collect();
    let head = ["waiver", "rule", "of", "standing", "until", "by", "agreed by", "reason"];
    context.terminal.data(&table::render(&head, &rows));
    Ok(Exit::Done)
}

/// Agrees to a waiver that somebody else asked for.
///
/// # Errors
/// No such waiver; one's own; one whose time is over.
pub(crate) async fn agree(name: &str, reason: Option<String>, context: &Context) -> Result<Exit> {
    let loaded = load(context, None)?;
    let desk = Desk::open(&loaded, context).await?;
    let (name, waived) = desk.find(name)?;
    if waived.fact.by.may_be(&desk.by) {
        let (own, who) = (desk.by.spoken(), waived.fact.by.spoken());
        return Err(Error::new("waiver_own", format!("{own} cannot agree to a waiver that {who} asked for"))
            .because("two people must agree, and only those whom [people] of terrace.toml tells apart are two")
            .exit(Exit::NotEligible)
            .hint("ask somebody else"));
    }
    if policy::standing(waived, desk.now) == WaiverStanding::Expired {
        return Err(Error::new("waiver_over", format!("the waiver {name} ended on {}", waived.until))
            .exit(Exit::NotEligible)
            .hint("terrace policy waive asks for another"));
    }
    let (name, rule) = (name.to_owned(), waived.rule.clone());
    let of = waived.address.as_ref().map_or_else(|| "everything".to_owned(), ToString::to_string);
    let Waived { fact, until, .. } = waived;
    let who = fact.by.spoken();
    context.terminal.status(&format!(
        "{who} asks: {rule} of {of} in {}, until {until}: {}",
        desk.env,
        clean(&fact.reason)
    ));
    let reason = reason.unwrap_or_else(|| "agreed".to_owned());
    desk.record(reason, Decision::AgreeToWaiver { waiver: name.clone() }, context).await?;
    context.terminal.status(&format!("{} agrees to the waiver {} of {rule}", desk.by.spoken(), bold(name)));
    Ok(Exit::Done)
}

/// Where waivers are, and who asks.
struct Desk {
    ledger: std::sync::Arc<dyn crate::world::Ledger>,
    by: crate::state::Actor,
    env: std::sync::Arc<str>,
    now: jiff::Timestamp,
    standing: Standing,
}

impl Desk {
    async fn open(loaded: &Loaded, context: &Context) -> Result<Self> {
        let chosen = loaded.choose(context).await?;
        let world = place::open_world(context, &loaded.place.project, &chosen)?;
        let by = delivery::actor(context, loaded, &chosen, &*world).await?;
        let ledger = place::ledger(context, loaded, &chosen)?;
        let standing = Standing::of(facts::all(&*ledger).await?);
        Ok(Self { ledger, by, env: chosen.environment.name.clone(), now: world.clock().now(), standing })
    }

    fn find(&self, name: &str) -> Result<(&str, &Waived)> {
        let waivers = &self.standing.waivers;
        let mut found = waivers.iter().filter(|(one, _)| !name.is_empty() && one.starts_with(name));
        match (found.next(), found.next()) {
            (Some((one, waived)), None) => Ok((one, waived)),
            _ => Err(Error::usage("waiver_unknown", format!("there is no waiver `{name}` in {}", self.env))
                .hint("terrace policy waivers lists them")),
        }
    }

    async fn record(&self, reason: String, decision: Decision, context: &Context) -> Result<Fact> {
        let fact = Fact::new(self.now, self.by.clone(), reason, decision);
        facts::record(&*self.ledger, &OsRandom, &fact, &context.surroundings.origin()).await?;
        Ok(fact)
    }
}
