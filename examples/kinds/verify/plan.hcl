# verify: how a resource proves that it works, before what depends on it starts.
#
# The block holds one probe: http, tcp, pods, condition, expression, command or prometheus. It is tried `every` so often,
# must pass `consecutive` times in a row, and has failed when that has not come to pass `within` this time.

plan "kind_verify" {}

environment "dev" {
  sandbox {}
}

manifest "web" {
  object = {
    apiVersion = "apps/v1"
    kind       = "Deployment"
    metadata   = { name = "web", namespace = "default" }
    spec = {
      replicas = 2
      selector = { matchLabels = { app = "web" } }
      template = {
        metadata = { labels = { app = "web" } }
        spec = {
          containers = [{
            name  = "web"
            image = "nginx:1.27"
            ports = [{ containerPort = 80 }]
          }]
        }
      }
    }
  }

  verify "pods" {
    pods {
      namespace = "default"
      selector  = { app = "web" }
      min_ready = 2
    }
    within = "5m"
  }

  verify "available" {
    condition {
      api_version = "apps/v1"
      kind        = "Deployment"
      namespace   = "default"
      name        = "web"
      type        = "Available"
      status      = "True"
    }
  }

  # A pod, reached through the API server, so that nothing needs to be exposed.
  verify "answers" {
    http {
      namespace = "default"
      selector  = { app = "web" }
      port      = 80
      path      = "/"
    }
    every       = "2s"
    within      = "1m"
    consecutive = 3
  }
}
