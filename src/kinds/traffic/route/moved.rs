//! Moving the traffic of a route that is an object: one apply, proved by reading back what the platform says of it.

use super::{
    Form, endpoints, failure, foreign, live,
    operation::{backend, write},
    reference,
    sides::{Bound, Sides},
};
use crate::{
    base::{Side, Value},
    kinds::{Context, traffic::receiver},
    world::{Backend, Class, ObjectRef, Outcome, Routed, TargetHealth, Traffic, Weights},
};
use async_trait::async_trait;
use serde_json::Value as Json;
use std::time::Duration;

struct Route {
    context: Context,
    form: Form,
    object: ObjectRef,
    block: Json,
}

pub(in crate::kinds::traffic) fn open(
    context: &Context,
    form: Form,
    inputs: &Value,
    identity: &Json,
) -> Outcome<Box<dyn Traffic>> {
    context.cluster()?;
    let missing = || failure(Class::Invalid, context, "the route was never applied");
    let object = reference(identity).ok_or_else(missing)?;
    let block = inputs.get(form.word()).and_then(Value::to_json).ok_or_else(missing)?;
    Ok(Box::new(Route { context: context.clone(), form, object, block }))
}

impl Route {
    /// The object, which must be ours.
    async fn ours(&self) -> Outcome<(Json, Sides)> {
        let gone = || failure(Class::NotFound, &self.context, format!("{} is gone", self.object));
        let object = live(&self.context, &self.object).await?.ok_or_else(gone)?;
        if let Some(refused) = foreign(&self.context, &object) {
            return Err(refused);
        }
        let sides = Sides::of(self.form, &object);
        Ok((object, sides))
    }
}

#[async_trait]
impl Traffic for Route {
    async fn bind(&self, side: Side, backend: &Backend) -> Outcome<()> {
        let port = receiver::port(&self.context, backend).await?;
        let (_, mut sides) = self.ours().await?;
        let bound = Bound { service: backend.service.clone(), namespace: backend.namespace.clone(), port };
        if self.form == Form::Service && Some(&backend.namespace) != self.object.namespace.as_ref() {
            let what = format!(
                "a service selects pods of its own namespace, and {} is in {}",
                backend.service, backend.namespace
            );
            return Err(failure(Class::Invalid, &self.context, what)
                .hint("declare the route in the namespace of what is rolled out"));
        }
        if self.form == Form::Service && backend.service == self.object.name {
            let what = format!("the service {} is the route itself", backend.service);
            return Err(failure(Class::Invalid, &self.context, what).hint("name a service of one colour in `backend`"));
        }
        if sides.on(side) == Some(&bound) {
            return Ok(());
        }
        sides.set(side, Some(bound));
        write(&self.context, self.form, &self.block, &sides).await.map(drop)
    }

    async fn unbind(&self, side: Side) -> Outcome<()> {
        let (_, mut sides) = self.ours().await?;
        if sides.on(side).is_none() {
            return Ok(());
        }
        if sides.weights.of(side) > 0 {
            let what = format!("{side} still has {} percent of the traffic of {}", sides.weights.of(side), self.object);
            return Err(failure(Class::Conflict, &self.context, what));
        }
        sides.set(side, None);
        write(&self.context, self.form, &self.block, &sides).await.map(drop)
    }

    async fn shift(&self, weights: Weights) -> Outcome<()> {
        let (_, mut sides) = self.ours().await?;
        if let Some(side) = [Side::Blue, Side::Green].into_iter().find(|s| weights.of(*s) > 0 && sides.on(*s).is_none())
        {
            return Err(failure(Class::Invalid, &self.context, format!("nothing receives the traffic of {side} yet")));
        }
        if self.form == Form::Service && !matches!(weights.of(Side::Green), 0 | 100) {
            let what = "a service takes no weights: its traffic goes from one side to the other in one switch";
            return Err(failure(Class::Invalid, &self.context, what));
        }
        sides.weights = weights;
        if self.form == Form::Service && backend(&self.context, self.form, &sides).await?.is_none() {
            let what = format!("the service that receives the traffic of {} is not there", sides.active());
            return Err(failure(Class::NotFound, &self.context, what));
        }
        write(&self.context, self.form, &self.block, &sides).await.map(drop)
    }

    async fn read(&self) -> Outcome<Routed> {
        let (object, sides) = self.ours().await?;
        let (weights, why) = self.form.weights(&object, &sides);
        let backend = backend(&self.context, self.form, &sides).await?;
        Ok(Routed { weights, unproved: why.or_else(|| self.form.unproved(&object, backend.as_ref())) })
    }

    async fn health(&self, side: Side) -> Outcome<TargetHealth> {
        let (_, sides) = self.ours().await?;
        match sides.on(side) {
            Some(bound) => endpoints::health(&self.context, bound).await,
            None => Ok(TargetHealth::default()),
        }
    }

    async fn drain(&self, _side: Side) -> Outcome<Duration> {
        Ok(Duration::ZERO)
    }
}
