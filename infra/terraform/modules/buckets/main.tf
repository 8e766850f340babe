# data: raw sources and weights. store: results. pipelines: what KFP itself keeps.
resource "google_storage_bucket" "this" {
  #checkov:skip=CKV_GCP_62:Google advises audit logs over usage logs, and Data Access audit logs are paid for by volume: switching them on is left to the project's owner
  for_each = toset(["data", "store", "pipelines"])

  project                     = var.project_id
  name                        = "${var.project_id}-${var.name}-${each.key}"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  versioning {
    enabled = true
  }

  # What was overwritten or deleted can be had back for a month, not for ever.
  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      days_since_noncurrent_time = 30
      with_state                 = "ARCHIVED"
    }
  }

  # Parts of uploads that a killed task left behind.
  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }
    condition {
      age = 7
    }
  }

  dynamic "encryption" {
    for_each = var.kms_key_name == null ? [] : [var.kms_key_name]
    content {
      default_kms_key_name = encryption.value
    }
  }
}
