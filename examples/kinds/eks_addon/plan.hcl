# eks_addon: an add-on that EKS manages on a cluster, such as coredns or the VPC CNI.
#
# The version is pinned. A plan that raises it shows the version before and after, and what EKS says of the two together
# with the cluster's version.

plan "kind_eks_addon" {}

environment "dev" {
  sandbox {}
}

eks_addon "core" {
  for_each = {
    "coredns"    = "v1.12.4-eksbuild.1"
    "kube-proxy" = "v1.34.1-eksbuild.2"
  }
  cluster = stack.cluster.outputs.ClusterName
  addon   = each.key
  version = each.value

  # Fields of the add-on that somebody else changed: "none" fails, "overwrite" takes them back, "preserve" leaves them.
  resolve_conflicts = "preserve"
}
