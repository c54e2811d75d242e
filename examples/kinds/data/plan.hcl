# data: what is read and not made.
#
# It is read when planning. What cannot be read yet, as here before the first apply, is planned as deferred and read once
# it is there. A secret stays a secret through every expression: it is shown nowhere, and kept only as a keyed hash.
#
# There is a third one, data "plan_outputs", for the outputs of another plan of the project in the same environment.

plan "kind_data" {}

environment "dev" {
  sandbox {}
}

stack "settings" {
  template = "${path.root}/templates/settings.yaml"
}

data "ssm_parameter" "greeting" {
  name = stack.settings.outputs.GreetingName
}

data "secret" "database" {
  secretsmanager = stack.settings.outputs.DatabaseSecretArn
  key            = "password"
}

value "greeting" {
  input = upper(data.ssm_parameter.greeting.value)
}

output "greeting" {
  value = value.greeting.output
}

output "password_length" {
  value     = length(data.secret.database.value)
  sensitive = true # what is made of a secret is one
}
