stack "storage" {
  phase      = phase.storage
  template   = "${path.project}/cfn-templates/observability-storage.yaml"
  parameters = { Prefix = var.prefix }
  tags       = local.tags
  controls   = ["AU-9", "AU-11", "SC-28"]
}
