module terrace.dev/testbed/crds

go 1.26.0

require (
	istio.io/api v1.24.2
	sigs.k8s.io/gateway-api v1.4.0
)
