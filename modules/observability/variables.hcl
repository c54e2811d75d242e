# Logs, metrics, dashboards and the view of the mesh: Loki, Mimir, Prometheus, Grafana and Kiali.
#
# The caller gives two phases: `phase` for the charts, and `phases = { storage = ... }` for the buckets that they keep
# their data in. The buckets can so come long before the cluster, and stay when it goes.
#
# Loki and Mimir reach their buckets as the roles PREFIX-loki and PREFIX-mimir of the account, which must trust the service
# accounts observability/loki and observability/mimir. A caller with other roles names them.

variable "prefix" {
  type        = string
  description = "First part of the names of buckets and roles, as in agentinfra-dev."
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,40}$", var.prefix))
    error_message = "The prefix becomes part of bucket names: small letters, digits and hyphens, at most 41."
  }
}

variable "grafana_admin_password" {
  type        = string
  sensitive   = true
  description = "Password of Grafana's user admin."
}

variable "loki_role_arn" {
  type        = string
  default     = null
  description = "Role of the service account observability/loki. Without it: PREFIX-loki in the environment's account."
}

variable "mimir_role_arn" {
  type        = string
  default     = null
  description = "Role of the service account observability/mimir. Without it: PREFIX-mimir in the environment's account."
}

variable "storage_class" {
  type        = string
  default     = "gp3"
  description = "Storage class of the volumes."
}

variable "tags" {
  type        = map(string)
  default     = {}
  description = "Tags of the buckets, beside Project, Environment and ManagedBy."
}

locals {
  namespace = "observability"

  loki_role_arn  = coalesce(var.loki_role_arn, "arn:aws:iam::${env.account_id}:role/${var.prefix}-loki")
  mimir_role_arn = coalesce(var.mimir_role_arn, "arn:aws:iam::${env.account_id}:role/${var.prefix}-mimir")

  tags = merge({
    Project     = trimsuffix(var.prefix, "-${env.name}")
    Environment = env.name
    ManagedBy   = "terrace"
  }, var.tags)

  # Where the parts find each other. Ports are those of the services, not of the pods.
  loki_url       = "http://loki-gateway.${local.namespace}:3100"
  mimir_url      = "http://mimir-gateway.${local.namespace}:80"
  prometheus_url = "http://prometheus-server.${local.namespace}:80"
  grafana_url    = "http://grafana.${local.namespace}:3000"
}
