variable "team" {
  type = string
}

variable "contact" {
  type        = string
  description = "Who is told when messages are given up on."
}

variable "retention_days" {
  type    = number
  default = 4
  validation {
    condition     = contains([1, 4, 14], var.retention_days)
    error_message = "Queues keep messages for 1, 4 or 14 days."
  }
}

stack "queue" {
  phase      = phase.storage
  template   = "${path.module}/templates/queue.yaml"
  parameters = { RetentionDays = var.retention_days }
  tags       = { Team = var.team, Environment = env.name }
}

# In the phase that the caller gave, since it names none.
value "worker" {
  input = {
    team    = var.team
    contact = var.contact
    queue   = stack.queue.outputs.QueueUrl
  }
}

output "queue_url" {
  value = value.worker.output.queue
}
