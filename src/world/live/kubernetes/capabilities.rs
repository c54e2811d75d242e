//! What charts may ask of a cluster: its version, and the group versions and kinds that it has.

use super::cluster::{Ask, Cluster};
use super::failure::Call;
use crate::world::Outcome;
use std::collections::BTreeSet;

impl Cluster {
    /// The version, as `v1.34.4`, and `apps/v1` and `apps/v1/Deployment` for all that there is: `.Capabilities` of a chart.
    ///
    /// # Errors
    /// A server that does not answer.
    pub(in crate::world::live) async fn capabilities(&self) -> Outcome<(String, BTreeSet<String>)> {
        let (call, ask) = (Call::new("kubernetes:GetVersion", self.connection.spoken()), Ask::get("/version"));
        // Whatever type is looked for, all of them are found.
        let (version, _) = futures::try_join!(self.ask(&call, &ask), self.find_type("v1", "Namespace"))?;
        let mut apis = BTreeSet::new();
        for (api_version, kind) in self.types.known() {
            apis.insert(format!("{api_version}/{kind}"));
            apis.insert(api_version);
        }
        Ok((version["gitVersion"].as_str().unwrap_or_default().to_owned(), apis))
    }
}
