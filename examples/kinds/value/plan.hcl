# value: a value that Terrace remembers.
#
# It makes nothing anywhere. Its use is to hold on to a value, to see in a plan when it changes, and to be what others are
# replaced by. It needs no account and no cluster, so it is also the quickest way to try the language.

plan "kind_value" {}

environment "dev" {
  sandbox {}
}

variable "generation" {
  type    = number
  default = 1
}

value "team" {
  input = { name = "platform", members = ["ada", "grace"] }
}

# Replaced, not updated, when the generation moves: try --var generation=2.
value "token" {
  input            = "${value.team.output.name}-${length(value.team.output.members)}"
  triggers_replace = var.generation
}

output "token" {
  value = value.token.output
}
