//! Time, as the world has it.

use std::time::Duration;

/// The world's clock. The sandbox's runs fast; the core never reads another.
#[async_trait::async_trait]
pub trait Clock: Send + Sync {
    /// The moment now.
    fn now(&self) -> jiff::Timestamp;

    /// Waits this long by this clock.
    async fn sleep(&self, duration: Duration);
}

/// Randomness, as the world has it: ids and jitter. The sandbox's is seeded.
pub trait Entropy: Send + Sync {
    /// Sixty-four random bits.
    fn next(&self) -> u64;
}
