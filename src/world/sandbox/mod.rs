//! The embedded world: every trait over one persistent, fault-injecting place. Shipped, and the only fake there is.
