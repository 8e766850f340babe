output "runner" {
  description = "Whom tasks run as."
  value = {
    id    = google_service_account.this["runner"].id
    email = google_service_account.this["runner"].email
  }
}

output "submitter" {
  description = "Whom runs are submitted as."
  value = {
    email = google_service_account.this["submitter"].email
  }
}

output "builder" {
  description = "Whom images are built as."
  value = {
    id    = google_service_account.this["builder"].id
    email = google_service_account.this["builder"].email
  }
}

output "workload_identity_provider" {
  description = "What CI exchanges its token at; null where no CI may."
  value       = one(google_iam_workload_identity_pool_provider.github[*].name)
}
