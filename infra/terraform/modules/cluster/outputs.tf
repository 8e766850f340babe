# Commands, and no kubectl in here: a plan that needs the cluster it makes cannot be
# made before it, and the manifests are not Terraform's to track.
output "install_kfp" {
  description = "Commands that install Kubeflow Pipelines and give its tasks the runner's identity."
  value       = <<-EOT
    set -eu
    manifests=github.com/kubeflow/pipelines/manifests/kustomize
    gcloud container clusters get-credentials ${google_container_cluster.this.name} --project=${var.project_id} --location=${var.region} --dns-endpoint
    kubectl apply -k "$manifests/cluster-scoped-resources?ref=${var.kfp_version}"
    kubectl wait --for=condition=established --timeout=60s crd/applications.app.k8s.io
    kubectl apply -k "$manifests/env/platform-agnostic?ref=${var.kfp_version}"
    kubectl annotate serviceaccount pipeline-runner --namespace=kubeflow --overwrite iam.gke.io/gcp-service-account=${var.runner.email}
    kubectl wait --for=condition=available --timeout=600s --namespace=kubeflow deployment --all
  EOT
}
