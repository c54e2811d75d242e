# Keeps metrics for long, in S3.
helm "mimir" {
  chart      = "mimir-distributed"
  repository = "https://grafana.github.io/helm-charts"
  version    = "5.6.0" # Mimir 2.15
  namespace  = local.namespace
  values = {
    mimir = {
      structuredConfig = {
        multitenancy_enabled = false
        common = {
          storage = {
            backend = "s3"
            s3 = {
              bucket_name = stack.storage.outputs.MimirBucket
              endpoint    = "s3.${env.region}.amazonaws.com"
              region      = env.region
            }
          }
        }
        blocks_storage = { storage_prefix = "blocks" }
        limits         = { compactor_blocks_retention_period = "1y" }
        # Two ingesters hold each sample until it is in S3. While one restarts, Prometheus keeps what it could not hand over.
        ingester = { ring = { replication_factor = 2 } }
      }
    }
    serviceAccount = {
      name        = "mimir"
      annotations = { "eks.amazonaws.com/role-arn" = local.mimir_role_arn }
    }
    ingester = {
      replicas             = 2
      resources            = { requests = { cpu = "500m", memory = "1Gi" } }
      persistentVolume     = { storageClass = var.storage_class, size = "10Gi" }
      zoneAwareReplication = { enabled = false }
    }
    store_gateway = {
      persistentVolume     = { storageClass = var.storage_class, size = "5Gi" }
      zoneAwareReplication = { enabled = false }
    }
    compactor = { persistentVolume = { storageClass = var.storage_class, size = "10Gi" } }

    # One way in, called mimir-gateway.
    gateway = { enabledNonEnterprise = true }
    nginx   = { enabled = false }

    # S3 takes the place of the object store that the chart brings along; rules and alerts are not Mimir's part here.
    minio            = { enabled = false }
    alertmanager     = { enabled = false }
    ruler            = { enabled = false }
    rollout_operator = { enabled = false }
  }
  controls = ["AU-11", "SI-4"]

  verify "ready" {
    http {
      service = "mimir-gateway"
      port    = 80
      path    = "/"
    }
    within = "10m"
  }
}

# Scrapes, and hands on to Mimir.
helm "prometheus" {
  depends_on = [helm.mimir]
  chart      = "prometheus"
  repository = "https://prometheus-community.github.io/helm-charts"
  version    = "25.30.1" # Prometheus 2.55
  namespace  = local.namespace
  values = {
    server = {
      resources        = { requests = { cpu = "100m", memory = "512Mi" } }
      retention        = "7d"
      persistentVolume = { storageClass = var.storage_class, size = "20Gi" }
      remoteWrite      = [{ url = "${local.mimir_url}/api/v1/push" }]
      service          = { servicePort = 80 }
    }
    "prometheus-node-exporter" = { resources = { requests = { cpu = "10m", memory = "32Mi" } } }
    "kube-state-metrics"       = { resources = { requests = { cpu = "10m", memory = "64Mi" } } }
    "prometheus-pushgateway"   = { enabled = false }
    alertmanager               = { enabled = false }
  }
  controls = ["AU-2", "SI-4"]

  verify "ready" {
    http {
      namespace = local.namespace
      selector  = { "app.kubernetes.io/name" = "prometheus" }
      port      = 9090
      path      = "/-/ready"
    }
    within = "10m"
  }
}
