//! What may be written in the blocks that belong to the language itself: `plan`, `phase`, `environment`, connections,
//! `verify`, `lifecycle` and so on. Kinds bring their own schemas; `terrace schema` prints both.

use crate::lang::schema::{AttributeSchema, BlockSchema, NestedSchema, Shape};

const fn attribute(name: &'static str, shape: Shape, doc: &'static str) -> AttributeSchema {
    AttributeSchema { name, shape, required: false, sensitive: false, one_of: &[], doc, reads: None }
}

const fn required(name: &'static str, shape: Shape, doc: &'static str) -> AttributeSchema {
    AttributeSchema { name, shape, required: true, sensitive: false, one_of: &[], doc, reads: None }
}

const fn one_of(name: &'static str, one_of: &'static [&'static str], doc: &'static str) -> AttributeSchema {
    AttributeSchema { name, shape: Shape::String, required: false, sensitive: false, one_of, doc, reads: None }
}

const fn block(name: &'static str, block: &'static BlockSchema) -> NestedSchema {
    NestedSchema { name, labels: 0, repeated: false, required: false, block }
}

const fn blocks(name: &'static str, labels: u8, block: &'static BlockSchema) -> NestedSchema {
    NestedSchema { name, labels, repeated: true, required: false, block }
}

const fn schema(
    attributes: &'static [AttributeSchema],
    blocks: &'static [NestedSchema],
    doc: &'static str,
) -> BlockSchema {
    BlockSchema { attributes, blocks, exactly_one: &[], doc }
}

/// Attributes that every resource takes, whatever its kind.
pub const META_ATTRIBUTES: &[AttributeSchema] = &[
    attribute("phase", Shape::Reference, "The phase it belongs to: phase.NAME. Mandatory once a phase is declared."),
    attribute("depends_on", Shape::Any, "References to what must be there first, where nothing else refers to it."),
    attribute("for_each", Shape::Any, "A map, an object or a set of strings: one instance for each."),
    attribute("when", Shape::Bool, "Whether it is there at all; false removes it."),
    attribute(
        "controls",
        Shape::Strings,
        "NIST SP 800-53 controls that it implements, such as SC-28; of a check, those that it proves.",
    ),
];

/// Blocks that every managed resource takes; `rollout` only where the kind says so.
pub const META_BLOCKS: &[NestedSchema] = &[
    block("lifecycle", &LIFECYCLE),
    blocks("verify", 1, &VERIFY),
    block("timeouts", &TIMEOUTS),
    block("rollout", &ROLLOUT),
];

/// Names that a variable may not have, since a `module` block gives them another meaning (rule 15).
pub const RESERVED_VARIABLES: &[&str] = &[
    "source",
    "version",
    "phase",
    "phases",
    "depends_on",
    "for_each",
    "when",
    "count",
    "kubernetes",
    "aws",
    "controls",
    "lifecycle",
    "verify",
    "timeouts",
    "rollout",
    "dynamic",
];

/// `plan "label" {}`.
pub const PLAN: BlockSchema = schema(
    &[
        attribute("description", Shape::String, "What the plan is for."),
        attribute("requires_terrace", Shape::String, "The versions of terrace that may apply it, like \">= 0.1\"."),
    ],
    &[],
    "Names the plan. One a plan.",
);

/// A condition with a message.
pub const CONDITION: BlockSchema = schema(
    &[
        required("condition", Shape::Bool, "What must hold."),
        required("error_message", Shape::String, "What is said where it does not."),
    ],
    &[],
    "A condition and what is said where it does not hold.",
);

/// `variable "name" {}`.
pub const VARIABLE: BlockSchema = schema(
    &[
        attribute("type", Shape::Any, "Its type: string, number, bool, list(T), map(T), object({ ... }), any."),
        attribute("default", Shape::Any, "Its value where none is given; without it, a value must be given."),
        attribute("description", Shape::String, "What it is for."),
        attribute("sensitive", Shape::Bool, "Never shown or stored in clear; nor is what is made of it."),
        attribute("nullable", Shape::Bool, "Whether it may be null. By default true."),
    ],
    &[blocks("validation", 0, &CONDITION)],
    "A value that is given from outside.",
);

/// `output "name" {}`.
pub const OUTPUT: BlockSchema = schema(
    &[
        required("value", Shape::Any, "Its value."),
        attribute("description", Shape::String, "What it is."),
        attribute("sensitive", Shape::Bool, "Shown only on request. Mandatory for what is made of a secret."),
    ],
    &[],
    "A value for the outside: the caller of a module, another plan, a person.",
);

/// `phase "name" {}`.
pub const PHASE: BlockSchema = schema(
    &[
        attribute("description", Shape::String, "What is in it."),
        attribute("after", Shape::Any, "Phases that must have passed: [phase.NAME]."),
        one_of("on_failure", &["halt", "rollback"], "What happens when something in it fails. By default halt."),
    ],
    &[blocks("verify", 1, &VERIFY)],
    "A barrier: it starts when all of what it comes after is applied and verified.",
);

const ASSUME_ROLE: BlockSchema = schema(
    &[
        required("role_arn", Shape::String, "The role."),
        attribute("mfa_serial", Shape::String, "The device whose code is asked for."),
        attribute("external_id", Shape::String, "The external id that the role asks for."),
        attribute("session_name", Shape::String, "How the session is called."),
        attribute("duration", Shape::Duration, "How long the session lasts, 15m to 12h. By default one hour."),
        attribute("tags", Shape::StringMap, "Session tags."),
    ],
    &[],
    "A role to take on.",
);

const AWS_ATTRIBUTES: &[AttributeSchema] = &[
    required("region", Shape::String, "The region."),
    attribute("account_id", Shape::String, "The account, twelve digits; another one is refused."),
    attribute("endpoint_url", Shape::String, "Another endpoint than AWS's own."),
    attribute("profile", Shape::String, "A profile of the AWS configuration."),
    attribute("ci_role_arn", Shape::String, "The role that CI takes on with its OIDC token, without MFA."),
    attribute(
        "template_bucket",
        Shape::String,
        "The bucket for templates over 51,200 bytes and for those of nested stacks.",
    ),
];

/// `aws {}` in an environment.
pub const ENVIRONMENT_AWS: BlockSchema =
    schema(AWS_ATTRIBUTES, &[block("assume_role", &ASSUME_ROLE)], "The account that the environment is.");

/// `sandbox {}` in an environment.
pub const SANDBOX: BlockSchema = schema(
    &[
        attribute("region", Shape::String, "The region it plays. By default us-east-1."),
        attribute("account_id", Shape::String, "The account it plays. By default 000000000000."),
    ],
    &[],
    "The embedded world, for good.",
);

const APPROVAL: BlockSchema = schema(
    &[
        attribute("count", Shape::Number, "How many persons must approve. By default 1."),
        attribute("valid_for", Shape::Duration, "How long an approval counts. By default for ever."),
        attribute("self", Shape::Bool, "Whether the release's or the plan's author counts. By default false."),
        attribute(
            "approvers",
            Shape::Strings,
            "Who may approve: ARNs with `*` and `?`, or persons. By default anybody who may write approvals.",
        ),
    ],
    &[],
    "How many must approve before it is applied.",
);

const WINDOW: BlockSchema = schema(
    &[
        attribute("days", Shape::Strings, "Days of the week: mon, tue, wed, thu, fri, sat, sun. By default all."),
        attribute("hours", Shape::String, "From and to, like \"09:00-16:00\". By default the whole day."),
        attribute("timezone", Shape::String, "An IANA time zone. By default UTC."),
    ],
    &[],
    "When it may be applied. Of several, inside any.",
);

const FREEZE: BlockSchema = schema(
    &[
        required("from", Shape::String, "Its first moment: a date, or RFC 3339."),
        required("until", Shape::String, "The first moment after it: a date, or RFC 3339."),
        attribute("timezone", Shape::String, "An IANA time zone, for dates. By default UTC."),
        attribute("reason", Shape::String, "Why."),
    ],
    &[],
    "When it may not be applied.",
);

/// `environment "name" {}`.
pub const ENVIRONMENT: BlockSchema = BlockSchema {
    attributes: &[
        attribute("description", Shape::String, "What it is for."),
        attribute("after", Shape::Any, "What it is promoted from: [environment.NAME]."),
        attribute("ttl", Shape::Duration, "Idle for this long, `terrace reap` destroys it."),
        attribute("soak", Shape::Duration, "How long a release must have been verified and running upstream."),
        attribute("auto_promotion", Shape::Bool, "Whether `promote --auto` may move releases here. By default false."),
        attribute("protected", Shape::Bool, "No destroy, no replacement of stateful things without an explicit flag."),
        one_of("on_failed_verification", &["halt", "rollback"], "What happens to earlier phases. By default halt."),
        attribute("break_glass", Shape::Strings, "Who may pass windows, freezes and approvals in an emergency."),
    ],
    blocks: &[
        block("aws", &ENVIRONMENT_AWS),
        block("sandbox", &SANDBOX),
        block("approval", &APPROVAL),
        blocks("window", 0, &WINDOW),
        blocks("freeze", 1, &FREEZE),
    ],
    exactly_one: &["aws", "sandbox"],
    doc: "A place that the plan is applied to. Literals only.",
};

/// `kubernetes "name" {}`.
pub const KUBERNETES: BlockSchema = BlockSchema {
    attributes: &[
        attribute("for_each", Shape::Any, "One connection for each."),
        attribute("as", Shape::String, "The user to act as; the caller must be allowed to impersonate."),
        attribute("as_groups", Shape::Strings, "The groups to act in, with `as`."),
    ],
    blocks: &[
        block(
            "eks",
            &schema(
                &[
                    required("name", Shape::String, "The cluster's name."),
                    attribute(
                        "aws",
                        Shape::Reference,
                        "The account and region it is in: aws.NAME. By default the environment's.",
                    ),
                    attribute("role_arn", Shape::String, "A role to take on for the cluster."),
                ],
                &[],
                "An EKS cluster, found by name.",
            ),
        ),
        block(
            "kubeconfig",
            &schema(
                &[
                    attribute("path", Shape::String, "The file. By default the one of kubectl."),
                    attribute("context", Shape::String, "The context. By default the current one."),
                ],
                &[],
                "A cluster of a kubeconfig file.",
            ),
        ),
        block(
            "in_cluster",
            &schema(&[], &[], "The cluster that Terrace itself runs in, as its pod's service account."),
        ),
    ],
    exactly_one: &["eks", "kubeconfig", "in_cluster"],
    doc: "A connection to a cluster, which may not exist yet.",
};

/// `aws "name" {}`.
pub const AWS: BlockSchema = schema(
    &[
        required("region", Shape::String, "The region."),
        attribute("account_id", Shape::String, "The account, twelve digits; another one is refused."),
        attribute("endpoint_url", Shape::String, "Another endpoint than AWS's own."),
        attribute("profile", Shape::String, "A profile of the AWS configuration."),
        attribute("ci_role_arn", Shape::String, "The role that CI takes on with its OIDC token, without MFA."),
        attribute(
            "template_bucket",
            Shape::String,
            "The bucket for templates over 51,200 bytes and for those of nested stacks.",
        ),
        attribute("for_each", Shape::Any, "One connection for each."),
    ],
    &[block("assume_role", &ASSUME_ROLE)],
    "Another account or region than the environment's, for what names it.",
);

/// `prometheus "name" {}`.
pub const PROMETHEUS: BlockSchema = BlockSchema {
    attributes: &[
        attribute("service", Shape::String, "A service in the cluster, reached through its API server."),
        attribute("namespace", Shape::String, "The service's namespace."),
        attribute("port", Shape::Number, "The service's port. By default 80."),
        attribute("path", Shape::String, "What comes before /api/v1."),
        attribute("url", Shape::String, "A URL, in place of a service."),
        AttributeSchema { sensitive: true, ..attribute("token", Shape::String, "A bearer token.") },
        attribute("kubernetes", Shape::Reference, "The connection: kubernetes.NAME."),
    ],
    blocks: &[],
    exactly_one: &["service", "url"],
    doc: "Where metrics are asked for.",
};

/// `notify "name" {}`.
pub const NOTIFY: BlockSchema = schema(
    &[
        required("url", Shape::String, "Where events are sent: https://, or http:// on this machine."),
        attribute(
            "events",
            Shape::Strings,
            "Which: planned, waiting_for_approval, applied, failed, rolled_back, drifted. By default all.",
        ),
        required("secret", Shape::String, "What events are signed with: a sensitive variable of 16 bytes or more."),
    ],
    &[],
    "Who is told of what happens: a CloudEvent over HTTP, signed as Standard Webhooks has it.",
);

/// `lifecycle {}`.
pub const LIFECYCLE: BlockSchema = schema(
    &[
        attribute("prevent_destroy", Shape::Bool, "Whatever would destroy it is refused."),
        attribute(
            "ignore_changes",
            Shape::Any,
            "Attributes that are left as they are live: [values.replicas], or all.",
        ),
        attribute("create_before_destroy", Shape::Bool, "A replacement makes the new one first."),
        attribute("replace_triggered_by", Shape::Any, "References whose change replaces it."),
    ],
    &[blocks("precondition", 0, &CONDITION), blocks("postcondition", 0, &CONDITION)],
    "How it is changed.",
);

/// `timeouts {}`.
pub const TIMEOUTS: BlockSchema = schema(
    &[
        attribute("create", Shape::Duration, "To create it."),
        attribute("read", Shape::Duration, "To read it."),
        attribute("update", Shape::Duration, "To update it."),
        attribute("delete", Shape::Duration, "To delete it."),
    ],
    &[],
    "How long each may take.",
);

/// `verify "name" {}`, the probes aside, which the kinds' room knows.
pub const VERIFY: BlockSchema = schema(
    &[
        attribute("every", Shape::Duration, "Between tries. By default 5s."),
        attribute("within", Shape::Duration, "In all. By default 5m."),
        attribute("consecutive", Shape::Number, "How many passes in a row. By default 1."),
        attribute("failure_limit", Shape::Number, "How many failures a rollout bears. By default 0."),
        attribute("count", Shape::Number, "How many measurements a rollout takes."),
        attribute("initial_delay", Shape::Duration, "Before the first measurement. In rollouts only. By default none."),
        attribute(
            "inconclusive_limit",
            Shape::Number,
            "How many inconclusive measurements are borne. In rollouts only. By default 0.",
        ),
        attribute(
            "error_limit",
            Shape::Number,
            "How many measurements in a row may fail to be made. In rollouts only. By default 4.",
        ),
        attribute("dry_run", Shape::Bool, "Measured and told, without a say. In rollouts only. By default false."),
        attribute("controls", Shape::Strings, "NIST SP 800-53 controls that it proves. Not in rollouts."),
    ],
    &[],
    "Proof that it works: exactly one probe.",
);

/// `rollout {}`.
pub const ROLLOUT: BlockSchema = schema(
    &[
        one_of("strategy", &["rolling", "blue_green", "canary"], "How a new version takes over. By default rolling."),
        attribute("traffic", Shape::Reference, "What is moved: traffic.NAME."),
        attribute("steps", Shape::Any, "Percent of traffic on the new version, step by step: [10, 50, 100]."),
        attribute("pause", Shape::Any, "How long each step is held, or whether it waits for a person."),
        attribute("bake", Shape::Duration, "How long it must be well at 100 percent."),
        attribute("keep", Shape::Duration, "How long the old version is kept warm afterwards."),
    ],
    &[
        block(
            "backend",
            &schema(
                &[
                    required("service", Shape::String, "The service."),
                    attribute("namespace", Shape::String, "Its namespace. By default the release's."),
                    attribute("port", Shape::Any, "Its port."),
                ],
                &[],
                "What receives each colour's traffic.",
            ),
        ),
        blocks("verify", 1, &VERIFY),
    ],
    "How a new version takes the place of the old one.",
);

/// The head of a `module` block; its other attributes are the module's variables.
pub const MODULE: BlockSchema = schema(
    &[
        required("source", Shape::String, "The module's folder, relative to this one."),
        attribute("phase", Shape::Reference, "The phase for what names none inside: phase.NAME."),
        attribute("phases", Shape::Object, "Phases that the module names: { storage = phase.foundation }."),
        attribute("depends_on", Shape::Any, "Holds for its resources of the same or a later phase."),
        attribute("for_each", Shape::Any, "One module for each."),
        attribute("when", Shape::Bool, "Whether it is there at all."),
        attribute("kubernetes", Shape::Reference, "Its connection: kubernetes.NAME. By default the caller's."),
        attribute("aws", Shape::Reference, "Its connection: aws.NAME. By default the caller's."),
    ],
    &[block("rollout", &ROLLOUT)],
    "Resources of another folder, used as one.",
);

/// `moved {}`.
pub const MOVED: BlockSchema = schema(
    &[required("from", Shape::Reference, "Its former address."), required("to", Shape::Reference, "Its address now.")],
    &[],
    "Another address, the same thing.",
);

/// `import {}`.
pub const IMPORT: BlockSchema = schema(
    &[
        required("to", Shape::Reference, "The address that it gets."),
        required("id", Shape::String, "What it is called where it is."),
    ],
    &[],
    "Adopts what exists.",
);

/// `removed {}`.
pub const REMOVED: BlockSchema =
    schema(&[required("from", Shape::Reference, "Its former address.")], &[], "Lets go of it without destroying it.");

/// Every block that stands at the top of a file and belongs to the language, with how many labels it has.
pub const TOP: &[(&str, u8, &BlockSchema)] = &[
    ("plan", 1, &PLAN),
    ("variable", 1, &VARIABLE),
    ("output", 1, &OUTPUT),
    ("phase", 1, &PHASE),
    ("environment", 1, &ENVIRONMENT),
    ("kubernetes", 1, &KUBERNETES),
    ("aws", 1, &AWS),
    ("prometheus", 1, &PROMETHEUS),
    ("notify", 1, &NOTIFY),
    ("module", 1, &MODULE),
    ("moved", 0, &MOVED),
    ("import", 0, &IMPORT),
    ("removed", 0, &REMOVED),
];
