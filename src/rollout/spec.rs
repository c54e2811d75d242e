//! What a `rollout` block asks for, once it is evaluated: strategy, steps, times, and what judges it.

use crate::{
    base::{Address, Color, Diagnostic, Diagnostics, Side, Span, Value, parse_duration},
    lang::{ast::Block, configuration::Rollout},
    rollout::Limits,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// How a new version takes the place of the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Two colours that take turns: the new one beside the old one, traffic moved step by step, the old one kept warm.
    BlueGreen,
    /// The new version beside the stable one for a share of the traffic; then the stable one is updated, and the canary goes.
    Canary,
}

impl Strategy {
    /// What stands on a side of the route.
    #[must_use]
    pub const fn on(self, side: Side) -> Color {
        match (self, side) {
            (Self::BlueGreen, Side::Blue) => Color::Blue,
            (Self::BlueGreen, Side::Green) => Color::Green,
            (Self::Canary, Side::Blue) => Color::Stable,
            (Self::Canary, Side::Green) => Color::Canary,
        }
    }
}

/// How long a step is held once its traffic is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pause {
    /// This long.
    For(Duration),
    /// Until somebody says `rollout promote`.
    Person,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Step {
    /// The new version's share of the traffic, in percent.
    pub weight: u8,
    /// How long it is held.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pause: Option<Pause>,
}

/// A rollout as it is declared.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Spec {
    /// How.
    pub strategy: Strategy,
    /// The route whose traffic is moved.
    pub traffic: Address,
    /// Shares in rising order.
    pub steps: Vec<Step>,
    /// How long it must be well with its last share before the rollout ends.
    pub bake: Duration,
    /// How long what has no traffic any more is kept warm.
    pub keep: Duration,
    /// What judges each step and the bake, by the label of its `verify` block.
    pub analyses: BTreeMap<Arc<str>, Limits>,
}

/// How long what a rollout replaced is kept where nothing is declared: Argo Rollouts' `scaleDownDelaySeconds`.
const KEEP: Duration = Duration::from_secs(30);
/// How long the targets of the new version may take to be healthy by the load balancer's own word, before any traffic moves.
pub const TARGETS_WITHIN: Duration = Duration::from_secs(10 * 60);
/// How long weights may take to be in force once they were accepted.
pub const PROVED_WITHIN: Duration = Duration::from_secs(2 * 60);

impl Spec {
    /// Reads an evaluated `rollout` block; `None` under the rolling strategy, which needs none of it.
    ///
    /// # Errors
    /// Everything that is wrong with it: no route, steps that are none or do not rise, times that are none.
    pub fn of(value: &Value, declared: &Rollout) -> Result<Option<Self>, Diagnostics> {
        let strategy = match value.get("strategy").and_then(Value::as_str) {
            Some("blue_green") => Strategy::BlueGreen,
            Some("canary") => Strategy::Canary,
            _ => return Ok(None),
        };
        let mut problems = Diagnostics::new();
        let block = &declared.block;
        let traffic = value.get("traffic").and_then(Value::as_str).and_then(|text| text.parse().ok());
        if traffic.is_none() {
            problems.push(
                Diagnostic::error("rollout_traffic", "a rollout with two versions side by side needs a route to move")
                    .at(&place(block, "traffic"), "")
                    .because("without one nothing says which of the two gets the requests")
                    .hint("write traffic = traffic.NAME, or strategy = \"rolling\""),
            );
        }
        let time = |name: &str, default: Duration, problems: &mut Diagnostics| {
            let Some(given) = value.get(name).filter(|v| !v.is_null()) else { return default };
            given.as_str().and_then(|text| parse_duration(text).ok()).unwrap_or_else(|| {
                let what = format!("`{name}` must be a time that is known, like \"15m\"");
                problems.push(Diagnostic::error("duration", what).at(&place(block, name), ""));
                default
            })
        };
        let bake = time("bake", Duration::ZERO, &mut problems);
        let keep = time("keep", KEEP, &mut problems);
        let steps = steps(value, strategy, block, &mut problems);
        if problems.has_errors() {
            return Err(problems);
        }
        let Some(traffic) = traffic else { return Err(problems) };
        let analyses = declared.verify.iter().map(|verify| (verify.name.clone(), Limits::of(verify))).collect();
        Ok(Some(Self { strategy, traffic, steps, bake, keep, analyses }))
    }

    /// What it comes down to where the new version is already there, was proved, and is only to get its traffic back; and where there is no old
    /// one to take it from.
    #[must_use]
    pub fn at_once(&self) -> Self {
        let steps = vec![Step { weight: 100, pause: None }];
        Self { steps, bake: Duration::ZERO, analyses: BTreeMap::new(), ..self.clone() }
    }

