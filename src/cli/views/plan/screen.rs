//! What does not fit a screen is counted: the parts of a big chart are shown until their lines are used up.

use super::Page;
use crate::{
    base::ActionWord,
    cli::style::{clean, dim, of_action},
    kinds::ChildChange,
};
use std::collections::BTreeMap;

/// So many lines the parts of one thing may take.
const LINES: usize = 30;
/// So many lines one of them may take.
const OF_ONE: usize = 12;

/// The lines that are left, and what was not shown.
pub(super) struct Screen {
    left: usize,
    more: BTreeMap<(&'static str, String), usize>,
    cut: bool,
}

impl Screen {
    /// One of the usual height; without a limit where there is none.
    pub(super) const fn new(limited: bool) -> Self {
        Self { left: if limited { LINES } else { usize::MAX }, more: BTreeMap::new(), cut: false }
    }

    /// Writes a part as far as there is room. One that is made anew, or whose data is lost, is always shown.
    pub(super) fn part(&mut self, child: &ChildChange, page: &mut Page, write: &dyn Fn(&ChildChange, &mut Page)) {
        let weighs = child.maybe_replace
            || child.action == ActionWord::Replace
            || child.action == ActionWord::Delete && (child.stateful || child.policy.is_some());
        if !self.lines(page, weighs, &|page| write(child, page)) {
            let word = if child.action == ActionWord::Update { "~" } else { child.action.sign() };
            *self.more.entry((word, child.kind.clone())).or_default() += 1;
        }
    }

    /// Writes lines as far as there is room; false where there is none.
    pub(super) fn lines(&mut self, page: &mut Page, always: bool, write: &dyn Fn(&mut Page)) -> bool {
        let mut own = Page { text: String::new(), width: page.width };
        write(&mut own);
        let lines: Vec<&str> = own.text.lines().collect();
        let shown = if self.left == usize::MAX || lines.len() <= OF_ONE { lines.len() } else { OF_ONE - 1 };
        if self.left < shown && !always {
            self.cut = true;
            return false;
        }
        lines[..shown].iter().for_each(|line| page.line(line));
        if shown < lines.len() {
            self.cut = true;
            page.line(&format!("              {}", dim(format!("... and {} more lines", lines.len() - shown))));
        }
        if self.left != usize::MAX {
            self.left = self.left.saturating_sub(shown);
        }
        true
    }

    /// Counts what was not shown, and says where all of it is.
    pub(super) fn end(self, page: &mut Page) {
        for ((sign, kind), count) in &self.more {
            let sign = of_action(ActionWord::Update, format!("{sign:>3}"));
            page.line(&format!("        {sign} {count} more x {}", clean(kind)));
        }
        if self.cut {
            page.line(&format!("            {}", dim("--json shows all of it")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child(kind: &str, action: ActionWord) -> ChildChange {
        ChildChange {
            name: format!("{kind} apps/x"),
            kind: format!("v1 {kind}"),
            action,
            maybe_replace: false,
            policy: None,
            stateful: kind == "PersistentVolumeClaim",
            fields: Vec::new(),
        }
    }

    fn written(children: &[ChildChange], each: usize) -> String {
        let (mut screen, mut page) = (Screen::new(true), Page { text: String::new(), width: 100 });
        for child in children {
            screen.part(child, &mut page, &|child, page| {
                (0..each).for_each(|at| page.line(&format!("{} {at}", child.name)));
            });
        }
        screen.end(&mut page);
        page.text
    }

    #[test]
    fn many_parts_take_no_more_than_a_screen_and_the_rest_is_counted_by_type() {
        let mut children = vec![child("ConfigMap", ActionWord::Update); 90];
        children.extend(vec![child("Deployment", ActionWord::Update); 30]);
        children.push(child("PersistentVolumeClaim", ActionWord::Delete));
        let text = anstream::adapter::strip_str(&written(&children, 4)).to_string();
        assert!(text.lines().count() < 40, "{text}");
        assert!(text.contains("~ 83 more x v1 ConfigMap") && text.contains("~ 30 more x v1 Deployment"), "{text}");
        assert!(text.contains("PersistentVolumeClaim apps/x") && text.contains("--json shows all of it"), "{text}");
    }

    #[test]
    fn a_part_with_a_long_text_leaves_room_for_others_and_few_parts_are_shown_whole() {
        let children = [child("ConfigMap", ActionWord::Update), child("Deployment", ActionWord::Update)];
        let text = anstream::adapter::strip_str(&written(&children, 300)).to_string();
        assert!(text.contains("... and 289 more lines") && text.contains("Deployment apps/x 0"), "{text}");
        let text = written(&children, 5);
        assert!(text.lines().count() == 10 && !text.contains("more"), "{text}");
    }
}
