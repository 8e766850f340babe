output "names" {
  description = "Name of each bucket: data, store, pipelines."
  value       = { for use, bucket in google_storage_bucket.this : use => bucket.name }
}
