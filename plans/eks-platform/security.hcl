# Scans images, configuration, roles and secrets for as long as they run. Its reports are objects in the cluster:
# VulnerabilityReport, ConfigAuditReport, RbacAssessmentReport, ExposedSecretReport.
helm "trivy_operator" {
  phase      = phase.services
  chart      = "trivy-operator"
  repository = "https://aquasecurity.github.io/helm-charts"
  version    = "0.26.1" # operator 0.24
  namespace  = "trivy-system"
  values = {
    resources = { requests = { cpu = "100m", memory = "256Mi" } }
    service   = { metricsPort = 8080 }
    operator = {
      vulnerabilityScannerEnabled  = true
      configAuditScannerEnabled    = true
      rbacAssessmentScannerEnabled = true
      exposedSecretScannerEnabled  = true
      scanJobsConcurrentLimit      = 3 # scans must not crowd out what they scan
    }
    trivy = { ignoreUnfixed = true }
  }
  controls = ["SI-2", "RA-5", "CM-8"]

  verify "ready" {
    http {
      namespace = "trivy-system"
      selector  = { "app.kubernetes.io/name" = "trivy-operator" }
      port      = 9090
      path      = "/readyz"
    }
    within = "5m"
  }
}
