//! Over an `HTTPRoute`, whose controller takes its time.

use super::{TWO, a_person_aborts, fails, goes_on_after_kills, steps};
use crate::{
    routes::types,
    support::{
        cluster, moto,
        proof::{Scene, gateway::Gateway},
    },
};
use terrace::base::Side;

fn scene() -> Option<Scene<Gateway>> {
    let (server, cluster) = (moto()?, cluster()?);
    types(cluster, "gateway-api-crds")?;
    Scene::new(&server.account(), cluster, |namespace, _| Gateway::new(cluster, namespace))
}

#[test]
fn killed_in_a_step_and_in_the_bake_a_rollout_over_a_gateway_goes_on_where_it_was() {
    let Some(scene) = scene() else { return };
    goes_on_after_kills(&scene);
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
