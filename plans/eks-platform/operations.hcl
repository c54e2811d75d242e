# Backups: objects into the bucket, volumes as EBS snapshots.
helm "velero" {
  phase      = phase.services
  chart      = "velero"
  repository = "https://vmware-tanzu.github.io/helm-charts"
  version    = "8.2.0" # Velero 1.15
  namespace  = "velero"
  values = {
    configuration = {
      backupStorageLocation = [{
        name     = "default"
        provider = "aws"
        default  = true
        bucket   = stack.backups.outputs.BucketName
        config   = { region = env.region, kmsKeyId = stack.backups.outputs.KeyArn }
      }]
      volumeSnapshotLocation = [{
        name     = "default"
        provider = "aws"
        config   = { region = env.region }
      }]
    }
    initContainers = [{
      name         = "velero-plugin-for-aws"
      image        = "velero/velero-plugin-for-aws:v1.11.1"
      volumeMounts = [{ name = "plugins", mountPath = "/target" }]
    }]
    credentials = { useSecret = false } # the role of the service account
    serviceAccount = {
      server = {
        name        = "velero"
        annotations = { "eks.amazonaws.com/role-arn" = stack.workload_roles.outputs.VeleroRoleArn }
      }
    }
    resources       = { requests = { cpu = "100m", memory = "256Mi" } }
    deployNodeAgent = true
    nodeAgent       = { resources = { requests = { cpu = "100m", memory = "256Mi" } } }
    upgradeCRDs     = false # its job needs an image that is no longer published
    schedules = {
      daily = {
        schedule = "0 2 * * *" # UTC
        template = { includedNamespaces = ["*"], snapshotVolumes = true, ttl = "168h" }
      }
      weekly = {
        schedule = "0 3 * * 0"
        template = { includedNamespaces = ["*"], snapshotVolumes = true, ttl = "720h" }
      }
    }
  }
  controls = ["CP-9", "CP-10", "CP-6"]

  verify "ready" {
    http {
      service = "velero"
      port    = 8085
      path    = "/metrics"
    }
    within = "5m"
  }
}

# What each namespace and workload costs, from the metrics that are there.
helm "kubecost" {
  phase      = phase.services
  depends_on = [module.observability]
  chart      = "cost-analyzer"
  repository = "https://kubecost.github.io/cost-analyzer"
  version    = "2.4.2"
  namespace  = "kubecost"
  values = {
    global = {
      prometheus = { enabled = false, fqdn = module.observability.prometheus_url }
      grafana    = { enabled = false, proxy = false }
    }
    kubecostModel          = { resources = { requests = { cpu = "200m", memory = "512Mi" } } }
    kubecostFrontend       = { resources = { requests = { cpu = "50m", memory = "128Mi" } } }
    kubecostProductConfigs = { clusterName = local.prefix }
    persistentVolume       = { enabled = true, storageClass = "gp3", size = "32Gi" }
    kubecostAggregator = {
      aggregatorDbStorage = { storageClass = "gp3" }
    }
  }
  controls = ["PM-3"]

  verify "ready" {
    http {
      namespace = "kubecost"
      selector  = { app = "cost-analyzer" }
      port      = 9003
      path      = "/healthz"
    }
    within = "10m"
  }
}

# Asked at every run, changed or not: the people who are to watch the platform can.
check "grafana_answers" {
  phase = phase.services
  http {
    namespace = "observability"
    service   = "grafana"
    port      = 3000
    path      = "/api/health"
  }
  within = "2m"
}

check "nodes_in_order" {
  expression {
    condition     = var.nodes.min <= var.nodes.desired && var.nodes.desired <= var.nodes.max
    error_message = "Of nodes, min must not be above desired, nor desired above max."
  }
}
