//! Short ways to write the schema of a kind: one line an attribute.

use crate::lang::schema::{AttributeSchema, BlockSchema, NestedSchema, Reads, Shape};

/// An attribute that may be left out.
pub(super) const fn optional(name: &'static str, shape: Shape, doc: &'static str) -> AttributeSchema {
    AttributeSchema { name, shape, required: false, sensitive: false, one_of: &[], doc, reads: None }
}

/// An attribute that must be written.
pub(super) const fn required(name: &'static str, shape: Shape, doc: &'static str) -> AttributeSchema {
    AttributeSchema { required: true, ..optional(name, shape, doc) }
}

/// An attribute whose value is never shown.
pub(super) const fn secret(name: &'static str, shape: Shape, doc: &'static str) -> AttributeSchema {
    AttributeSchema { sensitive: true, ..optional(name, shape, doc) }
}

/// An attribute that takes one of a few words.
pub(super) const fn choice(name: &'static str, one_of: &'static [&'static str], doc: &'static str) -> AttributeSchema {
    AttributeSchema { one_of, ..optional(name, Shape::String, doc) }
}

/// An attribute whose text has a language of its own.
pub(super) const fn read_by(attribute: AttributeSchema, reads: Reads) -> AttributeSchema {
    AttributeSchema { reads: Some(reads), ..attribute }
}

/// A block without blocks in it.
pub(super) const fn block(attributes: &'static [AttributeSchema], doc: &'static str) -> BlockSchema {
    BlockSchema { attributes, blocks: &[], exactly_one: &[], doc }
}

/// A nested block that may be written once.
pub(super) const fn nested(name: &'static str, block: &'static BlockSchema) -> NestedSchema {
    NestedSchema { name, labels: 0, repeated: false, required: false, block }
}

/// A nested block that may be written more than once.
pub(super) const fn repeated(name: &'static str, block: &'static BlockSchema) -> NestedSchema {
    NestedSchema { repeated: true, ..nested(name, block) }
}
