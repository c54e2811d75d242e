# Any Kubernetes object, written as it is.
manifest "monitoring" {
  phase = phase.services
  object = {
    apiVersion = "v1"
    kind       = "Namespace"
    metadata   = { name = "monitoring", labels = { team = "platform" } }
  }
}

helm "prometheus" {
  phase      = phase.services
  depends_on = [manifest.monitoring, eks_addon.coredns]
  chart      = "prometheus"
  repository = "https://prometheus-community.github.io/helm-charts"
  version    = "25.30.1"
  namespace  = "monitoring"
  values = {
    server                   = { persistentVolume = { enabled = false } }
    alertmanager             = { enabled = false }
    "prometheus-pushgateway" = { enabled = false }
  }

  # Asked after each change, before what depends on this starts: is it really there? Every five seconds, for at most `within`.
  verify "ready" {
    http {
      namespace = "monitoring"
      service   = "prometheus-server"
      port      = 80
      path      = "/-/ready"
    }
    within = "5m"
  }
}

helm "grafana" {
  phase      = phase.services
  depends_on = [helm.prometheus] # no dashboards before there is something to show
  chart      = "grafana"
  repository = "https://grafana.github.io/helm-charts"
  version    = "8.8.2"
  namespace  = "monitoring"
  values = {
    datasources = {
      "datasources.yaml" = {
        apiVersion  = 1
        datasources = [{ name = "Prometheus", type = "prometheus", access = "proxy", url = "http://prometheus-server.monitoring" }]
      }
    }
  }
}

# A check belongs to no resource. It is asked at every run, also when nothing changed.
check "grafana_answers" {
  phase = phase.services
  http {
    namespace = "monitoring"
    service   = "grafana"
    port      = 80
    path      = "/api/health"
  }
  within = "2m"
}
