output "cluster_name" {
  value       = stack.cluster.outputs.ClusterName
  description = "For aws eks update-kubeconfig."
}

output "bastion" {
  value       = stack.network.outputs.BastionInstanceId
  description = "For aws ssm start-session --target."
}

output "load_balancer" {
  value       = stack.ingress.outputs.LoadBalancerDnsName
  description = "What the names of the platform's hosts point at."
}

output "grafana_url" {
  value       = module.observability.grafana_url
  description = "Where Grafana answers within the cluster."
}

output "backup_bucket" {
  value       = stack.backups.outputs.BucketName
  description = "Where Velero keeps its backups."
}
