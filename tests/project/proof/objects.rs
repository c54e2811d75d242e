//! Over objects of the cluster: an `HTTPRoute`, whose controller takes its time, a `VirtualService`, and a service that is switched.

use super::{CANARY, TWO, a_canary_fails, a_canary_settles, a_person_aborts, fails, goes_on_after_kills, steps};
use crate::{
    routes::types,
    support::{
        cluster, moto,
        proof::{ONE, Scene, Version, object::Object},
    },
};
use terrace::base::Side;

fn scene() -> Option<Scene<Object>> {
    over_gateway(ONE)
}

fn over_gateway(version: Version<'_>) -> Option<Scene<Object>> {
    let (server, cluster) = (moto()?, cluster()?);
    types(cluster, "gateway-api-crds")?;
    Scene::new(&server.account(), cluster, version, |namespace, _| Object::gateway(cluster, namespace))
}

fn over_istio(version: Version<'_>) -> Option<Scene<Object>> {
    let (server, cluster) = (moto()?, cluster()?);
    types(cluster, "istio-crds")?;
    Scene::new(&server.account(), cluster, version, |namespace, _| Object::istio(cluster, namespace))
}

#[test]
fn killed_in_a_step_and_in_the_bake_a_rollout_over_a_gateway_goes_on_where_it_was() {
    let Some(scene) = scene() else { return };
    goes_on_after_kills(&scene, TWO);
}

#[test]
fn a_failing_analysis_takes_all_traffic_of_a_gateway_back_within_two_seconds_by_one_call() {
    let Some(scene) = scene() else { return };
    let mut run = scene.begins(TWO);
    steps(&scene, &mut run, Side::Green, &[10, 50]);
    fails(&scene, run);
}

#[test]
fn a_person_aborts_the_bake_of_a_rollout_over_a_gateway_from_another_process() {
    let Some(scene) = scene() else { return };
    a_person_aborts(&scene);
}

#[test]
fn a_canary_over_a_gateway_takes_its_share_and_the_stable_one_gets_all_traffic_back_once_it_is_updated() {
    let Some(scene) = over_gateway(CANARY) else { return };
    a_canary_settles(&scene);
}

#[test]
fn a_rollout_over_a_mesh_goes_through_its_steps_and_on_after_kills() {
    let Some(scene) = over_istio(ONE) else { return };
    goes_on_after_kills(&scene, TWO);
}

#[test]
fn a_failing_analysis_takes_all_traffic_of_a_mesh_back_within_two_seconds_by_one_call() {
    let Some(scene) = over_istio(ONE) else { return };
    let mut run = scene.begins(TWO);
    steps(&scene, &mut run, Side::Green, &[10, 50]);
    fails(&scene, run);
}

#[test]
fn a_canary_in_a_mesh_that_fails_loses_its_share_and_the_stable_one_was_never_touched() {
    let Some(scene) = over_istio(CANARY) else { return };
    a_canary_fails(&scene);
}

#[test]
fn a_service_is_switched_and_switched_back_by_one_call() {
    let (Some(server), Some(cluster)) = (moto(), cluster()) else { return };
    let first = Version { steps: "", ..ONE };
    let make = |namespace: &str, _: &_| Object::service(cluster, namespace);
    let Some(scene) = Scene::new(&server.account(), cluster, first, make) else { return };
    let mut run = scene.begins(Version { steps: "", ..TWO });
    steps(&scene, &mut run, Side::Green, &[100]);
    fails(&scene, run);
}

/// A module that is rolled out as a whole.
const WHOLE: Version<'_> = Version { whole: true, ..ONE };

#[test]
fn a_whole_module_goes_through_its_steps_and_on_after_kills() {
    let Some(scene) = over_gateway(WHOLE) else { return };
    goes_on_after_kills(&scene, Version { text: "two", ..WHOLE });
}

#[test]
fn a_failing_analysis_takes_all_traffic_of_a_whole_module_back_within_two_seconds_by_one_call() {
    let Some(scene) = over_gateway(WHOLE) else { return };
    let mut run = scene.begins(Version { text: "two", ..WHOLE });
    steps(&scene, &mut run, Side::Green, &[10, 50]);
    fails(&scene, run);
}
