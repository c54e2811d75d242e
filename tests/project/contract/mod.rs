//! What the traits of `world` promise, asked of every world: the sandbox, and AWS by way of each server that stands in for
//! it. A test is written once and runs on all of them.
//!
//! Where a world differs from AWS, the test says so by [`Bed::differs`] and holds what that world does instead, so that
//! a server that is mended is noticed. Each such difference stands in docs/differences.md, with its reason.

mod bed;
mod change;
mod changes;
mod cluster;
mod failure;
mod helm;
mod import;
mod look;
mod metrics;
mod objects;
pub(crate) mod place;
mod pods;
mod refusal;
mod rules;
mod small;

use bed::Bed;
use place::Place;

/// Makes each function a test on each world; those before the bar on moto, too.
macro_rules! on_every_world {
    ($($module:ident: $($also:ident),* | $($test:ident),*;)+) => {
        mod sandbox {
            $($(#[tokio::test] async fn $also() { super::$module::$also(&super::Bed::sandbox()).await; })*
            $(#[tokio::test] async fn $test() { super::$module::$test(&super::Bed::sandbox()).await; })*)+
        }
        mod ministack {
            $($(#[tokio::test] async fn $also() {
                if let Some(bed) = super::Bed::ministack() { super::$module::$also(&bed).await; }
            })*
            $(#[tokio::test] async fn $test() {
                if let Some(bed) = super::Bed::ministack() { super::$module::$test(&bed).await; }
            })*)+
        }
        mod moto {
            $($(#[tokio::test] async fn $also() {
                if let Some(bed) = super::Bed::moto() { super::$module::$also(&bed).await; }
            })*)+
        }
    };
}

on_every_world! {
    change:
        a_stack_policy_is_taken | a_stack_is_reviewed_then_made_and_tells_what_it_has,
        nothing_changed_is_said_in_the_words_of_the_service,
        an_output_alone_is_a_change,
        tags_reach_the_stack_and_are_a_change_by_themselves,
        an_update_without_a_change_set_does_the_same,
        a_parameter_keeps_its_previous_value_where_that_is_asked_for,
        a_token_makes_a_repeated_call_the_same_call;
    changes:
        all_pages_of_a_change_set_are_read | a_change_in_place_and_a_replacement_are_told_apart,
        what_is_no_longer_declared_is_removed,
        executing_one_change_set_ends_its_siblings,
        a_stack_left_in_review_is_cleaned_up_by_name;
    cluster:
        | an_add_on_is_made_changed_tagged_and_deleted,
        what_an_endpoint_lacks_of_eks_is_told_as_such;
    import:
        | what_a_stack_left_behind_comes_into_another_and_stays_what_it_is,
        an_import_into_a_stack_changes_nothing_else;
    failure:
        | a_failed_create_rolls_back_and_its_name_is_free_after_a_delete,
        a_failed_create_is_deleted_where_that_is_asked_for,
        a_failed_create_stays_as_it_is_where_that_is_asked_for,
        a_failed_update_goes_back_to_what_was,
        while_an_operation_runs_nobody_starts_another;
    look:
        a_deleted_stack_is_found_by_its_arn_only,
        a_name_that_is_used_again_is_another_stack | a_stack_that_is_not_there_is_told_as_such,
        events_come_newest_first_and_from_where_one_left_off,
        only_living_stacks_are_listed,
        exports_tell_their_stack_and_who_imports_them,
        an_export_in_use_keeps_its_stack_and_its_value,
        drift_is_found_property_by_property;
    metrics:
        | a_metric_has_its_numbers_oldest_first_and_others_have_none,
        an_alarm_tells_its_state_and_why;
    refusal:
        | termination_protection_keeps_a_stack_until_it_is_lifted,
        a_template_with_a_type_that_is_none_is_refused_whole,
        a_template_that_does_not_parse_is_refused,
        parameters_are_held_to_their_declarations,
        capabilities_have_to_be_acknowledged,
        a_secret_parameter_is_never_shown,
        only_a_rollback_that_failed_is_continued;
    small:
        the_caller_is_of_the_account,
        parameters_and_secrets_are_read_by_name | a_cluster_that_is_not_there_is_told_as_such;
}

/// Makes each function a test on the worlds that know weights: MiniStack drops them.
macro_rules! on_every_balancer {
    ($($test:ident),* $(,)?) => {
        mod sandboxed_rules {
            $(#[tokio::test] async fn $test() { super::rules::$test(&super::Bed::sandbox()).await; })*
        }
        mod rules_of_moto {
            $(#[tokio::test] async fn $test() {
                if let Some(bed) = super::Bed::moto() { super::rules::$test(&bed).await; }
            })*
        }
    };
}

on_every_balancer! {
    a_rule_is_made_with_its_weights_and_tags_and_read_back,
    one_call_moves_all_weights_and_stickiness_and_leaves_the_conditions,
    a_priority_is_of_one_rule_only,
    tags_come_and_go_and_a_deleted_rule_is_gone,
    a_target_group_tells_its_settings_and_its_targets,
}

/// Makes each function a test on each cluster.
macro_rules! on_every_cluster {
    ($($module:ident: $($test:ident),*;)+) => {
        mod sandboxed_cluster {
            $($(#[tokio::test] async fn $test() { super::$module::$test(&super::Place::sandbox().await).await; })*)+
        }
        mod control_plane {
            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $test() {
                if let Some(place) = super::Place::control_plane().await { super::$module::$test(&place).await; }
            })*)+
        }
    };
}

on_every_cluster! {
    objects:
        types_are_found_by_version_and_kind,
        a_cluster_is_known_by_a_uid_that_stays,
        an_object_is_made_and_applying_it_again_changes_nothing,
        a_field_of_another_manager_is_a_conflict_that_names_both,
        what_is_not_valid_is_refused_with_its_field,
        a_field_that_cannot_change_is_refused_as_immutable,
        what_has_no_place_or_no_type_is_not_found,
        what_the_server_fills_in_is_in_the_dry_run,
        objects_are_listed_by_label_in_order_and_gathered_by_reference,
        deleting_is_for_the_object_that_is_meant,
        a_watch_tells_what_is_there_and_then_what_changes,
        a_definition_brings_its_type,
        nothing_new_is_made_in_a_namespace_that_is_going;
    pods:
        a_ready_pod_is_asked_by_its_services_port,
        what_fails_says_so_in_events_and_logs;
}

/// Makes each function a test on the sandbox, and on the helm program, version 3 and 4, with a real control plane.
macro_rules! on_every_helm {
    ($($test:ident),* $(,)?) => { on_every_helm! { @ sandbox_helm sandbox; $($test),* } on_every_helm! { @ helm3 helm3; $($test),* } on_every_helm! { @ helm4 helm4; $($test),* } };
    (@ $module:ident $bed:ident; $($test:ident),*) => {
        mod $module {
            $(#[tokio::test(flavor = "multi_thread")] async fn $test() {
                if let Some(bed) = super::helm::HelmBed::$bed().await { super::helm::$test(&bed).await; }
            })*
        }
    };
}

on_every_helm! {
    a_chart_is_found_and_renders_its_objects,
    a_release_is_made_upgraded_taken_back_and_uninstalled,
    values_that_are_no_longer_given_are_gone,
    a_name_is_used_once_and_what_is_not_there_is_not_upgraded,
    an_upgrade_that_never_gets_ready_fails_and_leaves_what_was,
    a_pending_revision_locks_until_it_is_marked_and_no_history_is_lost,
    an_object_of_another_release_is_refused,
    a_namespace_that_is_not_there_is_no_place_for_a_release,
}
