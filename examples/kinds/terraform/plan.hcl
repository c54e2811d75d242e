# terraform: a root that Terraform or OpenTofu runs, planned and applied as a part of the whole.
#
# Its plan shows in this one, resource by resource, and exactly that is applied. The real program runs on the sandbox too; this
# root makes nothing outside its own state.

plan "kind_terraform" {}

environment "dev" {
  sandbox {}
}

value "zone" {
  input = "${env.name}.example.com"
}

terraform "dns" {
  root    = "${path.root}/dns"
  program = "tofu"

  # What is known only after something else is applied is planned when its turn comes.
  inputs = {
    zone    = value.zone.output
    records = ["www", "api"]
  }

  timeouts {
    create = "10m"
  }
}

output "hosts" {
  value = terraform.dns.outputs.hosts
}
