# A cluster for the example to stand on, made from the quickstart's templates.

stack "network" {
  template = "${path.root}/../../quickstart/templates/network.yaml"
}

stack "cluster" {
  template = "${path.root}/../../quickstart/templates/cluster.yaml"
  parameters = {
    ClusterName = "example-manifest-${env.name}"
    SubnetIds   = stack.network.outputs.SubnetIds
  }
}

kubernetes "main" {
  eks {
    name = stack.cluster.outputs.ClusterName
  }
}
