# A module is a folder of resources that is used as one, here once for each team.
#
# It sees its own variables and nothing of the plan around it, so what it depends on can be read off the block below. Its
# source can also be a git address with a ref, or an OCI artifact; those are pinned.

plan "example_modules" {
  description = "One worker queue for each team, from one module"
}

environment "dev" {
  sandbox {}
}

# A module takes its phase from whoever uses it, and can have further ones by name: this one keeps its storage apart.
phase "foundation" {}

phase "services" {
  after = [phase.foundation]
}

locals {
  teams = {
    billing = { retention_days = 14, contact = "billing@example.com" }
    search  = { retention_days = 4, contact = "search@example.com" }
  }
}

module "worker" {
  for_each = local.teams
  source   = "./worker"
  phase    = phase.services
  phases   = { storage = phase.foundation }

  team           = each.key
  contact        = each.value.contact
  retention_days = each.value.retention_days
}

# Addresses read module.worker["billing"].stack.queue.
output "queues" {
  value = { for team, worker in module.worker : team => worker.queue_url }
}
