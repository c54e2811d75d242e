# A cluster for the example to stand on, made from the quickstart's templates.

stack "network" {
  template = "${path.root}/../../quickstart/templates/network.yaml"
}

stack "cluster" {
  template = "${path.root}/../../quickstart/templates/cluster.yaml"
  parameters = {
    ClusterName = "example-eks-addon-${env.name}"
    SubnetIds   = stack.network.outputs.SubnetIds
  }
}
