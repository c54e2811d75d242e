//! YAML with places and the short forms of functions.
