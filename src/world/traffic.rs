//! A route whose traffic a rollout moves between two permanent sides: an application load balancer's rule, an `HTTPRoute`, a
//! service, a `VirtualService`. Rollouts are written once, against this.

use crate::{base::Side, world::Outcome};
use async_trait::async_trait;
use std::time::Duration;

/// How much of the traffic each side gets, in percent; always 100 in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(from = "u8", into = "u8")]
pub struct Weights {
    green: u8,
}

impl Weights {
    /// This much to one side, and the rest to the other. Above 100 is 100.
    #[must_use]
    pub const fn to(side: Side, percent: u8) -> Self {
        let percent = if percent > 100 { 100 } else { percent };
        match side {
            Side::Green => Self { green: percent },
            Side::Blue => Self { green: 100 - percent },
        }
    }

    /// The share of a side, in percent.
    #[must_use]
    pub const fn of(self, side: Side) -> u8 {
        match side {
            Side::Green => self.green,
            Side::Blue => 100 - self.green,
        }
    }
}

impl From<u8> for Weights {
    fn from(green: u8) -> Self {
        Self::to(Side::Green, green)
    }
}

impl From<Weights> for u8 {
    fn from(weights: Weights) -> Self {
        weights.green
    }
}

/// What a route tells of itself when it is read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routed {
    /// The weights that are in force.
    pub weights: Weights,
    /// Why it cannot be said that they are in force yet, or at all: a condition of the route that does not hold. `None` where
    /// they are, by the platform's own word.
    pub unproved: Option<String>,
}

/// What the platform says of the targets of one side.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TargetHealth {
    /// Targets that get requests.
    pub healthy: usize,
    /// Targets that are still being looked at for the first time.
    pub initial: usize,
    /// Targets that fail, each with what is said of it.
    pub unhealthy: Vec<String>,
    /// Targets on their way out.
    pub draining: usize,
}

impl TargetHealth {
    /// True where the side can bear traffic: somebody is there, and nobody who should be there is not well.
    #[must_use]
    pub const fn is_healthy(&self) -> bool {
        self.healthy > 0 && self.initial == 0 && self.unhealthy.is_empty()
    }
}

/// `2 healthy, 1 initial, 1 unhealthy (10.0.1.7:4466 Target.Timeout)`.
impl std::fmt::Display for TargetHealth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.healthy + self.initial + self.draining == 0 && self.unhealthy.is_empty() {
            return f.write_str("no targets");
        }
        write!(f, "{} healthy", self.healthy)?;
        if self.initial > 0 {
            write!(f, ", {} initial", self.initial)?;
        }
        if !self.unhealthy.is_empty() {
            write!(f, ", {} unhealthy ({})", self.unhealthy.len(), self.unhealthy.join(", "))?;
        }
        if self.draining > 0 {
            write!(f, ", {} draining", self.draining)?;
        }
        Ok(())
    }
}

/// What receives the traffic of a side: a service in the cluster that the rolled-out thing is in.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Backend {
    /// The service.
    pub service: String,
    /// Its namespace.
    pub namespace: String,
    /// Its port, by number or name.
    pub port: String,
}

/// One route. Every method may be called again with the same effect.
#[async_trait]
pub trait Traffic: Send + Sync {
    /// Makes `backend` what receives a side's traffic. Does not touch the weights.
    ///
    /// # Errors
    /// Also where the place is somebody else's.
    async fn bind(&self, side: Side, backend: &Backend) -> Outcome<()>;

    /// Takes away what [`Traffic::bind`] made for a side. The caller has seen that it has no traffic. An absent one is no error.
    async fn unbind(&self, side: Side) -> Outcome<()>;

    /// Moves traffic, by exactly one call that changes anything; with all of it on one side, stickiness is switched off by the same call.
    /// Returns once accepted, not once proved.
    async fn shift(&self, weights: Weights) -> Outcome<()>;

    /// Reads back what is in force.
    async fn read(&self) -> Outcome<Routed>;

    /// How long the targets of a side keep the requests that they have once they are taken out: what the caller waits after a
    /// side's traffic is gone, before it unbinds the side or takes its pods away. Nothing where the platform says nothing of it.
    async fn drain(&self, side: Side) -> Outcome<Duration>;

    /// What the platform says of a side's targets.
    async fn health(&self, side: Side) -> Outcome<TargetHealth>;
}
