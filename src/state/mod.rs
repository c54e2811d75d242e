//! What Terrace remembers: resources, runs, the journal of intents and outcomes, and the lock.
