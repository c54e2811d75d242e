//! What may be written in a probe: the one block inside `verify` and `check` that asks.

use crate::{
    kinds::{
        attribute::{block, choice, nested, optional, read_by, required},
        probe::{cloudwatch::is_period, condition::is_expression, http::is_regex, json_path::is_path},
    },
    lang::schema::{AttributeSchema, BlockSchema, NestedSchema, Shape},
};

const HTTP: BlockSchema = BlockSchema {
    attributes: &[
        optional("url", Shape::String, "A URL, asked from this machine."),
        optional("service", Shape::String, "A service, asked through the API server at one of its ready pods."),
        optional("selector", Shape::StringMap, "Labels of pods, one of which is asked through the API server."),
        optional("namespace", Shape::String, "Namespace of service or pods. Default: the resource's own namespace."),
        optional("port", Shape::Number, "Port of the service or pod. Default: 80."),
        optional("path", Shape::String, "Path, with its query. Default: `/`."),
        choice("method", &["GET", "HEAD", "POST", "OPTIONS"], "Method. Default: `GET`."),
        optional("headers", Shape::StringMap, "Extra headers."),
        optional("status", Shape::Any, "The status that passes, or a list of them. Default: any from 200 to 299."),
        optional("body_contains", Shape::String, "A text that the body must contain."),
        read_by(
            optional("body_matches", Shape::String, "A regular expression that the body must match somewhere."),
            is_regex,
        ),
        optional("response_headers", Shape::StringMap, "Headers that the answer must have, with these values."),
        read_by(
            optional(
                "json_path",
                Shape::String,
                "A JSONPath into the body, like `data.items[0].state`; it must exist.",
            ),
            is_path,
        ),
        optional("json_value", Shape::Any, "What must be found at `json_path`."),
        optional("timeout", Shape::Duration, "How long one request may take. Default: `10s`."),
    ],
    blocks: &[],
    exactly_one: &["url", "service", "selector"],
    doc: "Sends a request and looks at the answer.",
};

const TCP: BlockSchema = BlockSchema {
    attributes: &[
        optional("host", Shape::String, "A host, connected to from this machine."),
        optional("service", Shape::String, "A service, through the API server."),
        optional("selector", Shape::StringMap, "Labels of pods, through the API server."),
        optional("namespace", Shape::String, "Namespace of service or pods. Default: the resource's own namespace."),
        required("port", Shape::Number, "The port."),
        optional("timeout", Shape::Duration, "How long one try may take. Default: `10s`."),
    ],
    blocks: &[],
    exactly_one: &["host", "service", "selector"],
    doc: "Opens a connection.",
};

const PODS: BlockSchema = block(
    &[
        optional("namespace", Shape::String, "Namespace of the pods. Default: the resource's own namespace."),
        required("selector", Shape::StringMap, "Labels of the pods."),
        optional("min_ready", Shape::Number, "How many must be ready. Default: 1."),
    ],
    "Counts pods that are ready.",
);

const CONDITION: BlockSchema = BlockSchema {
    attributes: &[
        required("api_version", Shape::String, "API version of the object, like `apps/v1`."),
        required("kind", Shape::String, "Kind of the object, like `Deployment`."),
        optional(
            "namespace",
            Shape::String,
            "Namespace of the object. Default: the resource's own; none for what is cluster-wide.",
        ),
        required("name", Shape::String, "Name of the object."),
        optional("type", Shape::String, "Type of a condition in its status, like `Available`."),
        optional("status", Shape::String, "What that condition's status must be. Default: `True`."),
        read_by(
            optional("json_path", Shape::String, "A JSONPath into the object, like `.status.phase`; it must exist."),
            is_path,
        ),
        optional("value", Shape::Any, "What must be found at `json_path`."),
        read_by(
            optional("cel", Shape::String, "A CEL expression that must be true, with the object as `object`."),
            is_expression,
        ),
    ],
    blocks: &[],
    exactly_one: &["type", "json_path", "cel"],
    doc: "Looks at an object: at a condition in its status, at one of its fields, or by an expression.",
};

