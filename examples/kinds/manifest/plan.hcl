# manifest: one Kubernetes object, applied on the server's side.
#
# Terrace owns the fields that are written here and no others. When somebody else changes one of them, the next plan shows
# it and puts it back; a field that somebody else added stays.

plan "kind_manifest" {}

environment "dev" {
  sandbox {}
}

manifest "team" {
  object = {
    apiVersion = "v1"
    kind       = "Namespace"
    metadata   = { name = "team-a" }
  }
}

# One object for each limit: addresses read manifest.quota["cpu"] and manifest.quota["memory"].
manifest "quota" {
  for_each   = { cpu = "4", memory = "8Gi" }
  depends_on = [manifest.team]
  object = {
    apiVersion = "v1"
    kind       = "ResourceQuota"
    metadata   = { name = each.key, namespace = "team-a" }
    spec       = { hard = { "requests.${each.key}" = each.value } }
  }
}
