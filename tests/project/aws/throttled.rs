//! Many stacks against an account that throttles.

use super::{ministack, parameter};
use crate::support::{Project, Proxy, Trouble, trouble::What};
use std::fmt::Write as _;

const STACKS: usize = 40;

#[test]
fn many_stacks_at_once_end_well_where_the_account_throttles() {
    let Some(server) = ministack() else { return };
    let account = server.account();
    let proxy = Proxy::new(&account.url);
    let mut plan = String::new();
    for n in 0..STACKS {
        let after = if n < 15 { String::new() } else { format!("  depends_on = [stack.s{}]\n", n - 15) };
        writeln!(
            plan,
            "stack \"s{n}\" {{\n  template   = \"${{path.root}}/one.yaml\"\n  parameters = {{ Name = \"/many/{n}\" }}\n{after}}}\n"
        )
        .unwrap();
    }
    let project = Project::new(&account.at(&proxy.url), &plan);
    let template = super::stored("!Ref Name").replace("Parameters:\n", "Parameters:\n  Name: { Type: String }\n");
    project.write("plans/app/one.yaml", &template);
    // Some calls are refused whatever their rate, as the neighbours in the account would have it.
    proxy.trouble(Trouble::new("cloudformation:DescribeStacks", What::Throttle).every(6).times(10));
    proxy.trouble(Trouble::new("cloudformation:CreateChangeSet", What::Throttle).every(6).times(6));
    proxy.trouble(Trouble::new("cloudformation:ExecuteChangeSet", What::Throttle).every(7).times(5));
    proxy.trouble(Trouble::new("cloudformation:DescribeStackEvents", What::Throttle).every(6).times(5));
    project.ends(&["apply", "--auto-approve", "--parallelism", "50"], 0);
    assert_eq!(parameter(&account, &format!("/many/{}", STACKS - 1)).as_deref(), Some("one"));
    proxy.peace();
    assert!(project.ends(&["plan"], 0).out.contains("No changes."));
}
