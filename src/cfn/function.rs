//! The functions of strings and lists, without a template around them.
