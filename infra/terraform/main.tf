module "services" {
  source = "./modules/services"

  project_id   = var.project_id
  kms_key_name = var.kms_key_name
  services = setunion(
    [
      "aiplatform.googleapis.com",
      "artifactregistry.googleapis.com",
      "billingbudgets.googleapis.com",
      "cloudbuild.googleapis.com",
      "cloudresourcemanager.googleapis.com",
      "compute.googleapis.com",
      "iam.googleapis.com",
      "iamcredentials.googleapis.com",
      "logging.googleapis.com",
      "storage.googleapis.com",
      "sts.googleapis.com",
    ],
    var.kms_key_name == null ? [] : ["cloudkms.googleapis.com"],
    var.create_cluster ? ["container.googleapis.com"] : [],
  )
}

module "buckets" {
  source     = "./modules/buckets"
  depends_on = [module.services]

  project_id   = var.project_id
  region       = var.region
  name         = var.name
  kms_key_name = var.kms_key_name
}

module "registry" {
  source     = "./modules/registry"
  depends_on = [module.services]

  project_id   = var.project_id
  region       = var.region
  name         = var.name
  kms_key_name = var.kms_key_name
}

module "identities" {
  source     = "./modules/identities"
  depends_on = [module.services]

  project_id           = var.project_id
  region               = var.region
  name                 = var.name
  buckets              = module.buckets.names
  repositories         = module.registry.names
  submitters           = var.submitters
  github_repository_id = var.github_repository_id
  branch               = var.branch
  smoke_run            = var.smoke_run
}

module "build" {
  source = "./modules/build"
  count  = var.build_repository == null ? 0 : 1

  project_id      = var.project_id
  region          = var.region
  name            = var.name
  repository      = var.build_repository
  branch          = var.branch
  service_account = module.identities.builder.id
  images          = module.registry.images
  compiled        = "gs://${module.buckets.names.pipelines}/compiled"
  smoke_run       = var.smoke_run
}

module "budget" {
  source     = "./modules/budget"
  depends_on = [module.services]

  project_id      = var.project_id
  name            = var.name
  billing_account = var.billing_account
  amount          = var.budget_amount
}

module "cluster" {
  source     = "./modules/cluster"
  count      = var.create_cluster ? 1 : 0
  depends_on = [module.services]

  project_id       = var.project_id
  region           = var.region
  name             = var.name
  runner           = module.identities.runner
  images           = module.registry.names.images
  cpu_machine_type = var.cpu_machine_type
  cpu_max_nodes    = var.cpu_max_nodes
  gpu_zones        = var.gpu_zones
  gpu_type         = var.gpu_type
  gpu_machine_type = var.gpu_machine_type
  gpu_max_nodes    = var.gpu_max_nodes
  kfp_version      = var.kfp_version
}
