//! A few kinds for the tests of this room. The real ones lie in the kinds' room, which this one may not know.

use crate::lang::schema::{
    AttributeSchema, BlockSchema, ConnectionNeed, KindSchema, NestedSchema, Role, Schema, Shape,
};

const fn a(name: &'static str, shape: Shape) -> AttributeSchema {
    AttributeSchema { name, shape, required: false, sensitive: false, one_of: &[], doc: "", reads: None }
}

const fn r(name: &'static str, shape: Shape) -> AttributeSchema {
    AttributeSchema { required: true, ..a(name, shape) }
}

const fn block(attributes: &'static [AttributeSchema]) -> BlockSchema {
    BlockSchema { attributes, blocks: &[], exactly_one: &[], doc: "" }
}

const fn probe(name: &'static str, block: &'static BlockSchema) -> NestedSchema {
    NestedSchema { name, labels: 0, repeated: false, required: false, block }
}

const fn kind(
    name: &'static str,
    role: Role,
    connection: ConnectionNeed,
    block: &'static BlockSchema,
    exports: &'static [AttributeSchema],
) -> KindSchema {
    KindSchema { name, role, block, exports, connection, rollout: false }
}

const PROBES: &[NestedSchema] = &[
    probe(
        "http",
        &block(&[
            a("namespace", Shape::String),
            a("selector", Shape::StringMap),
            a("service", Shape::String),
            a("url", Shape::String),
            a("port", Shape::Number),
            a("path", Shape::String),
        ]),
    ),
    probe("tcp", &block(&[a("host", Shape::String), r("port", Shape::Number)])),
    probe(
        "pods",
        &block(&[r("namespace", Shape::String), a("selector", Shape::StringMap), a("min_ready", Shape::Number)]),
    ),
    probe(
        "condition",
        &block(&[
            r("api_version", Shape::String),
            r("kind", Shape::String),
            a("namespace", Shape::String),
            r("name", Shape::String),
            r("type", Shape::String),
            a("status", Shape::String),
        ]),
    ),
    probe("expression", &block(&[r("condition", Shape::Bool), r("error_message", Shape::String)])),
    probe("command", &block(&[r("program", Shape::Strings)])),
    probe(
        "prometheus",
        &block(&[
            a("server", Shape::Reference),
            r("query", Shape::String),
            a("max", Shape::Number),
            a("min", Shape::Number),
        ]),
    ),
];

/// The kinds of the reference plan and of the examples.
pub(crate) static SCHEMA: Schema = Schema {
    kinds: &[
        KindSchema {
            rollout: true,
            ..kind(
                "stack",
                Role::Managed,
                ConnectionNeed::Aws,
                &block(&[
                    r("template", Shape::String),
                    a("name", Shape::String),
                    a("parameters", Shape::Object),
                    a("tags", Shape::StringMap),
                    a("capabilities", Shape::Strings),
                ]),
                &[a("outputs", Shape::Object), a("id", Shape::String)],
            )
        },
        kind(
            "eks_addon",
            Role::Managed,
            ConnectionNeed::Aws,
            &block(&[
                r("cluster", Shape::String),
                r("addon", Shape::String),
                a("version", Shape::String),
                AttributeSchema { one_of: &["none", "overwrite", "preserve"], ..a("resolve_conflicts", Shape::String) },
            ]),
            &[a("arn", Shape::String)],
        ),
        kind(
            "eks_upgrade",
            Role::Managed,
            ConnectionNeed::Aws,
            &block(&[
                r("stack", Shape::Reference),
                r("parameter", Shape::String),
                a("addons", Shape::Reference),
                a("bake", Shape::Duration),
            ]),
            &[],
        ),
        KindSchema {
            rollout: true,
            ..kind(
                "helm",
                Role::Managed,
                ConnectionNeed::Kubernetes,
                &BlockSchema {
                    attributes: &[
                        r("chart", Shape::String),
                        a("repository", Shape::String),
                        a("version", Shape::String),
                        a("namespace", Shape::String),
                        a("name", Shape::String),
                        a("values", Shape::Object),
                        a("wait", Shape::Bool),
                    ],
                    blocks: &[NestedSchema {
                        repeated: true,
                        ..probe("set", &block(&[r("name", Shape::String), r("value", Shape::Any)]))
                    }],
                    exactly_one: &[],
                    doc: "",
                },
                &[a("revision", Shape::Number)],
            )
        },
        kind(
            "manifest",
            Role::Managed,
            ConnectionNeed::Kubernetes,
            &block(&[r("object", Shape::Object)]),
            &[a("live", Shape::Object)],
        ),
        kind(
            "terraform",
            Role::Managed,
            ConnectionNeed::None,
            &block(&[r("root", Shape::String), a("program", Shape::String), a("inputs", Shape::Object)]),
            &[a("outputs", Shape::Object)],
        ),
        kind(
            "traffic",
            Role::Managed,
            ConnectionNeed::Aws,
            &BlockSchema {
                attributes: &[],
                blocks: &[probe(
                    "alb",
                    &block(&[
                        a("listener", Shape::String),
                        a("priority", Shape::Number),
                        a("host", Shape::String),
                        r("blue", Shape::String),
                        r("green", Shape::String),
                    ]),
                )],
                exactly_one: &["alb"],
                doc: "",
            },
            &[a("id", Shape::String)],
        ),
        kind(
            "value",
            Role::Managed,
            ConnectionNeed::None,
            &block(&[a("input", Shape::Any), a("triggers_replace", Shape::Any)]),
            &[a("output", Shape::Any)],
        ),
        kind(
            "command",
            Role::Managed,
            ConnectionNeed::None,
            &block(&[
                r("create", Shape::Strings),
                a("read", Shape::Strings),
                a("update", Shape::Strings),
                a("delete", Shape::Strings),
                a("undo", Shape::Strings),
                a("working_dir", Shape::String),
                a("environment", Shape::StringMap),
            ]),
            &[a("output", Shape::Any)],
        ),
        kind(
            "check",
            Role::Check,
            ConnectionNeed::Kubernetes,
            &BlockSchema {
                attributes: &[
                    AttributeSchema { one_of: &["error", "warning"], ..a("severity", Shape::String) },
                    a("every", Shape::Duration),
                    a("within", Shape::Duration),
                ],
                blocks: PROBES,
                exactly_one: &["http", "tcp", "pods", "condition", "expression", "command", "prometheus"],
                doc: "",
            },
            &[],
        ),
        kind(
            "secret",
            Role::Data,
            ConnectionNeed::Aws,
            &BlockSchema {
                exactly_one: &["secretsmanager", "ssm"],
                ..block(&[a("secretsmanager", Shape::String), a("ssm", Shape::String), a("key", Shape::String)])
            },
            &[AttributeSchema { sensitive: true, ..a("value", Shape::String) }],
        ),
        kind(
            "ssm_parameter",
            Role::Data,
            ConnectionNeed::Aws,
            &block(&[r("name", Shape::String)]),
            &[a("value", Shape::String)],
        ),
        kind(
            "plan_outputs",
            Role::Data,
            ConnectionNeed::None,
            &block(&[r("plan", Shape::String)]),
            &[a("outputs", Shape::Object)],
        ),
    ],
    probes: PROBES,
};
