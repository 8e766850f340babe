resource "google_cloudbuild_trigger" "images" {
  project         = var.project_id
  location        = var.region
  name            = "${var.name}-images"
  description     = "Builds the images of every push to ${var.branch}"
  filename        = "cloudbuild.yaml"
  service_account = var.service_account

  repository_event_config {
    repository = var.repository
    push {
      branch = "^${var.branch}$"
    }
  }

  substitutions = {
    _REGISTRY = var.images
    _COMPILED = var.compiled
    _SMOKE    = tostring(var.smoke_run)
  }
}
