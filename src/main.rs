//! The program: hands everything to the command line room.
fn main() {}
