//! Observe and diff into a plan.
