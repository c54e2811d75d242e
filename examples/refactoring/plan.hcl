# A plan that has grown, and how it was changed on the way without anything being destroyed.

plan "example_refactoring" {}

environment "dev" {
  sandbox {}
}

variable "alerts" {
  type        = bool
  default     = true
  description = "Whether there is a topic for alerts."
}

# --- for_each: one for each, known by key ---------------------------------------------------------------------------------
#
# Taking a key away deletes that one and leaves the others as they are.

locals {
  topics = {
    orders    = { fifo = false }
    shipments = { fifo = false }
    payments  = { fifo = true }
  }
}

stack "topic" {
  for_each   = local.topics
  template   = "${path.root}/templates/topic.yaml"
  parameters = { Fifo = each.value.fifo }
  tags       = { Topic = each.key }
}

# --- when: there or not ---------------------------------------------------------------------------------------------------
#
# Turning false what is there deletes it. Who refers to it has to allow for it to be missing.

stack "alerts" {
  when       = var.alerts
  template   = "${path.root}/templates/topic.yaml"
  parameters = { Fifo = false }
}

output "alerts" {
  value = var.alerts ? stack.alerts.outputs.TopicArn : null
}

# --- moved: another name, the same thing ----------------------------------------------------------------------------------
#
# The first version of this plan had one stack, "orders". It became one of several: its address moved, the stack in AWS kept
# the name that it was created under. Where nothing has the old address, as in a fresh environment, the block does nothing.

moved {
  from = stack.orders
  to   = stack.topic["orders"]
}

# --- removed: let go ------------------------------------------------------------------------------------------------------
#
# The stack "legacy" went to another team. It is forgotten here, and lives on there.

removed {
  from = stack.legacy
}

# --- import: adopt what exists --------------------------------------------------------------------------------------------
#
# What somebody made by hand becomes ours without being made anew. Nothing is adopted by chance: a live thing of the name
# that a resource would have is an error, which prints the block that adopts it. Take the marks away once a stack of that
# name exists.
#
# import {
#   to = stack.topic["payments"]
#   id = "payments-topic"
# }

output "topics" {
  value = { for key, topic in stack.topic : key => topic.outputs.TopicArn }
}
