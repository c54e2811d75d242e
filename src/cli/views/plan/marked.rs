//! A change as lines with marks, for views that are no terminal: what a terminal shows, its colours read back as what happened.
//!
//! Colours tell it safely: no text from outside holds the beginning of one.

use super::{Page, node, outputs};
use crate::{
    plan::{Plan, Planned},
    review::comment::{Details, Line, Mark},
};

/// The columns that lines may take.
const WIDTH: usize = 110;

/// Changes as a terminal shows them.
pub(crate) struct Marked;

impl Details for Marked {
    fn change(&self, plan: &Plan, planned: &Planned) -> Vec<Line> {
        let rollback = crate::lang::configuration::OnFailure::Rollback;
        let undone = plan.phases.iter().any(|phase| phase.name == planned.phase && phase.on_failure == rollback);
        let mut page = Page { text: String::new(), width: WIDTH };
        node::write(planned, undone, &mut page);
        lines(&page.text)
    }

    fn outputs(&self, plan: &Plan) -> Vec<Line> {
        let mut page = Page { text: String::new(), width: WIDTH };
        outputs(plan, &mut page);
        // The heading is the reader's own.
        lines(&page.text).into_iter().filter(|line| line.text.trim() != "Outputs").collect()
    }
}

fn lines(text: &str) -> Vec<Line> {
    text.lines().map(line).collect()
}

/// A line whose sign stands at its beginning in a colour that says what happened.
fn line(painted: &str) -> Line {
    let plain = anstream::adapter::strip_str(painted).to_string();
    let indent = painted.len() - painted.trim_start_matches(' ').len();
    let sign = painted[indent..].strip_prefix("\u{1b}[").and_then(|rest| rest.split_once('m'));
    // Dimmed text is there for orientation, and may well begin with a sign of its own.
    let sign = sign.filter(|(style, _)| matches!(*style, "31" | "32" | "33" | "35"));
    let word = sign.map(|(_, rest)| rest.trim_start().split([' ', '\u{1b}']).next().unwrap_or_default());
    let mark = match word {
        Some("+") => Mark::Added,
        Some("-") => Mark::Removed,
        Some("~" | "-/+") => Mark::Changed,
        _ => return Line { mark: Mark::Same, text: plain },
    };
    let word = word.unwrap_or_default();
    let text = match mark {
        // What is replaced keeps its sign: it says more than that it changes.
        Mark::Changed if word == "-/+" => plain,
        _ => plain.replacen(word, &" ".repeat(word.len()), 1),
    };
    Line { mark, text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        base::{ActionWord, Data, Value},
        plan::testing::{child, field, node, plan},
    };

    fn told(planned: &Planned) -> String {
        let lines = Marked.change(&plan(vec![planned.clone()]), planned);
        let shown = |line: &Line| format!("{:<7} |{}", format!("{:?}", line.mark), line.text);
        lines.iter().map(shown).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_happened_to_a_line_is_known_and_no_text_passes_itself_off_as_changed() {
        let mut web = node("stack.web", "services", ActionWord::Replace);
        let before = (1..9).map(|n| format!("- item {n}: [\n")).collect::<Vec<_>>().concat();
        web.fields = vec![
            field(
                "text",
                Some(Value::string(before.as_str())),
                Some(Value::string(before.replace("item 4", "item four"))),
            ),
            field("size", Some(Value::from(1)), Some(Value::from(2))),
            field("fresh\n+ forged", None, Some(Value::string("a\n+ b"))),
        ];
        let mut part = child("Data\n- forged", "AWS::S3::Bucket", ActionWord::Delete);
        part.stateful = true;
        web.children = vec![part];
        insta::assert_snapshot!(told(&web));
    }

    #[test]
    fn a_secret_is_in_no_comment() {
        let mut web = node("stack.web", "services", ActionWord::Update);
        let seal = |n: &str| Value::from(Data::Sealed(n.into())).sensitive();
        web.fields = vec![
            field("password", Some(seal("a")), Some(seal("b"))),
            field("open", None, Some(Value::string("hunter2").sensitive())),
        ];
        let said = told(&web);
        assert!(said.contains("password = (sensitive) -> (sensitive), changed") && !said.contains("hunter2"), "{said}");
    }
}
