output "names" {
  description = "Name of each repository: images, cache."
  value = {
    images = google_artifact_registry_repository.images.repository_id
    cache  = google_artifact_registry_repository.cache.repository_id
  }
}

output "images" {
  description = "Prefix of the images' names."
  value       = "${var.region}-docker.pkg.dev/${var.project_id}/${google_artifact_registry_repository.images.repository_id}"
}
