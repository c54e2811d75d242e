# The reference to the network's outputs is what makes this wait for the network.
stack "cluster" {
  phase    = phase.cluster
  template = "${path.root}/templates/cluster.yaml"
  parameters = {
    ClusterName       = local.name
    KubernetesVersion = var.kubernetes_version
    SubnetIds         = stack.network.outputs.SubnetIds
    Nodes             = var.nodes
  }
  tags = local.tags
}

# An add-on that EKS manages, at a version of our choosing.
eks_addon "coredns" {
  phase   = phase.cluster
  cluster = stack.cluster.outputs.ClusterName
  addon   = "coredns"
  version = "v1.12.4-eksbuild.1"
}

# How charts and manifests reach the cluster. While the cluster does not exist, what needs it is planned as deferred: known
# by name, and looked at again once the cluster is there.
kubernetes "main" {
  eks {
    name = stack.cluster.outputs.ClusterName
  }
}
