# A plan is this folder: every .hcl file in it, taken together.
#
#   terrace plan       what would change
#   terrace apply      change it
#   terrace destroy    take it away again

plan "NAME" {
  description      = "A first plan: storage, described by a CloudFormation template"
  requires_terrace = ">= 0.1"
}

# A place the plan is applied to. `sandbox {}` is the embedded world. For a real account, write in its place:
#
#   aws {
#     region     = "us-east-1"
#     account_id = "111111111111"
#   }
environment "dev" {
  sandbox {}
}

# What can differ from place to place. Values come from environments/<name>.toml, then --var-file, then --var.
variable "retention_days" {
  type        = number
  description = "How long old versions of objects are kept."
  validation {
    condition     = var.retention_days >= 1
    error_message = "At least one day."
  }
}

locals {
  prefix = "NAME-${env.name}"
}

# A stack is a CloudFormation template with values for its parameters. Its outputs are there for others to use.
stack "storage" {
  template = "${path.root}/templates/storage.yaml"
  parameters = {
    BucketName    = "${local.prefix}-files-${env.account_id}"
    RetentionDays = var.retention_days
  }
  tags = { Plan = "NAME", Environment = env.name }
}

output "bucket" {
  value = stack.storage.outputs.BucketName
}
