# Two stacks on a real endpoint of AWS's protocols, without an account: MiniStack, which runs on this machine.
#
#   make playground                       starts MiniStack, applies this plan to it, and says what to try then
#   terrace plan examples/ministack       in another terminal: no changes
#
# MiniStack refuses a whole template as soon as it holds one type that it does not have (NAT gateways, EKS add-ons, IAM role
# policies and others). This plan keeps to queues, parameters and log groups, which it has; docs/aws.md says more.

plan "ministack" {
  description = "A queue, and the settings of who works on it"
}

# The account is MiniStack's, for any access key that is not an account's 12 digits itself.
environment "playground" {
  aws {
    region       = "eu-central-1"
    account_id   = "000000000000"
    endpoint_url = "http://127.0.0.1:4566"
  }
}

variable "retention_days" {
  type        = number
  description = "How long the worker's log is kept."
  default     = 7
}

stack "queue" {
  template   = "${path.root}/templates/queue.yaml"
  parameters = { MaxReceiveCount = 5 }
}

# The reference is what makes this wait for the queue.
stack "worker" {
  template = "${path.root}/templates/worker.yaml"
  parameters = {
    QueueUrl      = stack.queue.outputs.Url
    RetentionDays = var.retention_days
  }
}

output "queue" {
  value = stack.queue.outputs.Url
}
