# A stack is a CloudFormation template with values for its parameters. Its outputs are there for others to use.
stack "network" {
  phase      = phase.foundation
  template   = "${path.root}/templates/network.yaml"
  parameters = { VpcCidr = "10.20.0.0/16" }
  tags       = local.tags
}
