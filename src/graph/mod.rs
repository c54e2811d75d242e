//! Configuration and environment to one dependency graph.
