# stack: a CloudFormation stack.
#
# Terrace shows what a change set would do, resource by resource, before it does it. `parameters` are compared with what
# the template declares, so that a missing or misspelt one is found before AWS is asked.

plan "kind_stack" {}

environment "dev" {
  sandbox {}
}

stack "queue" {
  template   = "${path.root}/templates/queue.yaml"
  parameters = { RetentionDays = 4 }
  tags       = { Project = "examples", Environment = env.name }
  controls   = ["SC-28"]

  # What must not be lost can be held on to: no run deletes or replaces it.
  # lifecycle {
  #   prevent_destroy = true
  # }
}

# A second stack that reads the first one's output, and therefore comes after it.
stack "alarm" {
  template   = "${path.root}/templates/alarm.yaml"
  parameters = { QueueName = stack.queue.outputs.QueueName }
}

output "queue_url" {
  value = stack.queue.outputs.QueueUrl
}
