resource "google_artifact_registry_repository" "images" {
  #checkov:skip=CKV_GCP_84:A key of one's own is optional (kms_key_name); images hold code and public packages
  project       = var.project_id
  location      = var.region
  repository_id = var.name
  description   = "Tenfold's images"
  format        = "DOCKER"
  kms_key_name  = var.kms_key_name

  # A tag is a digest over the tree, so it never has to move.
  docker_config {
    immutable_tags = true
  }
}

# Its tags do move: each build writes the layers that the next one starts from.
resource "google_artifact_registry_repository" "cache" {
  #checkov:skip=CKV_GCP_84:A key of one's own is optional (kms_key_name); layers hold code and public packages
  project       = var.project_id
  location      = var.region
  repository_id = "${var.name}-cache"
  description   = "Layers kept between builds of Tenfold's images"
  format        = "DOCKER"
  kms_key_name  = var.kms_key_name

  cleanup_policies {
    id     = "a-month"
    action = "DELETE"
    condition {
      older_than = "30d"
    }
  }
}
