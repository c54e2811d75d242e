//! The services beside CloudFormation: who calls, secrets and parameters, clusters.

use super::bed::{Bed, open};
use terrace::world::Class;

pub(super) async fn the_caller_is_of_the_account(bed: &Bed) {
    let caller = bed.aws.identity.caller().await.unwrap();
    assert_eq!(caller.account, bed.account);
    assert!(caller.arn.contains(&format!("::{}:", bed.account)), "{}", caller.arn);
}

pub(super) async fn parameters_and_secrets_are_read_by_name(bed: &Bed) {
    let arn = bed.put_texts().await;
    let secrets = &bed.aws.secrets;
    let plain = secrets.parameter("/plain").await.unwrap().unwrap();
    assert_eq!((open(&plain.value), plain.secure, plain.version), ("text", false, 1));
    if bed.name != "sandbox" {
        let encrypted = secrets.parameter("/encrypted").await.unwrap().unwrap();
        assert_eq!((open(&encrypted.value), encrypted.secure), ("text", true));
    }
    assert_eq!(secrets.parameter("/absent").await.unwrap(), None);
    let by_name = secrets.secret("the/secret").await.unwrap().unwrap();
    let by_arn = secrets.secret(&arn).await.unwrap().unwrap();
    assert_eq!((open(&by_name), open(&by_arn)), ("hidden", "hidden"));
    assert!(secrets.secret("absent").await.unwrap().is_none());
}

pub(super) async fn a_cluster_that_is_not_there_is_told_as_such(bed: &Bed) {
    assert_eq!(bed.aws.eks.describe_cluster("absent").await.unwrap(), None);
    assert_eq!(bed.aws.eks.list_addons("absent").await.unwrap_err().class, Class::NotFound);
    assert_eq!(bed.aws.eks.describe_addon("absent", "coredns").await.unwrap_err().class, Class::NotFound);
}
