resource "google_project_service" "this" {
  for_each = var.services

  project = var.project_id
  service = each.key
  # Somebody else in the project may have come to need it.
  disable_on_destroy = false
}

# Google makes an agent when a service is first used, and a grant to one that is not
# there yet fails. Only the beta provider can ask for it earlier.
resource "google_project_service_identity" "this" {
  provider   = google-beta
  for_each   = toset(["aiplatform.googleapis.com", "artifactregistry.googleapis.com"])
  depends_on = [google_project_service.this]

  project = var.project_id
  service = each.key
}

data "google_storage_project_service_account" "this" {
  project    = var.project_id
  depends_on = [google_project_service.this]
}

locals {
  agents = {
    storage  = data.google_storage_project_service_account.this.member
    registry = google_project_service_identity.this["artifactregistry.googleapis.com"].member
    vertex   = google_project_service_identity.this["aiplatform.googleapis.com"].member
  }
}

resource "google_kms_crypto_key_iam_member" "agent" {
  for_each = var.kms_key_name == null ? {} : local.agents

  crypto_key_id = var.kms_key_name
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = each.value
}
