output "settings" {
  description = "What tenfold.yaml says: terraform output -raw settings > tenfold.yaml"
  value = templatefile("${path.module}/settings.yaml.tftpl", {
    images          = module.registry.images
    store           = "gs://${module.buckets.names.store}/tenfold"
    weights         = "gs://${module.buckets.names.data}/weights"
    project         = var.project_id
    location        = var.region
    pipeline_root   = "gs://${module.buckets.names.pipelines}/tenfold"
    service_account = module.identities.runner.email
    encryption_key  = var.kms_key_name == null ? "null" : var.kms_key_name
    gpu_label       = var.create_cluster ? "cloud.google.com/gke-accelerator" : "null"
  })
}

output "data" {
  description = "Where raw data goes; runs may read it."
  value       = "gs://${module.buckets.names.data}"
}

output "submitter" {
  description = "Whom to act as when submitting."
  value       = module.identities.submitter.email
}

output "builder" {
  description = "Whom builds run as."
  value       = module.identities.builder.email
}

output "workload_identity_provider" {
  description = "What CI exchanges its token at; null without github_repository_id."
  value       = module.identities.workload_identity_provider
}

output "install_kfp" {
  description = "Commands that put Kubeflow Pipelines on the cluster; null without one."
  value       = one(module.cluster[*].install_kfp)
}
