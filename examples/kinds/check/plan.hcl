# check: a question about the whole, asked at every run.
#
# A `verify` block belongs to a resource and is asked when that changes; a check belongs to none. One that fails makes the
# run fail, unless its severity is "warning".

plan "kind_check" {}

environment "dev" {
  sandbox {}
}

helm "grafana" {
  chart      = "grafana"
  repository = "https://grafana.github.io/helm-charts"
  version    = "8.8.2"
  namespace  = "monitoring"
}

check "grafana_answers" {
  http {
    namespace = "monitoring"
    service   = "grafana"
    port      = 80
    path      = "/api/health"
  }
  within = "2m"
}

check "subnets_in_two_zones" {
  expression {
    condition     = length(split(",", stack.network.outputs.SubnetIds)) >= 2
    error_message = "A cluster needs subnets in at least two zones."
  }
}

check "machine_has_room" {
  command {
    program = ["sh", "-c", "df -Pk . | awk 'NR == 2 { exit $4 < 1024 }'"] # a megabyte for state and journal
  }
  severity = "warning" # said, and no more
}
