//! What a change is to whoever reviews it: whether it is one, what it is called, and what of it does not come back.

use crate::{
    base::ActionWord,
    kinds::{ChildChange, Undo},
    plan::Planned,
};

/// True for a node that is a change.
pub(super) fn is_change(node: &Planned) -> bool {
    node.moved_from.is_some() || !matches!(node.action, ActionWord::NoOp | ActionWord::Read)
}

/// What is done, in a word.
pub(super) fn word(node: &Planned) -> &'static str {
    if node.moved_from.is_some() && node.action == ActionWord::NoOp { "moved" } else { node.action.word() }
}

/// What does not come back as it was.
pub(super) struct Loss<'a> {
    /// Parts whose data is lost.
    pub(super) parts: Vec<&'a str>,
    /// Whether the thing's own data is lost.
    pub(super) data: bool,
    /// Why there is no way back.
    pub(super) why: Option<&'a str>,
}

/// What is lost by a change; `None` where nothing is, or nothing but a part of it.
pub(super) fn loss(node: &Planned) -> Option<Loss<'_>> {
    if matches!(node.action, ActionWord::NoOp | ActionWord::Read | ActionWord::Verify) {
        return None;
    }
    let destroys = |action: ActionWord| matches!(action, ActionWord::Replace | ActionWord::Delete);
    let lost = node.children.iter().filter(|child| child.stateful && destroys(child.action) && !child.is_kept());
    let parts: Vec<&str> = lost.map(|child| child.name.as_str()).collect();
    let data =
        parts.is_empty() && node.stateful && destroys(node.action) && !node.children.iter().any(ChildChange::is_kept);
    let why = if let Undo::None(why) = &node.undo { Some(why.as_str()) } else { None };
    (!parts.is_empty() || data || why.is_some()).then_some(Loss { parts, data, why })
}
