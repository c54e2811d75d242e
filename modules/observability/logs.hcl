helm "loki" {
  chart      = "loki"
  repository = "https://grafana.github.io/helm-charts"
  version    = "6.24.0" # Loki 3.3
  namespace  = local.namespace
  values = {
    deploymentMode = "SingleBinary"
    loki = {
      auth_enabled = false
      commonConfig = { replication_factor = 1 }
      schemaConfig = {
        configs = [{
          from         = "2024-04-01"
          store        = "tsdb"
          object_store = "s3"
          schema       = "v13"
          index        = { prefix = "loki_index_", period = "24h" }
        }]
      }
      storage = {
        type = "s3"
        bucketNames = {
          chunks = stack.storage.outputs.LokiBucket
          ruler  = stack.storage.outputs.LokiBucket
          admin  = stack.storage.outputs.LokiBucket
        }
        s3 = { region = env.region }
      }
      limits_config = { retention_period = "8760h" } # a year
      compactor     = { retention_enabled = true, delete_request_store = "s3" }
    }
    serviceAccount = {
      name        = "loki"
      annotations = { "eks.amazonaws.com/role-arn" = local.loki_role_arn }
    }
    singleBinary = {
      replicas    = 1
      resources   = { requests = { cpu = "500m", memory = "1Gi" } }
      persistence = { storageClass = var.storage_class, size = "10Gi" } # what is not in S3 yet
    }

    # The other ways to run Loki, and the caches, which ask for more memory than the rest together.
    read         = { replicas = 0 }
    write        = { replicas = 0 }
    backend      = { replicas = 0 }
    chunksCache  = { enabled = false }
    resultsCache = { enabled = false }
    lokiCanary   = { enabled = false }
    test         = { enabled = false }

    gateway = { service = { port = 3100 } }
  }
  controls = ["AU-2", "AU-9", "AU-11"]

  verify "ready" {
    http {
      service = "loki"
      port    = 3100
      path    = "/ready"
    }
    within = "10m"
  }
}
