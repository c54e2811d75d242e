//! Terraform roots by both programs, real ones, with the provider that is built into them: one suite, asked of each.
//!
//! OpenTofu comes from the testbed and is required under CI; Terraform is used where it is on PATH.

#![expect(clippy::disallowed_methods, reason = "makes project folders, runs the program in them, and kills it")]

mod bed;
mod kills;
mod lives;
mod places;
mod troubles;

use bed::Bed;

/// Makes each function a test on each program.
macro_rules! on_both_programs {
    ($($module:ident: $($test:ident),*;)+) => {
        mod tofu {
            $($(#[test] fn $test() {
                if let Some(bed) = super::Bed::tofu() { super::$module::$test(&bed); }
            })*)+
        }
        mod terraform {
            $($(#[test] fn $test() {
                if let Some(bed) = super::Bed::terraform() { super::$module::$test(&bed); }
            })*)+
        }
    };
}

on_both_programs! {
    lives:
        a_root_is_shown_resource_by_resource_applied_changed_and_destroyed,
        a_saved_plan_is_applied_exactly_and_refused_where_the_state_moved,
        a_saved_plan_of_another_machine_is_made_again_and_held_against_what_was_approved,
        no_secret_is_left_in_clear_and_nothing_lies_in_the_roots_own_folder,
        an_apply_by_others_is_drift_until_it_is_taken_over,
        a_secret_that_is_no_longer_declared_as_one_is_shown_by_nothing,
        inputs_that_are_not_known_yet_are_planned_when_their_turn_comes,
        a_moved_resource_and_a_failing_check_are_told,
        settings_of_the_backend_say_where_the_state_is,
        what_exists_is_taken_over_by_import_and_never_silently;
    troubles:
        a_held_lock_is_named_with_its_owner_and_id,
        what_is_wrong_with_a_root_is_told_with_file_and_line,
        a_resource_that_fails_is_named_first_and_the_next_apply_goes_on,
        a_rollback_names_it_as_what_cannot_be_undone,
        what_its_own_prevent_destroy_protects_is_not_destroyed,
        a_destroy_that_fails_is_called_one,
        the_log_of_a_failed_apply_keeps_no_secret,
        an_input_of_a_wrong_type_is_told_where_it_is_written;
    places:
        a_state_that_cannot_be_found_is_an_error_and_nothing_is_let_go_of,
        two_roots_with_one_state_are_refused_with_both_addresses,
        a_moved_lock_file_is_told_with_its_cause_and_what_helps,
        a_replacement_shows_what_it_destroys;
    kills:
        terrace_killed_amid_an_apply_finds_out_that_its_program_finished,
        a_killed_program_is_told_with_what_it_was_at_work_on,
        both_killed_are_never_applied_a_second_time_blindly,
        a_lock_that_a_killed_program_left_is_told_with_the_command_that_breaks_it;
}

#[test]
fn a_program_that_is_missing_or_something_else_is_refused_by_name() {
    let bed = Bed::of("false");
    bed.root("a", "output \"x\" { value = 1 }\n");
    bed.plan("terraform \"a\" { root = \"${path.project}/a\" }\n");
    let said = bed.ends(&["plan", "app", "--env", "dev"], 1);
    assert!(said.err.contains("`false` is neither Terraform nor OpenTofu"), "{}", said.err);
    let bed = Bed::of("no-such-program-here");
    bed.root("a", "output \"x\" { value = 1 }\n");
    bed.plan("terraform \"a\" { root = \"${path.project}/a\" }\n");
    let said = bed.ends(&["plan", "app", "--env", "dev"], 1);
    assert!(
        said.err.contains("`no-such-program-here` cannot be started") && said.err.contains("terrace.toml"),
        "{}",
        said.err
    );
}

#[test]
fn a_plan_that_is_refused_leaves_no_saved_plan_of_a_root_behind() {
    let Some(bed) = Bed::tofu() else { return };
    bed.root("a", "output \"secret\" {\n  value     = \"hunter2\"\n  sensitive = true\n}\n");
    bed.plan(
        "terraform \"a\" { root = \"${path.project}/a\" }\n\noutput \"shown\" { value = terraform.a.outputs.secret }\n",
    );
    let said = bed.ends(&["plan", "app", "--env", "dev"], 1);
    assert!(said.err.contains("sensitive_output"), "{}", said.err);
    let left: Vec<_> =
        bed.files(".terrace/terraform").into_iter().filter(|f| f.extension().is_some_and(|e| e == "tfplan")).collect();
    assert_eq!(left, Vec::<std::path::PathBuf>::new());
}
