//! One question to a model within a budget of time: asked again once where that may help, and the time is there.

use crate::world::{Advice, Advisor, Class, Clock, Enquiry, Failure, Outcome};
use std::time::Duration;

/// The pause before the second try where the service names none.
const PAUSE: Duration = Duration::from_secs(1);

/// Asks, and once more where the service was too busy or broke off.
///
/// # Errors
/// What kept the answer from coming, the last time.
pub async fn ask(advisor: &dyn Advisor, clock: &dyn Clock, enquiry: &Enquiry, budget: Duration) -> Outcome<Advice> {
    let begun = clock.now();
    let left = || {
        let used = Duration::try_from(clock.now().duration_since(begun)).unwrap_or_default();
        budget.saturating_sub(used)
    };
    let first = match advisor.ask(enquiry, budget).await {
        Ok(advice) => return Ok(advice),
        Err(first) => first,
    };
    // What took too long once would do so again.
    if !matches!(first.failure.class, Class::Throttled | Class::Unavailable) {
        return Err(first.failure);
    }
    let pause = first.again_after.unwrap_or(PAUSE);
    if pause >= left() {
        let what = format!("{}; there is no time to ask again", first.failure.message);
        return Err(Failure { message: what, ..first.failure });
    }
    clock.sleep(pause).await;
    advisor.ask(enquiry, left()).await.map_err(|second| second.failure)
}
