//! The program: hands everything to the command line room.

use std::process::ExitCode;

fn main() -> ExitCode {
    terrace::cli::main()
}