    /// How long a step is judged, where every measurement passes.
    #[must_use]
    pub fn judged(&self) -> Duration {
        self.analyses.values().map(expected).max().unwrap_or_default()
    }

    /// How long it takes at least, where every measurement passes and nobody has to be waited for.
    #[must_use]
    pub fn expected(&self) -> Duration {
        let measured = self.judged();
        let step = |step: &Step| match step.pause {
            Some(Pause::For(pause)) => pause.max(measured),
            _ => measured,
        };
        self.steps.iter().map(step).sum::<Duration>() + self.bake
    }
}

/// How long an analysis takes where every measurement passes.
fn expected(limits: &Limits) -> Duration {
    let measurements = limits.count.unwrap_or(limits.consecutive).max(1);
    limits.initial_delay + limits.every * (measurements - 1)
}

fn place(block: &Block, attribute: &str) -> Span {
    block.body.attributes.get(attribute).map_or_else(|| block.header.clone(), |a| a.expr.span.clone())
}

fn steps(value: &Value, strategy: Strategy, block: &Block, problems: &mut Diagnostics) -> Vec<Step> {
    let wrong = |what: String| {
        Diagnostic::error("rollout_steps", what)
            .at(&place(block, "steps"), "")
            .because("each step is the new version's share of the traffic, in percent")
            .hint("write rising numbers, like [10, 50, 100], or { weight = 10, pause = \"5m\" } in the place of one")
    };
    let default = match value.get("pause").filter(|v| !v.is_null()).map(pause) {
        None => None,
        Some(Ok(pause)) => pause,
        Some(Err(what)) => {
            problems.push(Diagnostic::error("rollout_pause", what).at(&place(block, "pause"), ""));
            None
        }
    };
    let Some(given) = value.get("steps").filter(|v| !v.is_null()) else {
        if strategy == Strategy::Canary {
            problems.push(wrong("a canary needs `steps`".to_owned()));
        }
        return vec![Step { weight: 100, pause: default }];
    };
    if given.as_seq().is_none() {
        problems.push(wrong("`steps` is a list".to_owned()));
    }
    let mut out: Vec<Step> = Vec::new();
    for (at, one) in given.as_seq().into_iter().flat_map(|s| s.iter()).enumerate() {
        let unknown = one.as_map().and_then(|map| map.keys().find(|key| !matches!(&***key, "weight" | "pause")));
        if let Some(key) = unknown {
            problems.push(wrong(format!("step {} has no `{key}`: there is `weight` and `pause`", at + 1)));
            return out;
        }
        let number = one.get("weight").unwrap_or(one);
        let own = one.get("pause").filter(|v| !v.is_null()).map_or(Ok(default), pause);
        let weight = number.as_i64().and_then(|n| u8::try_from(n).ok()).filter(|n| (1..=100).contains(n));
        let (weight, pause) = match (weight, own) {
            (Some(weight), Ok(pause)) => (weight, pause),
            (None, _) => {
                problems.push(wrong(format!("step {} is no share between 1 and 100 percent", at + 1)));
                return out;
            }
            (_, Err(what)) => {
                problems.push(Diagnostic::error("rollout_pause", what).at(&place(block, "steps"), ""));
                return out;
            }
        };
        if let Some(before) = out.last().filter(|before| before.weight >= weight) {
            let what = format!("step {} goes from {} to {weight} percent: steps must rise", at + 1, before.weight);
            problems.push(wrong(what));
            return out;
        }
        out.push(Step { weight, pause });
    }
    match out.last() {
        None => problems.push(wrong("there is no step".to_owned())),
        Some(last) if strategy == Strategy::BlueGreen && last.weight != 100 => {
            let what = format!("the last step leaves {} percent with the old colour", 100 - last.weight);
            problems.push(wrong(what).because("blue/green ends with all traffic on the new colour"));
        }
        Some(_) => {}
    }
    out
}

/// `"5m"`; `true`, or `"manual"`, for a person; `false` for none.
fn pause(value: &Value) -> Result<Option<Pause>, String> {
    let what = "`pause` is a time like \"5m\", or true to wait for `terrace rollout promote`";
    match (value.as_bool(), value.as_str()) {
        (Some(true), _) | (_, Some("manual")) => Ok(Some(Pause::Person)),
        (Some(false), _) => Ok(None),
        (_, Some(text)) => parse_duration(text).map(|d| Some(Pause::For(d))).map_err(|_| what.to_owned()),
        _ => Err(what.to_owned()),
    }
}
