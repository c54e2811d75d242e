//! What may be written in a `traffic` block.

use crate::{
    kinds::attribute::{block, nested, optional, required},
    lang::schema::{AttributeSchema, BlockSchema, ConnectionNeed, KindSchema, Role, Shape},
};

const ALB: BlockSchema = BlockSchema {
    exactly_one: &["listener", "rule"],
    ..block(
        &[
            optional(
                "listener",
                Shape::String,
                "ARN of the listener on which Terrace makes a rule of its own. Changing it replaces the rule.",
            ),
            optional(
                "rule",
                Shape::String,
                "ARN of a rule that is there already, in place of one of Terrace's own: its forward is moved, and nothing else of it.",
            ),
            optional("priority", Shape::Number, "Priority of the rule, 1 to 50,000; with `listener`."),
            optional(
                "host",
                Shape::String,
                "Host that the rule answers to; `*` and `?` stand for others. With `listener`.",
            ),
            optional("path", Shape::String, "Path that the rule answers to, like `/shop/*`. With `listener`."),
            required("blue", Shape::String, "ARN of the blue target group."),
            required("green", Shape::String, "ARN of the green target group."),
            optional(
                "stickiness",
                Shape::Duration,
                "How long a client keeps its target group while both get traffic, 1s to 7d. Default: what is set on the rule.",
            ),
        ],
        "A rule of an application load balancer's listener, with two permanent target groups.",
    )
};

const NAMESPACE: AttributeSchema =
    required("namespace", Shape::String, "Namespace of the object. Changing it replaces the route.");
const NAME: AttributeSchema =
    optional("name", Shape::String, "Name of the object. Changing it replaces the route. Default: the block's name.");

const GATEWAY: BlockSchema = block(
    &[
        NAMESPACE,
        NAME,
        required("parent", Shape::String, "Name of the `Gateway` that the route belongs to."),
        optional("parent_namespace", Shape::String, "Namespace of the `Gateway`. Default: the route's own."),
        optional(
            "hostnames",
            Shape::Strings,
            "Hosts that the route answers to. Default: all that the gateway listens for.",
        ),
        optional("path", Shape::String, "What the paths begin with that the route answers to. Default: `/`."),
    ],
    "An `HTTPRoute` of the Gateway API, with two weighted backends.",
);

const SERVICE: BlockSchema = block(
    &[
        NAMESPACE,
        required("name", Shape::String, "Name of the service, which Terrace makes. Changing it replaces the route."),
    ],
    "A service whose selector is switched from one side to the other: no weights.",
);

const ISTIO: BlockSchema = block(
    &[
        NAMESPACE,
        NAME,
        required("hosts", Shape::Strings, "Hosts that the route answers to."),
        optional("gateways", Shape::Strings, "Gateways of Istio that the route belongs to. Default: the mesh."),
    ],
    "A `VirtualService` of Istio, with two weighted destinations.",
);

/// The schema of `traffic`.
pub(in crate::kinds) const SCHEMA: KindSchema = KindSchema {
    name: "traffic",
    role: Role::Managed,
    block: &BlockSchema {
        blocks: &[
            nested("alb", &ALB),
            nested("gateway", &GATEWAY),
            nested("service", &SERVICE),
            nested("istio", &ISTIO),
        ],
        exactly_one: &["alb", "gateway", "service", "istio"],
        ..block(&[], "A route whose traffic a rollout moves between blue and green.")
    },
    exports: &[optional("id", Shape::String, "The rule's ARN, or the object: `HTTPRoute shop/web`.")],
    connection: ConnectionNeed::KubernetesWith(&["gateway", "service", "istio"]),
    rollout: false,
};
