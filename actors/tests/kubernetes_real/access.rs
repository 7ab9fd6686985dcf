//! The ways in which a kubeconfig gives access, beside the token that all other tests use.

use kube::ResourceExt as _;

use crate::agent::{Agent, workload};
use crate::cluster::Cluster;

#[actix::test]
async fn a_certificate_and_a_program_that_gives_a_token_open_the_cluster() {
    let cluster = Cluster::start().await;
    let id = "web-0123456789ab";
    let certificate = cluster.write_kubeconfig_with_certificate();
    let program = cluster.write_kubeconfig_with_program("cat");
    for (device, kubeconfig) in [("one", certificate), ("other", program)] {
        let agent = Agent::start_with(device, kubeconfig);
        agent.configure(&[workload("web", id)]);
        let pod = cluster.pod(device, id).await;
        assert_eq!(pod.labels()["device-worker-ng/device"], device);
        assert_eq!(agent.recorded("ClusterUnreachable"), 0);
    }
}
