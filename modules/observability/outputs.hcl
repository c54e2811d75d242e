output "grafana_url" {
  value       = local.grafana_url
  description = "Where Grafana answers within the cluster."
}

output "prometheus_url" {
  value       = local.prometheus_url
  description = "Where Prometheus answers within the cluster."
}

output "loki_bucket" {
  value       = stack.storage.outputs.LokiBucket
  description = "The bucket of logs."
}

output "mimir_bucket" {
  value       = stack.storage.outputs.MimirBucket
  description = "The bucket of metrics."
}

output "storage_key_arn" {
  value       = stack.storage.outputs.KeyArn
  description = "The key that encrypts both buckets."
}
