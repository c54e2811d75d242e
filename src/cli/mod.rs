//! The command line: arguments, wiring, views, exit codes.
