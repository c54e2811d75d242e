# The mesh's gateway. It gets no load balancer of its own: what is to be reached from outside is bound to the platform's.
#
# The chart holds objects and no proxy; istiod puts in the proxy, of its own version. So the chart may be ahead of istiod, and
# is: from Helm 3.18 on, what this chart's 1.24 releases say of their values is read so that no value at all would do.
helm "istio_ingress" {
  phase      = phase.services
  depends_on = [helm.istiod]
  chart      = "gateway"
  repository = "https://istio-release.storage.googleapis.com/charts"
  version    = "1.25.5"
  namespace  = "istio-system"
  values = {
    service     = { type = "ClusterIP" }
    resources   = { requests = { cpu = "100m", memory = "128Mi" } }
    autoscaling = { enabled = true, minReplicas = env.name == "prd" ? 2 : 1, maxReplicas = 5 }
  }
  controls = ["SC-8", "AU-2"]

  verify "ready" {
    http {
      namespace = "istio-system"
      selector  = { app = "istio-ingress" }
      port      = 15021
      path      = "/healthz/ready"
    }
    within = "5m"
  }
}
