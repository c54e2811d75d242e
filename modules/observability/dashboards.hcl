helm "grafana" {
  depends_on = [helm.loki, helm.mimir, helm.prometheus]
  chart      = "grafana"
  repository = "https://grafana.github.io/helm-charts"
  version    = "8.8.2" # Grafana 11.4
  namespace  = local.namespace
  values = {
    adminUser     = "admin"
    adminPassword = var.grafana_admin_password
    replicas      = 1
    resources     = { requests = { cpu = "250m", memory = "512Mi" } }
    service       = { port = 3000 }

    # The volume can be at one node at a time, so the old pod goes before the new one comes.
    persistence        = { enabled = true, storageClassName = var.storage_class, size = "10Gi" }
    deploymentStrategy = { type = "Recreate" }

    datasources = {
      "datasources.yaml" = {
        apiVersion = 1
        datasources = [
          { name = "Loki", uid = "loki", type = "loki", access = "proxy", url = local.loki_url },
          { name = "Mimir", uid = "mimir", type = "prometheus", access = "proxy", url = "${local.mimir_url}/prometheus", isDefault = true },
          { name = "Prometheus", uid = "prometheus", type = "prometheus", access = "proxy", url = local.prometheus_url },
        ]
      }
    }
  }
  controls = ["AU-7", "SI-4"]

  verify "ready" {
    http {
      service = "grafana"
      port    = 3000
      path    = "/api/health"
    }
    within = "10m"
  }
}

# The operator that makes Kiali, and the Kiali that it makes. Istio comes before the whole module.
helm "kiali" {
  depends_on = [helm.prometheus]
  chart      = "kiali-operator"
  repository = "https://kiali.org/helm-charts"
  version    = "2.2.0"
  namespace  = "istio-system"
  values = {
    cr = {
      create    = true
      namespace = "istio-system"
      spec = {
        auth       = { strategy = "token" }
        deployment = { resources = { requests = { cpu = "50m", memory = "128Mi" } } }
        server     = { port = 20001, web_root = "/" }
        external_services = {
          prometheus = { url = local.prometheus_url }
          grafana    = { enabled = false }
        }
      }
    }
  }
  controls = ["AU-6", "SI-4"]

  verify "ready" {
    http {
      service = "kiali"
      port    = 20001
      path    = "/healthz"
    }
    within = "10m"
  }
}
