//! Templates that were read, kept as long as their stack has not moved, so that an apply does not read again what its plan
//! read. A stack's template changes only by an operation, and each of these changes its status or the time of its update.

use crate::world::Stack;
use jiff::Timestamp;
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// What tells that a stack has not moved.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    status: String,
    updated: Option<Timestamp>,
}

/// Templates by the ARN of their stack.
#[derive(Debug, Default)]
pub(super) struct Templates(Mutex<BTreeMap<String, (Stamp, Option<String>)>>);

impl Templates {
    /// A stack was described: what is kept of an older one is let go.
    pub(super) fn described(&self, stack: &Stack) {
        let stamp = Stamp { status: stack.status.0.clone(), updated: stack.updated };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if stack.status.in_progress() || stack.status.in_review() {
            known.remove(&stack.id);
        } else if known.get(&stack.id).is_none_or(|(old, _)| *old != stamp) {
            known.insert(stack.id.clone(), (stamp, None));
        }
    }

    /// The template of a stack by ARN, where it was read since the stack last moved.
    pub(super) fn get(&self, id: &str) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id)?.1.clone()
    }

    /// Keeps a template that was read, of a stack that was described before.
    pub(super) fn put(&self, id: &str, text: &str) {
        if let Some((_, kept)) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(id) {
            *kept = Some(text.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::StackStatus;

    fn stack(status: &str, updated: Option<&str>) -> Stack {
        Stack {
            id: "arn:x".to_owned(),
            name: "x".to_owned(),
            status: StackStatus(status.to_owned()),
            status_reason: String::new(),
            parameters: BTreeMap::new(),
            outputs: BTreeMap::new(),
            tags: BTreeMap::new(),
            capabilities: Vec::new(),
            role_arn: None,
            notification_arns: None,
            termination_protection: false,
            created: Timestamp::UNIX_EPOCH,
            updated: updated.map(|t| t.parse().unwrap()),
            last_token: None,
        }
    }

    #[test]
    fn a_template_is_kept_until_its_stack_moves() {
        let templates = Templates::default();
        templates.put("arn:x", "lost");
        assert_eq!(templates.get("arn:x"), None, "a stack that nobody described may move at any time");
        templates.described(&stack("CREATE_COMPLETE", None));
        templates.put("arn:x", "first");
        templates.described(&stack("CREATE_COMPLETE", None));
        assert_eq!(templates.get("arn:x").as_deref(), Some("first"));
        for (status, updated) in
            [("UPDATE_COMPLETE", Some("2026-01-01T00:00:00Z")), ("UPDATE_COMPLETE", Some("2026-01-01T00:00:01Z"))]
        {
            templates.described(&stack(status, updated));
            assert_eq!(templates.get("arn:x"), None);
            templates.put("arn:x", "next");
        }
        templates.described(&stack("UPDATE_IN_PROGRESS", Some("2026-01-01T00:00:01Z")));
        templates.put("arn:x", "half");
        assert_eq!(templates.get("arn:x"), None);
    }
}
