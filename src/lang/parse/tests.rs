//! Tests of the parser.

use super::*;

fn file() -> Arc<str> {
    "test.hcl".into()
}
