//! What stands in a plan in clear under the name of a secret. The plan itself keeps it, for it is what somebody wrote and what is applied;
//! what others read of it does not.

use crate::{
    base::{Hidden, Path, Value, names_a_secret},
    kinds::FieldChange,
    plan::Plan,
    policy::secrets_in_clear,
};
use std::collections::BTreeSet;

/// Texts that are the values of switches, whatever these are called: hiding one hides that something is turned off.
const SWITCHES: &[&str] = &["true", "false", "yes", "no", "on", "off", "enabled", "disabled", "none", "null", ""];

/// What a plan holds in clear at places that have the name of a secret, wherever else it may be repeated: in the line of a field that is shown without its name, in the
/// reason of a finding, in an output.
pub(in crate::review) fn in_clear(plan: &Plan) -> Hidden {
    let mut found: Vec<Value> = Vec::new();
    for node in &plan.nodes {
        let places: BTreeSet<String> = secrets_in_clear(&node.inputs).into_iter().collect();
        if !places.is_empty() {
            node.inputs.each_leaf(&mut Path::default(), &mut |path, value| {
                if places.contains(&path.to_string()) {
                    found.push(value.clone());
                }
            });
        }
        // What stood there before is in no inputs any more.
        let is_secret = |field: &&FieldChange| places.contains(&field.path) || names_a_secret(name_of(&field.path));
        let of_parts = node.children.iter().flat_map(|child| &child.fields);
        for field in node.fields.iter().chain(of_parts).filter(is_secret) {
            found.extend(field.before.iter().chain(&field.after).cloned());
        }
    }
    for (_, output) in plan.outputs.iter().filter(|(name, _)| names_a_secret(name)) {
        found.extend(output.before.iter().chain(&output.after).cloned());
    }
    found.extend(plan.variables.iter().filter(|(name, _)| names_a_secret(name)).map(|(_, value)| value.clone()));
    found.retain(|value| !is_switch(value));
    let found: Vec<Value> = found.into_iter().map(Value::sensitive).collect();
    Hidden::of(&found)
}

/// By which name a field is known: its last step, without the place in a list; for the value of a variable the name of that, as lists are
/// written whose elements have one (`env.DB_PASSWORD.value`).
fn name_of(path: &str) -> &str {
    let mut steps = path.rsplit('.').map(|step| step.split('[').next().unwrap_or_default());
    let last = steps.next().unwrap_or_default();
    if last.eq_ignore_ascii_case("value") { steps.next().unwrap_or(last) } else { last }
}

fn is_switch(value: &Value) -> bool {
    match value.to_json_lossy() {
        serde_json::Value::Bool(_) | serde_json::Value::Null => true,
        serde_json::Value::String(text) => SWITCHES.contains(&text.trim().to_ascii_lowercase().as_str()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        base::ActionWord,
        kinds::ChildChange,
        plan::testing::{child, field, node, plan},
    };

    #[test]
    fn a_field_is_known_by_its_name_and_the_value_of_a_variable_by_that_of_the_variable() {
        for (path, name) in [
            ("values.adminPassword", "adminPassword"),
            ("values.token[0]", "token"),
            ("spec.containers.web.env.DB_PASSWORD.value", "DB_PASSWORD"),
            ("value", "value"),
        ] {
            assert_eq!(name_of(path), name);
        }
    }

    #[test]
    fn what_has_the_name_of_a_secret_is_hidden_and_a_switch_is_not() {
        let shown = |path: &str, before: Value, after: Value| {
            let fields = vec![field(path, Some(before), Some(after))];
            let part = ChildChange { fields, ..child("Database", "AWS::RDS::DBInstance", ActionWord::Update) };
            let mut stack = node("stack.data", "services", ActionWord::Update);
            stack.children = vec![part];
            in_clear(&plan(vec![stack]))
        };
        let hidden = shown("env.DB_PASSWORD.value", "hunter2".into(), "hunter3".into());
        assert_eq!(hidden.out_of("= hunter2 -> hunter3"), "= (sensitive) -> (sensitive)");
        assert_eq!(shown("password", 12345.into(), 67890.into()).out_of("12345"), "(sensitive)");
        for (path, value) in [("UsePassword", Value::from("true")), ("ManageMasterUserPassword", true.into())] {
            assert_eq!(shown(path, value, false.into()).out_of("true -> false"), "true -> false");
        }
        assert_eq!(shown("DisplayName", "hunter2".into(), "x".into()).out_of("hunter2"), "hunter2");
    }
}
