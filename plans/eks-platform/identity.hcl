# The roles that pods take on through their service accounts. They trust the cluster's OIDC provider, so they come after the
# cluster, and before the charts that name them.

locals {
  oidc = {
    OidcProviderArn = stack.cluster.outputs.OidcProviderArn
    OidcIssuer      = trimprefix(stack.cluster.outputs.OidcIssuer, "https://")
  }
}

stack "workload_roles" {
  phase    = phase.cluster
  template = "${path.project}/cfn-templates/workload-roles.yaml"
  parameters = merge(local.oidc, {
    Prefix              = local.prefix
    LokiBucket          = module.observability.loki_bucket
    MimirBucket         = module.observability.mimir_bucket
    ObservabilityKeyArn = module.observability.storage_key_arn
    BackupBucket        = stack.backups.outputs.BucketName
    BackupKeyArn        = stack.backups.outputs.KeyArn
  })
  tags     = local.tags
  controls = ["AC-6", "IA-2"]
}

stack "load_balancer_controller_role" {
  phase      = phase.cluster
  template   = "${path.project}/cfn-templates/load-balancer-controller-role.yaml"
  parameters = merge(local.oidc, { Prefix = local.prefix })
  tags       = local.tags
  controls   = ["AC-6", "IA-2"]
}
