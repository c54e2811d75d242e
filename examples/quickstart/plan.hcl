# A small platform in three phases: a network, a cluster in it, and two charts on the cluster.
#
# A plan is this folder: every .hcl file in it, taken together. Nothing here needs an AWS account; the environment `dev`
# runs on the sandbox that Terrace brings along.
#
#   terrace plan  examples/quickstart --env dev     what would change
#   terrace apply examples/quickstart --env dev     change it
#   terrace destroy examples/quickstart --env dev   and take it away again

plan "quickstart" {
  description      = "A network, a cluster, and dashboards on it"
  requires_terrace = ">= 0.1"
}

# --- What can differ from place to place ----------------------------------------------------------------------------------
#
# Values come from environments/<name>.toml, then --var-file, then --var.

variable "kubernetes_version" {
  type    = string
  default = "1.34"
}

variable "nodes" {
  type        = number
  description = "How many nodes the cluster has."
  validation {
    condition     = var.nodes >= 1 && var.nodes <= 10
    error_message = "Between 1 and 10 nodes."
  }
}

locals {
  name = "quickstart-${env.name}"
  tags = { Project = "quickstart", Environment = env.name, ManagedBy = "terrace" }
}

# --- In which order things come -------------------------------------------------------------------------------------------
#
# A phase starts when all of what it comes after is applied and verified. Within a phase, references make the order: what
# uses an output waits for it, and what does not runs beside it.

phase "foundation" {}

phase "cluster" {
  after = [phase.foundation]
}

phase "services" {
  after      = [phase.cluster]
  on_failure = "rollback" # when something fails, take back what this run did in this phase
}

# --- Where it runs --------------------------------------------------------------------------------------------------------
#
# `sandbox {}` is the embedded world. For a real account, write in its place:
#
#   aws {
#     region     = "us-east-1"
#     account_id = "111111111111"
#   }

environment "dev" {
  sandbox {}
}

# --- What is good to know afterwards --------------------------------------------------------------------------------------

output "cluster" {
  value       = stack.cluster.outputs.ClusterName
  description = "For aws eks update-kubeconfig."
}

output "endpoint" {
  value = stack.cluster.outputs.ClusterEndpoint
}
