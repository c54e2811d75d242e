# Registers pods in target groups and makes load balancers for Ingress objects. It comes with the cluster: whoever binds a
# service to a target group later finds the controller and its CRDs there.
helm "aws_load_balancer_controller" {
  phase      = phase.cluster
  depends_on = [eks_addon.managed]
  chart      = "aws-load-balancer-controller"
  repository = "https://aws.github.io/eks-charts"
  version    = "1.11.0" # controller 2.11
  namespace  = "kube-system"
  values = {
    clusterName  = stack.cluster.outputs.ClusterName
    region       = env.region
    vpcId        = stack.network.outputs.VpcId # pods cannot ask the node's metadata service
    replicaCount = 2
    resources    = { requests = { cpu = "100m", memory = "128Mi" } }
    serviceAccount = {
      name        = "aws-load-balancer-controller"
      annotations = { "eks.amazonaws.com/role-arn" = stack.load_balancer_controller_role.outputs.RoleArn }
    }
    enableServiceMutatorWebhook = false # else no service could be created while the controller is away
  }
  controls = ["SC-7"]

  verify "ready" {
    pods {
      namespace = "kube-system"
      selector  = { "app.kubernetes.io/name" = "aws-load-balancer-controller" }
      min_ready = 1
    }
    within = "5m"
  }
}

# The way from the load balancer to the pods of Headlamp.
stack "ingress_access" {
  phase    = phase.services
  template = "${path.project}/cfn-templates/ingress-access.yaml"
  parameters = {
    LoadBalancerSecurityGroupId = stack.ingress.outputs.SecurityGroupId
    ClusterSecurityGroupId      = stack.cluster.outputs.ClusterSecurityGroupId
    TargetPort                  = 4466
  }
  tags     = local.tags
  controls = ["SC-7"]
}
