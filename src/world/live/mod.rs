//! The live world: the traits over this machine, and later over the AWS SDK, kube and the helm program.

mod ledger;

pub use ledger::FileLedger;
