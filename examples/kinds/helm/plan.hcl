# helm: a release of a chart.
#
# A failed upgrade goes back to the revision before it; a failed first install is taken away again.

plan "kind_helm" {}

environment "dev" {
  sandbox {}
}

helm "prometheus" {
  chart      = "prometheus" # a name in `repository`, a folder, or oci://...
  repository = "https://prometheus-community.github.io/helm-charts"
  version    = "25.30.1"
  namespace  = "monitoring" # made when it is missing, and taken away when it is ours and empty
  values = {
    server       = { retention = "7d", persistentVolume = { enabled = false } }
    alertmanager = { enabled = false }
  }
}
