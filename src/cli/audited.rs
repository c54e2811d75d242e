//! What commands write to the chain of audit that no run writes: plans, broken locks, state changed by hand.

use crate::{
    cli::{
        context::Context,
        delivery,
        error::{Error, Result},
        loaded::{Chosen, Loaded},
        place,
        stage::Stage,
    },
    plan::Saved,
    state::audit::{self, Act, Anchor, Deed},
    world::{Class, Ledger},
};
use std::sync::Arc;

/// Records something that is about to be done to a state, before it is.
///
/// # Errors
/// Where it cannot be told who calls, or the storage fails: then it is not done.
pub(crate) async fn record(
    context: &Context,
    loaded: &Loaded,
    chosen: &Chosen,
    ledger: &Arc<dyn Ledger>,
    (deed, what): (Deed, String),
) -> Result<()> {
    let world = place::open_world(context, &loaded.place.project, chosen)?;
    let by = delivery::actor(context, loaded, chosen, &*world).await?;
    let act = Act::new(world.clock().now(), by, &context.surroundings.origin(), deed, what);
    audit::record(&**ledger, &act).await?;
    Ok(())
}

/// Records a plan that was made, and returns the end of the chain, where it can be read. Who may only read leaves no trace: what they
/// planned is recorded when it is approved or applied.
pub(crate) async fn planned(context: &Context, stage: &Stage, chosen: &Chosen, saved: &Saved) -> Option<Anchor> {
    let header = &saved.content.header;
    if header.offline {
        return None;
    }
    let recorded = async {
        let world = &stage.subject.world;
        let by = delivery::actor(context, &stage.loaded, chosen, &**world).await?;
        let act = Act::new(world.clock().now(), by, &context.surroundings.origin(), Deed::Plan, "plan");
        let act = Act { plan: Some(saved.digest.clone()), release: header.release.clone(), ..act };
        Ok::<_, Error>(audit::record(&*stage.ledger, &act).await)
    };
    match recorded.await {
        Ok(Ok(end)) => return Some(end),
        Ok(Err(failure)) if failure.class != Class::Denied => {
            context.terminal.status(&format!("warning: the plan is not in the audit trail: {failure}"));
        }
        _ => {}
    }
    audit::end(&*stage.ledger).await.ok().flatten()
}
