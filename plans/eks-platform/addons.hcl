# Hands pods the roles that associations name. The EBS CSI driver gets its role so: the association is in the cluster's
# template, and the add-on's declaration needs to know nothing of it.
eks_addon "pod_identity_agent" {
  phase             = phase.cluster
  cluster           = stack.cluster.outputs.ClusterName
  addon             = "eks-pod-identity-agent"
  version           = "v1.3.10-eksbuild.1"
  resolve_conflicts = "preserve"
  controls          = ["AC-6"]
}

# What a volume claim gets that names no class: encrypted gp3. It is bound where the pod is scheduled, since a volume cannot
# leave its zone.
manifest "gp3" {
  phase      = phase.cluster
  depends_on = [eks_addon.managed]
  object = {
    apiVersion = "storage.k8s.io/v1"
    kind       = "StorageClass"
    metadata = {
      name        = "gp3"
      annotations = { "storageclass.kubernetes.io/is-default-class" = "true" }
    }
    provisioner          = "ebs.csi.aws.com"
    parameters           = { type = "gp3", encrypted = "true" }
    reclaimPolicy        = "Delete"
    volumeBindingMode    = "WaitForFirstConsumer"
    allowVolumeExpansion = true
  }
  controls = ["SC-28"]
}