const COMMAND: BlockSchema = block(
    &[
        required("program", Shape::Strings, "Program and arguments; it passes by exiting with 0."),
        optional("environment", Shape::StringMap, "Variables beside those that Terrace itself has."),
        optional("working_dir", Shape::String, "Folder to run in, relative to the project. Default: the project."),
        optional("timeout", Shape::Duration, "How long one run may take. Default: `30s`."),
    ],
    "Runs a program.",
);

const EXPRESSION: BlockSchema = block(
    &[
        required("condition", Shape::Bool, "What must be true."),
        required("error_message", Shape::String, "What is said where it is not."),
    ],
    "Asks an expression.",
);

/// What may be made of a result that holds no number.
const RULES: &[&str] = &["fail", "pass", "inconclusive", "error"];

const MIN: AttributeSchema = optional("min", Shape::Number, "The least that passes.");
const MAX: AttributeSchema =
    optional("max", Shape::Number, "The most that passes. Without `min` and `max` any number does.");
const FAIL_BELOW: AttributeSchema =
    optional("fail_below", Shape::Number, "Less than this fails; from here to `min` it is inconclusive.");
const FAIL_ABOVE: AttributeSchema =
    optional("fail_above", Shape::Number, "More than this fails; from `max` to here it is inconclusive.");
const MAX_RATIO: AttributeSchema =
    optional("max_ratio", Shape::Number, "How many times the old colour's number it may be. In rollouts only.");
const MAX_INCREASE: AttributeSchema =
    optional("max_increase", Shape::Number, "How much more than the old colour's number it may be. In rollouts only.");

const PROMETHEUS: BlockSchema = block(
    &[
        required("server", Shape::Reference, "A `prometheus` block: `prometheus.main`."),
        required("query", Shape::String, "An instant query; each series of its result must pass."),
        MIN,
        MAX,
        FAIL_BELOW,
        FAIL_ABOVE,
        MAX_RATIO,
        MAX_INCREASE,
        choice("empty", RULES, "What a result without a series means. Default: `fail`."),
        choice("nan", RULES, "What a value that is not a number means. Default: `fail`."),
        optional("timeout", Shape::Duration, "How long one query may take. Default: `10s`."),
    ],
    "Asks Prometheus.",
);

const CLOUDWATCH: BlockSchema = BlockSchema {
    attributes: &[
        optional("metric", Shape::String, "Name of a metric, whose newest complete number must pass."),
        optional("namespace", Shape::String, "Namespace of the metric, like `AWS/ApplicationELB`."),
        optional("dimensions", Shape::StringMap, "Dimensions of the metric, all of them."),
        optional("statistic", Shape::String, "`Sum`, `Maximum`, `p99` or the like. Default: `Average`."),
        read_by(
            optional(
                "period",
                Shape::Duration,
                "What one number is made of: whole minutes, or 1s to 30s. Default: `1m`.",
            ),
            is_period,
        ),
        MIN,
        MAX,
        FAIL_BELOW,
        FAIL_ABOVE,
        MAX_RATIO,
        MAX_INCREASE,
        choice("empty", RULES, "What a metric without a number means. Default: `fail`."),
        optional(
            "alarm",
            Shape::String,
            "Name of an alarm, in the place of a metric: `OK` passes, `ALARM` fails, `INSUFFICIENT_DATA` is inconclusive.",
        ),
        optional(
            "aws",
            Shape::Reference,
            "An `aws` block: `aws.NAME`. Default: the resource's own account and region.",
        ),
    ],
    blocks: &[],
    exactly_one: &["metric", "alarm"],
    doc: "Asks CloudWatch.",
};

/// Every probe.
pub(in crate::kinds) const PROBES: &[NestedSchema] = &[
    nested("http", &HTTP),
    nested("tcp", &TCP),
    nested("pods", &PODS),
    nested("condition", &CONDITION),
    nested("command", &COMMAND),
    nested("expression", &EXPRESSION),
    nested("prometheus", &PROMETHEUS),
    nested("cloudwatch", &CLOUDWATCH),
];
