resource "google_service_account" "this" {
  for_each = local.identities

  project      = var.project_id
  account_id   = "${var.name}-${each.key}"
  display_name = "Tenfold ${each.key}"
  description  = each.value
}

resource "google_project_iam_member" "this" {
  for_each = local.project_grants

  project = var.project_id
  role    = each.value.role
  member  = google_service_account.this[each.value.who].member
}

resource "google_storage_bucket_iam_member" "this" {
  for_each = local.bucket_grants

  bucket = var.buckets[each.value.bucket]
  role   = each.value.role
  member = google_service_account.this[each.value.who].member
}

# Compiled pipelines, which a build leaves beside what their runs will keep.
resource "google_storage_bucket_iam_member" "compiled" {
  bucket = var.buckets.pipelines
  role   = "roles/storage.objectUser"
  member = google_service_account.this["builder"].member

  condition {
    title      = "compiled"
    expression = "resource.name.startsWith('projects/_/buckets/${var.buckets.pipelines}/objects/compiled/')"
  }
}

resource "google_artifact_registry_repository_iam_member" "images" {
  for_each = local.on_images

  project    = var.project_id
  location   = var.region
  repository = var.repositories.images
  role       = each.value
  member     = google_service_account.this[each.key].member
}

resource "google_artifact_registry_repository_iam_member" "cache" {
  project    = var.project_id
  location   = var.region
  repository = var.repositories.cache
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.this["builder"].member
}

resource "google_service_account_iam_member" "runs_as_runner" {
  for_each = toset(local.runs_as_runner)

  service_account_id = google_service_account.this["runner"].name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.this[each.key].member
}

resource "google_service_account_iam_member" "acts_as_submitter" {
  for_each = var.submitters

  service_account_id = google_service_account.this["submitter"].name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = each.key
}

# CI proves who it is with the token GitHub gives each job; there are no keys.
resource "google_iam_workload_identity_pool" "ci" {
  count = var.github_repository_id == null ? 0 : 1

  project                   = var.project_id
  workload_identity_pool_id = "${var.name}-ci"
  display_name              = "Tenfold CI"
}

resource "google_iam_workload_identity_pool_provider" "github" {
  #checkov:skip=CKV_GCP_125:The check wants assertion.sub, whose form differs between repositories made before and after 15 July 2026 (github.blog/changelog/2026-04-23-immutable-subject-claims-for-github-actions-oidc-tokens); the number and the branch say the same in both
  count = var.github_repository_id == null ? 0 : 1

  project                            = var.project_id
  workload_identity_pool_id          = google_iam_workload_identity_pool.ci[0].workload_identity_pool_id
  workload_identity_pool_provider_id = "github"
  display_name                       = "GitHub Actions"

  attribute_mapping = {
    "google.subject"          = "assertion.sub"
    "attribute.repository_id" = "assertion.repository_id"
  }
  attribute_condition = "assertion.repository_id == '${var.github_repository_id}' && assertion.ref == 'refs/heads/${var.branch}'"

  oidc {
    issuer_uri = "https://token.actions.githubusercontent.com"
  }
}

resource "google_service_account_iam_member" "ci" {
  for_each = var.github_repository_id == null ? toset([]) : toset(["builder", "submitter"])

  service_account_id = google_service_account.this[each.key].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.ci[0].name}/attribute.repository_id/${var.github_repository_id}"
}
